"""Each address of ours leads where it should: mailbox, alias, detail, catch-all, another domain's name, elsewhere."""

from __future__ import annotations

from pathlib import Path

import aiosmtplib
import pytest

from postroad.ports.store import DeliveryState
from postroad.testing.site import ALICE, BOB, Site, delivery_to, kinds, running_site, states

LOCAL = {  # recipient as the client names it -> the mailbox that it leads to
    "bob@here.test": BOB,
    "BOB@Here.Test": BOB,
    "bob+lists@here.test": BOB,
    "sales@here.test": BOB,
    "sales+spring@here.test": BOB,
    "Bob+exact@here.test": ALICE,  # an alias of that very name goes before the detail
    "anything@caught.test": ALICE,
    "bob@other.test": BOB,  # another name of here.test
    "sales@other.test": BOB,
    "postmaster@here.test": ALICE,
    "PostMaster@here.test": ALICE,
    "abuse@here.test": ALICE,
    "Postmaster": ALICE,  # RFC 5321 §4.1.1.3
}


async def furnish(site: Site) -> None:
    tenants = site.tenants
    await tenants.add_domain("caught.test")
    await tenants.add_domain("other.test", alias_of="here.test")
    await tenants.add_alias("sales@here.test", [BOB])
    await tenants.add_alias("bob+exact@here.test", [ALICE])
    await tenants.add_alias("*@caught.test", [ALICE])
    await tenants.add_alias("team@here.test", ["sales@here.test", ALICE, "team@here.test"])
    await tenants.add_alias("away@here.test", ["accept@remote.test"])
    await tenants.add_alias("both@here.test", [BOB, "accept@remote.test"])
    await tenants.add_domain("passed.test", relay_to=f"127.0.0.18:{site.world.port}")


async def test_addresses_of_ours(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await furnish(site)
        async with site.client("mx") as client:
            for number, (recipient, owner) in enumerate(LOCAL.items()):
                await client.mail("stranger@far.test")
                await client.rcpt(recipient)
                await client.data(f"Subject: {number} {recipient}\r\n\r\nHello\r\n".encode())
                assert [mail["Subject"] for mail in await site.inbox(owner)][-1] == f"{number} {recipient}"
            for unknown in ("nobody@here.test", "nobody+lists@here.test", "nobody@other.test"):
                await client.mail("stranger@far.test")
                with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"5\.1\.1") as refused:
                    await client.rcpt(unknown)
                assert refused.value.code == 550
                await client.rset()
            await client.mail("stranger@far.test")
            with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"5\.7\.1"):
                await client.rcpt("accept@remote.test")  # no open relay
        total = len(await site.inbox(ALICE)) + len(await site.inbox(BOB))
        assert total == len(LOCAL)


async def test_an_alias_of_several_and_of_itself(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await furnish(site)
        story = await site.settled(await site.receive("team@here.test", BOB))
        assert states(story) == {BOB: DeliveryState.DELIVERED, ALICE: DeliveryState.DELIVERED}
        assert [len(await site.inbox(address)) for address in (ALICE, BOB)] == [1, 1]


async def test_forwards_and_relay_domains(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await furnish(site)
        story = await site.settled(await site.receive("away@here.test", subject="one"))
        assert states(story) == {"accept@remote.test": DeliveryState.DELIVERED}
        assert delivery_to(story, "accept@remote.test").orig == "away@here.test"
        story = await site.settled(await site.receive("both@here.test", subject="two"))
        assert set(states(story)) == {BOB, "accept@remote.test"}
        story = await site.settled(await site.receive("someone@passed.test", subject="three"))
        assert kinds(story, "someone@passed.test") == ["queued", "delivered"]
        assert delivery_to(story, "someone@passed.test").dest == f"host:[127.0.0.18]:{site.world.port}"

        letters = [(letter.receiver, letter.reverse_path, letter.recipients) for letter in site.world.bag.letters]
        rewritten = letters[0][1]  # SRS: who passes mail on to others does not do so in a stranger's name
        assert rewritten.startswith("SRS0=")
        assert rewritten.endswith("=far.test=stranger@mail.example.test")
        assert letters == [
            ("mx1.remote.test", rewritten, ("accept@remote.test",)),
            ("mx1.remote.test", rewritten, ("accept@remote.test",)),
            ("mx.plain.test", "stranger@far.test", ("someone@passed.test",)),
        ]
        assert [mail["Subject"] for mail in await site.inbox(BOB)] == ["two"]
