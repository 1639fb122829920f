"""What senders ask to hear (RFC 3461): success, failure, delay, never; passed on where the next hop reports itself."""

from __future__ import annotations

from email.message import EmailMessage, Message
from pathlib import Path

from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import DeliveryState
from postroad.proto.smtp.parameters import MailParameters
from postroad.testing.conversation import Talk
from postroad.testing.site import ALICE, BOB, Site, delivery_to, kinds, running_site, until

LETTER = b"From: <alice@here.test>\r\nSubject: hi\r\n\r\nbody text\r\n"
NO = "550@remote.test"


async def send(
    site: Site,
    *recipients: str,
    mail: str = "",
    letter: bytes = LETTER,
    service: str = "submissions",
    sender: str = ALICE,
) -> MessageId:
    """Recipients with their parameters behind the address: `a@b NOTIFY=NEVER`."""
    async with Talk(site, service) as talk:
        if service == "submissions":
            await talk.login(ALICE)
        assert await talk.say(f"MAIL FROM:<{sender}> {mail}".rstrip()) == 250, talk.answer
        for recipient in recipients:
            address, _, parameters = recipient.partition(" ")
            assert await talk.say(f"RCPT TO:<{address}> {parameters}".rstrip()) == 250, talk.answer
        answer = await talk.body(LETTER)
    return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)


async def reports(site: Site, count: int, address: str = ALICE) -> list[EmailMessage]:
    return await until(lambda: site.inbox(address), lambda found: len(found) >= count)


def fields(report: EmailMessage) -> tuple[Message, Message]:
    """Of the message and of its one recipient."""
    about_message, about_recipient = list(report.iter_parts())[1].get_payload()
    return about_message, about_recipient


async def test_success_here_is_reported_as_delivered(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        sent = await send(
            site, f"{BOB} NOTIFY=SUCCESS ORCPT=rfc822;bob+2Bx@elsewhere.test", mail="RET=FULL ENVID=QQ+2B314159"
        )
        (report,) = await reports(site, 1)
        about_message, about_recipient = fields(report)
        assert report["Subject"] == "Your message was delivered"
        assert about_message["Original-Envelope-Id"] == "QQ+314159"
        assert about_message["Arrival-Date"]
        assert about_recipient["Original-Recipient"] == "rfc822; bob+x@elsewhere.test"
        assert about_recipient["Final-Recipient"] == f"rfc822; {BOB}"
        assert (about_recipient["Action"], about_recipient["Status"]) == ("delivered", "2.0.0")
        assert "body text" not in report.as_string(), "RFC 3461 §6.2: a success brings the header alone"
        story = await site.when(sent, lambda story: "report-sent" in kinds(story, BOB))
        assert "bob@here.test: the delivery was reported to alice@here.test" in "\n".join(
            line.text for line in story.lines()
        )


async def test_a_next_hop_that_reports_itself_is_asked_to(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        to = "dora@onlya.test"
        sent = await send(site, f"{to} NOTIFY=SUCCESS,DELAY ORCPT=rfc822;d@x.test", mail="RET=HDRS ENVID=abc")
        story = await site.settled(sent)
        (letter,) = site.world.bag.to(to)
        assert (letter.parameters.ret, letter.parameters.envid) == ("HDRS", "abc")
        assert (int(letter.wishes[to].notify), letter.wishes[to].orcpt) == (2 | 8, "rfc822;d@x.test")
        assert kinds(story, to) == ["queued", "delivered"]


async def test_one_that_does_not_is_reported_as_relayed(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await send(site, "dora@plain.test NOTIFY=SUCCESS")
        (report,) = await reports(site, 1)
        (letter,) = site.world.bag.to("dora@plain.test")
        assert letter.parameters == MailParameters(size=letter.parameters.size)
        _, about = fields(report)
        assert (about["Action"], about["Remote-MTA"]) == ("relayed", "dns; mx.plain.test")
        assert about["Original-Recipient"] is None
        assert "It makes no reports of success" in report.get_body(("plain",)).get_content().replace("\n    ", " ")


async def test_never_and_success_alone_leave_failures_untold(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        for asked in ("NEVER", "SUCCESS", "DELAY"):
            story = await site.settled(await send(site, f"{NO} NOTIFY={asked}"))
            assert kinds(story, NO) == ["queued", "bounced", "report-withheld"]
        assert await site.inbox(ALICE) == []
        story = await site.settled(await send(site, f"{NO} NOTIFY=FAILURE,DELAY"))
        assert kinds(story, NO) == ["queued", "bounced", "report-sent"]


async def test_what_comes_back_of_a_failure_is_asked_for(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.settled(await send(site, NO, mail="RET=HDRS"))
        await site.settled(await send(site, NO, mail="RET=FULL"))
        headers, full = await reports(site, 2)
        assert "body text" not in headers.as_string()
        assert "body text" in full.as_string()
        assert fields(full)[1]["Original-Recipient"] is None


async def test_an_alias_of_one_passes_everything_on(tmp_path: Path) -> None:
    """RFC 3461 §5.2.7.2."""
    async with running_site(tmp_path) as site:
        await site.tenants.add_alias("dora@here.test", ["dora@onlya.test"])
        await site.settled(await send(site, "dora@here.test NOTIFY=SUCCESS ORCPT=rfc822;dora@here.test"))
        (letter,) = site.world.bag.to("dora@onlya.test")
        assert (int(letter.wishes["dora@onlya.test"].notify), letter.wishes["dora@onlya.test"].orcpt) == (
            2,
            "rfc822;dora@here.test",
        )
        assert await site.inbox(ALICE) == []


async def test_an_alias_of_several_is_reported_as_expanded(tmp_path: Path) -> None:
    """§5.2.7.3 c: once for the alias; its members are asked for all but their success."""
    async with running_site(tmp_path) as site:
        await site.tenants.add_alias("all@here.test", [BOB, "dora@onlya.test"])
        sent = await send(site, "all@here.test NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;all@here.test")
        await site.settled(sent)
        (report,) = await reports(site, 1)
        _, about = fields(report)
        assert (about["Action"], about["Final-Recipient"]) == ("expanded", "rfc822; all@here.test")
        (letter,) = site.world.bag.to("dora@onlya.test")
        assert int(letter.wishes["dora@onlya.test"].notify) == 4
        story = await site.when(sent, lambda story: "report-sent" in kinds(story))
        assert len(await site.inbox(ALICE)) == 1
        assert "that it was sent on to several was reported to" in "\n".join(line.text for line in story.lines())


async def test_strangers_get_what_they_ask_for_and_nothing_else(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_alias("away@here.test", [NO])
        story = await site.settled(await send(site, "away@here.test", service="mx", sender="eve@onlya.test"))
        assert kinds(story, NO)[-1] == "report-withheld"
        asked = "away@here.test NOTIFY=FAILURE"
        await site.settled(await send(site, asked, service="mx", sender="eve@onlya.test", mail="RET=FULL"))
        await send(site, f"{BOB} NOTIFY=SUCCESS", service="mx", sender="eve@onlya.test", mail="RET=FULL")
        letters = await until(_taken(site, "eve@onlya.test"), lambda found: len(found) == 2)
        assert all(letter.reverse_path == "" for letter in letters)
        assert all(b"body text" not in (letter.content or b"body text") for letter in letters)


async def test_strangers_get_nothing_where_a_setting_says_so(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"delivery": {"dsn_to_strangers": False}}) as site:
        sent = await send(site, f"{BOB} NOTIFY=SUCCESS", service="mx", sender="eve@onlya.test")
        story = await site.when(sent, lambda story: len(kinds(story, BOB)) == 2)
        assert kinds(story, BOB) == ["delivered", "report-withheld"]


async def test_who_waits_long_is_told_once(tmp_path: Path) -> None:
    to = "late@down.test"
    async with running_site(tmp_path, {"delivery": {"warn_after": 0.3}}) as site:
        sent = await send(site, to, mail="ENVID=slow")
        story = await site.when(sent, lambda story: kinds(story, to).count("deferred") >= 5)
        assert kinds(story, to).count("report-sent") == 1
        (report,) = await site.inbox(ALICE)
        _, about = fields(report)
        assert report["Subject"] == "Your message is late"
        assert (about["Action"], about["Status"][0]) == ("delayed", "4")
        assert about["Will-Retry-Until"]
        assert delivery_to(story, to).state is DeliveryState.QUEUED
        assert "the delay was reported" in "\n".join(line.text for line in story.lines())


async def test_who_asked_for_failures_alone_is_not_told_of_a_delay(tmp_path: Path) -> None:
    to = "late@down.test"
    async with running_site(tmp_path, {"delivery": {"warn_after": 0.1}}) as site:
        sent = await send(site, f"{to} NOTIFY=FAILURE")
        story = await site.when(sent, lambda story: kinds(story, to).count("deferred") >= 4)
        assert "report-sent" not in kinds(story, to)
        assert await site.inbox(ALICE) == []


def _taken(site: Site, address: str):  # type: ignore[no-untyped-def]
    async def read():  # type: ignore[no-untyped-def]
        return site.world.bag.to(address)

    return read
