"""Programs that submit by SMTP with a server's token as user and password, as Postmark's customers do."""

from __future__ import annotations

from pathlib import Path

import aiosmtplib
import pytest

from postroad.accounts.tokens import NewToken
from postroad.ports.ids import MessageId, parse_id
from postroad.ports.sending import ServerRecord, SuppressionReason
from postroad.ports.store import DeliveryState, Message
from postroad.ports.uuids import uuid_text
from postroad.testing.site import ALICE, BOB, Site, delivery_to, kinds, letter, running_site, states

SHOP = "shop@here.test"
FAR = "accept@remote.test"
UPPER = "ACCEPT@remote.test"


class Shop:
    """A server with a token, in a running site."""

    def __init__(self, site: Site, server: ServerRecord, token: NewToken) -> None:
        self.site = site
        self.server = server
        self.token = token

    @property
    def sending(self):
        return self.site.node.services.sending

    async def send(
        self, *recipients: str, sender: str = SHOP, content: bytes | None = None, **fields: str
    ) -> MessageId:
        async with self.site.client("submissions") as client:
            await client.login(self.token.secret, self.token.secret)
            content = letter(SHOP, recipients[0], **fields) if content is None else content
            refused, answer = await client.sendmail(sender, recipients, content)
        assert not refused, refused
        return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)

    async def refused(self, *recipients: str, **options) -> str:
        with pytest.raises((aiosmtplib.SMTPDataError, aiosmtplib.SMTPSenderRefused)) as error:
            await self.send(*recipients or (BOB,), **options)
        return f"{error.value.code} {error.value.message}"

    async def message(self, number: MessageId) -> Message:
        found = await self.site.store.read(lambda tx: tx.messages.get(number))
        assert found
        return found


async def open_shop(site: Site, *, sandbox: bool = False) -> Shop:
    sending = site.node.services.sending
    server = await sending.add_server("Shop", sandbox=sandbox)
    return Shop(site, server, await sending.add_token("Shop"))


async def test_fields_choose_and_are_taken_out(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site)
        await shop.sending.add_stream("Shop", "letters")
        number = await shop.send(
            BOB,
            X_PM_Message_Stream="letters",
            X_PM_Tag="=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
            X_PM_TrackOpens="True",
            X_PM_Track_Links="htmlonly",
            X_PM_Metadata_Order_Id="4711",
            x_pm_metadata_colour="=?utf-8?q?gr=C3=BCn?=",
            X_PM_Other="gone too",
            Message_ID="<mine@client.test>",
            X_Kept="yes",
        )
        message = await shop.message(number)
        assert (message.server, message.stream, message.tag) == (shop.server.id, "letters", "Grüße")
        assert message.metadata == {"Order-Id": "4711", "colour": "grün"}
        assert (message.origin.account, message.account) == ("Shop", None)
        story = await site.settled(number)
        assert story.events[0].detail["track_opens"] == "true"
        assert story.events[0].detail["track_links"] == "HtmlOnly"
        (mail,) = await site.inbox(BOB)
        left = sorted(name.lower() for name in mail if name.lower().startswith("x-"))
        assert left == ["x-kept", "x-pm-message-id"]
        assert mail["X-PM-Message-Id"] == uuid_text(number)
        assert mail["Message-ID"] == f"<{uuid_text(number)}@{site.node.settings.hostname}>" == message.message_id
        assert mail.get_content() == "How are you?\r\n"


async def test_without_fields_it_is_outbound_and_its_message_id_may_be_kept(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site)
        number = await shop.send(BOB, ALICE, Message_ID="<mine@client.test>", X_PM_KeepID="true", X_PM_Tag="a b")
        message = await shop.message(number)
        assert (message.stream, message.tag, message.metadata) == ("outbound", "a b", {})
        assert message.message_id == "<mine@client.test>"
        for address in (BOB, ALICE):
            (mail,) = await site.inbox(address)
            assert (mail["Message-ID"], mail["X-PM-Tag"]) == ("<mine@client.test>", "a b")
        assert len(await site.messages()) == 1  # all recipients of a transaction are one message


async def test_it_goes_out_into_the_world_and_bounces_are_told(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site)
        await site.tenants.add_alias(SHOP, [ALICE])
        number = await shop.send(FAR, "550@remote.test")
        story = await site.settled(number)
        assert states(story) == {FAR: DeliveryState.DELIVERED, "550@remote.test": DeliveryState.BOUNCED}
        sent = next(letter for letter in site.world.bag.letters)
        assert b"X-PM-Message-Id" in sent.content
        assert b"127.0.0.1" not in sent.content.partition(b"\r\nFrom:")[0].partition(b"Received: from")[2]


WRONG = [
    ({"X_PM_Message_Stream": "nowhere"}, "550 5.6.0 the stream nowhere does not exist on this server"),
    ({"X_PM_Message_Stream": "inbound"}, "takes mail in"),
    ({"X_PM_Message_Stream": "broadcast"}, "archived"),
    ({"X_PM_Tag": "x" * 990 + "\r\n " + "x" * 20}, "more than 1000 characters"),
    ({"X_PM_TrackLinks": "some"}, "one of None, HtmlAndText"),
    ({"X_PM_TrackOpens": "perhaps"}, "true or false"),
    ({"X_PM_Metadata_" + "k" * 21: "v"}, "at most 20 characters"),
    ({"X_PM_Metadata_k": "v" * 81}, "at most 80 characters"),
    ({f"X_PM_Metadata_{n}": "v" for n in range(11)}, "at most 10 metadata"),
]


async def test_what_cannot_be_done_is_refused_in_words(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site)
        await shop.sending.archive_stream("Shop", "broadcast")
        for fields, told in WRONG:
            assert told in await shop.refused(**fields), fields
        assert await site.messages() == []
        assert await shop.send(BOB)


async def test_it_sends_from_domains_of_ours_alone(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site)
        await site.tenants.add_domain("second.test", alias_of="here.test")
        foreign = letter("shop@elsewhere.test", BOB)
        both = letter(SHOP, BOB).replace(b"From: <shop@here.test>", b"From: <shop@here.test>, X <x@elsewhere.test>")
        nobody = letter(SHOP, BOB).replace(b"From: <shop@here.test>\r\n", b"")
        assert "550 5.7.1" in await shop.refused(sender="shop@elsewhere.test")
        assert "550 5.7.1" in await shop.refused(content=foreign)
        assert "550 5.7.1" in await shop.refused(content=both)
        assert "no From field" in await shop.refused(content=nobody)
        assert await shop.send(BOB, content=letter("shop@second.test", BOB), sender="x@second.test")
        assert await shop.send(BOB, sender="")  # the null reverse-path
        causes = {refusal.cause for refusal in await site.refusals(4)}
        assert "From is in elsewhere.test" in causes


async def test_who_is_suppressed_gets_nothing_and_the_others_do(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site)
        await site.tenants.add_alias("both@here.test", [ALICE, BOB])
        await shop.sending.suppress("Shop", "outbound", FAR, SuppressionReason.HARD_BOUNCE)
        await shop.sending.suppress("Shop", "outbound", "both@here.test")
        number = await shop.send(UPPER, BOB, "both@here.test")
        story = await site.settled(number)
        assert states(story) == {
            UPPER: DeliveryState.BOUNCED, BOB: DeliveryState.DELIVERED, "both@here.test": DeliveryState.BOUNCED,
        }  # fmt: skip
        assert "suppressed" in delivery_to(story, UPPER).last_status.text
        assert kinds(story, UPPER) == ["bounced"]
        assert not site.world.bag.letters
        assert await shop.send(FAR, X_PM_Message_Stream="broadcast")  # another stream, another list
        alone = await site.settled(await shop.send("both@here.test"))
        assert set(states(alone).values()) == {DeliveryState.BOUNCED}
        assert len(await site.inbox(ALICE)) == 0


async def test_a_sandbox_shows_everything_and_sends_nothing(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site, sandbox=True)
        number = await shop.send(BOB, FAR, X_PM_Tag="try")
        story = await site.settled(number)
        assert set(states(story).values()) == {DeliveryState.DELIVERED}
        assert (await shop.message(number)).tag == "try"
        assert await site.inbox(BOB) == []
        assert not site.world.bag.letters


async def test_a_large_message_is_read_like_a_small_one(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        shop = await open_shop(site)
        number = await shop.send(BOB, text="line of text\r\n" * 60_000, X_PM_Tag="big", X_PM_Metadata_a="b")
        message = await shop.message(number)
        assert (message.tag, message.metadata) == ("big", {"a": "b"})
        (mail,) = await site.inbox(BOB)
        assert "X-PM-Metadata-a" not in mail
        assert "550 5.7.1" in await shop.refused(content=letter("x@elsewhere.test", BOB, text="x\r\n" * 200_000))


async def test_a_wrong_or_revoked_token_is_refused_and_ends_an_open_session(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"logins": {"delay": 0.01}}) as site:
        shop = await open_shop(site)
        key = await shop.sending.add_key("dash", ["*"])
        good = shop.token.secret
        for user, password in (
            (good, "wrong"), (ALICE, good), (good[:-1] + "x", good[:-1] + "x"), (key.secret, key.secret),
        ):  # fmt: skip
            async with site.client("submissions") as client:
                with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                    await client.login(user, password)
        async with site.client("submissions") as client:
            await client.ehlo()
            await client.auth_login(good.upper(), good)  # AUTH LOGIN, and capitals mean the same
            await client.sendmail(SHOP, [BOB], letter(SHOP, BOB))
            await shop.sending.revoke(shop.token.record.id)
            with pytest.raises(aiosmtplib.SMTPSenderRefused, match="revoked"):
                await client.sendmail(SHOP, [BOB], letter(SHOP, BOB))
        found = await site.refusals(5)
        assert not any(good[:-1] in refusal.cause for refusal in found)
        assert f"login as '…{good[-4:]}, 36 characters'" in [refusal.cause for refusal in found]


async def test_the_fields_of_people_are_left_alone(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        number = await site.submit(BOB, X_PM_Tag="mine", X_PM_Message_Stream="nowhere")
        message = await site.store.read(lambda tx: tx.messages.get(number))
        assert (message.server, message.stream, message.tag) == (None, "", "")
        (mail,) = await site.inbox(BOB)
        assert mail["X-PM-Tag"] == "mine"
