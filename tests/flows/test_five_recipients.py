"""One message to five recipients of five kinds: five right states, the right reports, and a trace that tells it."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState
from postroad.reports.story import Story
from postroad.testing.site import ALICE, BOB, Site, delivery_to, kinds, running_site, states

INFO, GOOD, REFUSING, UNKNOWN = "info@here.test", "accept@remote.test", "550@refuse.test", "someone@nowhere.test"


async def test_five_recipients(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_account("carol@here.test", "secret")
        await site.tenants.add_alias(INFO, ["carol@here.test"])
        message = await site.submit(BOB, INFO, GOOD, REFUSING, UNKNOWN, subject="To five")
        story = await site.settled(message)

        assert states(story) == {
            BOB: DeliveryState.DELIVERED,
            "carol@here.test": DeliveryState.DELIVERED,
            GOOD: DeliveryState.DELIVERED,
            REFUSING: DeliveryState.BOUNCED,
            UNKNOWN: DeliveryState.BOUNCED,
        }
        assert delivery_to(story, "carol@here.test").orig == INFO
        refused, unknown = (delivery_to(story, address).last_status for address in (REFUSING, UNKNOWN))
        assert refused
        assert unknown
        assert (refused.reply_code, str(refused.enhanced)) == (550, "5.1.1")
        assert (unknown.reply_code, str(unknown.enhanced)) == (550, "5.1.2")

        await arrived(site)
        await reported(site, story)
        await traced(site, story)


async def arrived(site: Site) -> None:
    """Each good recipient has it once."""
    for address in (BOB, "carol@here.test"):
        (taken,) = await site.inbox(address)
        assert taken["Subject"] == "To five"
        assert taken["Return-Path"] == f"<{ALICE}>"
        assert taken["Delivered-To"] == address
    (sent,) = site.world.bag.letters
    assert (sent.reverse_path, sent.recipients) == (ALICE, (GOOD,))
    assert sent.tls is not None
    assert sent.content is not None
    assert b"Subject: To five\r\n" in sent.content
    assert b"Delivered-To" not in sent.content


async def reported(site: Site, story: Story) -> None:
    """One report for each host that said no, in the sender's own mailbox."""
    reports = await site.inbox(ALICE)
    told = {}
    for report in reports:
        assert report["Return-Path"] == "<>"
        assert report["Auto-Submitted"] == "auto-replied"
        assert report["To"] == ALICE
        assert (report.get_content_type(), report.get_param("report-type")) == (
            "multipart/report",
            "delivery-status",
        )
        words, status, returned = report.iter_parts()
        assert words.get_content_type() == "text/plain"
        assert returned.get_content_type() in ("message/rfc822", "text/rfc822-headers")
        assert b"Subject: To five" in bytes(returned)
        told |= recipients_of(status)
    assert told == {
        REFUSING: ("failed", "5.1.1", "smtp; 550 5.1.1 No such user here"),
        UNKNOWN: ("failed", "5.1.2", "x-postroad; 550 5.1.2 there is no such domain"),
    }
    known = {row.id: row for row in await site.messages()}
    assert [row.bounce_of for row in known.values()].count(story.message.id) == len(reports)
    for address in (REFUSING, UNKNOWN):
        assert kinds(story, address)[-2:] in (["bounced", "report-sent"], ["report-sent", "bounced"])


def recipients_of(status: EmailMessage) -> dict[str, tuple[str, str, str]]:
    """Action, Status and Diagnostic-Code by Final-Recipient (RFC 3464 §2.3)."""
    assert status.get_content_type() == "message/delivery-status"
    of_message, *of_recipients = status.get_payload()
    assert of_message["Reporting-MTA"] == "dns; mail.example.test"
    return {
        fields["Final-Recipient"].removeprefix("rfc822; "): (
            fields["Action"],
            fields["Status"],
            " ".join((fields["Diagnostic-Code"] or "").split()),
        )
        for fields in of_recipients
    }


async def traced(site: Site, story: Story) -> None:
    """The command tells all of it."""
    ident = id_text(story.message.id)
    told = await site.run("message", "trace", ident, "--dialogue")
    for part in (
        f"{BOB}: delivered into INBOX",
        "carol@here.test (for info@here.test): delivered into INBOX",
        f"{GOOD}: trying mx1.remote.test (127.0.0.10:",
        f"{GOOD}: delivered to mx1.remote.test: 250 2.0.0 OK, taken by the laboratory",
        f"{REFUSING}: failed for good at mx.refuse.test: 550 5.1.1 No such user here",
        f"{UNKNOWN}: failed for good: 550 5.1.2 there is no such domain",
        f"the failure was reported to {ALICE}",
        f"> RCPT TO:<{REFUSING}>",
        "< 550 5.1.1 No such user here",
    ):
        assert part in told, f"{part!r} is not told:\n{told}"
    facts = await site.run_json("message", "trace", ident)
    assert facts["finished"] is True
    assert sorted(delivery["state"] for delivery in facts["deliveries"]) == ["bounced"] * 2 + ["delivered"] * 3
    listed = await site.run_json("message", "list", "--recipient", REFUSING)
    assert [entry["message"]["subject"] for entry in listed] == ["To five"]
