"""Who is told of a failure, and who is not: our own people always, strangers and null reverse-paths never."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postroad.app.arguments import Arguments
from postroad.app.sendmail import sendmail
from postroad.ports.store import DeliveryState, Refused
from postroad.reports.story import Story
from postroad.testing.site import ALICE, BOB, Site, delivery_to, kinds, running_site, states

NO = "550@remote.test"


async def reports(site: Site) -> int:
    return sum(row.bounce_of is not None for row in await site.messages())


def withheld(story: Story, address: str) -> str:
    """Why no report was sent."""
    ident = delivery_to(story, address).id
    (event,) = (event for event in story.events if event.kind == "report-withheld" and event.delivery == ident)
    return str(event.detail["why"])


async def test_a_null_sender_gets_no_report(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await site.submit(NO, sender=""))
        assert kinds(story, NO) == ["queued", "bounced", "report-withheld"]
        assert "null" in withheld(story, NO)
        assert await reports(site) == 0


async def test_a_stranger_gets_no_report(tmp_path: Path) -> None:
    """Through a relay domain and through a forward: a report to an unproven address would be backscatter."""
    async with running_site(tmp_path) as site:
        await site.tenants.add_domain("remote.test", relay_to=f"127.0.0.10:{site.world.port}")
        await site.tenants.add_alias("away@here.test", ["someone@refuse.test", BOB])
        story = await site.settled(await site.receive(NO, sender="victim@far.test"))
        assert kinds(story, NO) == ["queued", "bounced", "report-withheld"]
        assert "unproven" in withheld(story, NO)
        story = await site.settled(await site.receive("away@here.test", sender=ALICE))  # Alice's name proves nothing
        assert states(story) == {"someone@refuse.test": DeliveryState.BOUNCED, BOB: DeliveryState.DELIVERED}
        assert "unproven" in withheld(story, "someone@refuse.test")
        assert await reports(site) == 0
        assert await site.inbox(ALICE) == []


async def test_programs_of_this_machine_are_told(tmp_path: Path) -> None:
    """Whoever may open the control socket is one of us, as if logged in."""
    async with running_site(tmp_path) as site:
        arguments = Arguments({"sender": ALICE, "recipients": [NO]}, content_of(b"Subject: from cron\n\nx\n"))
        await sendmail(site.node.services, arguments)
        sent, *_ = await site.messages()
        story = await site.settled(sent.id)
        assert kinds(story, NO) == ["queued", "bounced", "report-sent"]
        (report,) = await site.inbox(ALICE)
        assert "from cron" in report.as_string()


async def test_a_program_says_by_options_what_to_report(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        said = {"sender": ALICE, "recipients": [NO], "ret": "hdrs", "envid": "job+7", "notify": "failure,delay"}
        await sendmail(site.node.services, Arguments(said, content_of(b"Subject: from cron\n\nsecret\n")))
        sent, *_ = await site.messages()
        await site.settled(sent.id)
        (report,) = await site.inbox(ALICE)
        (message_fields, _) = list(report.iter_parts())[1].get_payload()
        assert message_fields["Original-Envelope-Id"] == "job+7"
        assert "secret" not in report.as_string()
        said = {**said, "notify": "never"}
        await sendmail(site.node.services, Arguments(said, content_of(b"Subject: hush\n\nx\n")))
        silent = next(row for row in await site.messages() if row.subject == "hush")
        await site.settled(silent.id)
        assert await reports(site) == 1


@pytest.mark.parametrize("wrong", [{"notify": "never,delay"}, {"ret": "all"}, {"envid": "x" * 200}])
async def test_what_reports_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    async with running_site(tmp_path) as site:
        arguments = Arguments({"sender": ALICE, "recipients": [NO], **wrong}, content_of(b"Subject: x\n\nx\n"))
        with pytest.raises(Refused):
            await sendmail(site.node.services, arguments)


async def content_of(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_the_original_recipient_is_named(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_alias("away@here.test", [NO])
        await site.settled(await site.submit("away@here.test"))
        (report,) = await site.inbox(ALICE)
        (fields,) = list(report.iter_parts())[1].get_payload()[1:]
        assert fields["Original-Recipient"] is None, "RFC 3461 §6.3 d: nothing but what ORCPT said"
        assert "away@here.test (passed on to 550@remote.test)" in report.get_body(("plain",)).get_content()
        assert fields["Final-Recipient"] == f"rfc822; {NO}"
        assert fields["Remote-MTA"] == "dns; mx1.remote.test"


async def test_a_report_that_cannot_be_delivered_ends_there(tmp_path: Path) -> None:
    """Alice writes under a name whose mail is forwarded, to a host that says no: the report fails, and no report is
    made about it."""
    async with running_site(tmp_path, {"submission": {"send_as": "domains"}}) as site:
        await site.tenants.add_alias("alias@here.test", ["other@refuse.test"])
        story = await site.settled(await site.submit(NO, sender="alias@here.test"))
        (report,) = (row for row in await site.messages() if row.bounce_of == story.message.id)
        assert report.reverse_path == ""
        ended = await site.settled(report.id)
        assert kinds(ended, "other@refuse.test") == ["queued", "bounced", "report-withheld"]
        assert await reports(site) == 1


async def test_a_large_message_comes_back_as_its_header(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"delivery": {"dsn_header_only_over": 1000}}) as site:
        text = "\r\n".join(["body text"] * 200)
        await site.settled(await site.submit(NO, subject="Much to say", text=text))
        (report,) = await site.inbox(ALICE)
        *_, returned = report.iter_parts()
        assert returned.get_content_type() == "text/rfc822-headers"
        assert "Subject: Much to say" in report.as_string()
        assert "body text" not in report.as_string()


async def test_a_report_gets_into_a_full_mailbox(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.set_quota(ALICE, 1)
        story = await site.settled(await site.submit(NO))
        assert "report-sent" in kinds(story, NO)
        assert len(await site.inbox(ALICE)) == 1
