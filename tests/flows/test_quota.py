"""A full mailbox refuses at RCPT, for now; one with room again takes mail."""

from __future__ import annotations

from pathlib import Path

import aiosmtplib
import pytest

from postroad.testing.site import ALICE, BOB, running_site


async def test_a_full_mailbox(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_alias("team@here.test", [ALICE, BOB])
        await site.tenants.set_quota(BOB, 2000)
        await site.receive(BOB, text="x" * 1500)
        async with site.client("mx") as client:
            await client.mail("stranger@far.test", options=["SIZE=1500"])
            for recipient in (BOB, "bob+detail@here.test", "team@here.test"):
                with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"4\.2\.2") as refused:
                    await client.rcpt(recipient)
                assert refused.value.code == 452
            await client.rcpt(ALICE)  # the others are not to blame
            await client.rset()

            assert len(await site.refusals(3)) == 3
            (refusal, *_) = await site.run_json("message", "list", "--refused", "--address", BOB)
            assert (refusal["stage"], refusal["reply_code"], refusal["enhanced"]) == ("rcpt", 452, "4.2.2")

            await site.run("account", "quota", BOB, "1M")
            await client.sendmail("stranger@far.test", [BOB], b"Subject: again\r\n\r\nHello\r\n")
        assert [mail["Subject"] for mail in await site.inbox(BOB)] == ["hello", "again"]
