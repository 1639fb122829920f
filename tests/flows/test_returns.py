"""What comes back: return addresses on the wire, late bounces and complaints tied to their message, suppression."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from postroad.lab.profiles.complaining import Complaining
from postroad.ports.ids import MessageId, id_text, parse_id
from postroad.ports.sending import SuppressionOrigin, SuppressionReason
from postroad.ports.store import DeliveryState
from postroad.ports.uuids import parse_uuid
from postroad.testing.site import (
    ALICE,
    BOB,
    Site,
    configuration,
    delivery_to,
    kinds,
    running_site,
    running_world,
    until,
)
from postroad.testing.web import web_node

Send = Callable[..., Awaitable[httpx.Response]]


@asynccontextmanager
async def shop(folder: Path, **tempers: object) -> AsyncIterator[tuple[Site, Send]]:
    """A server whose project `shop` sends by HTTP; what the world sends back is brought to it."""
    wanted = {name.replace("_", "."): temper for name, temper in tempers.items()}
    services = ("http", "mx", "submissions")
    async with running_world(wanted) as world, web_node(folder, services, extra=configuration(world)) as (node, client):
        site = Site(node, world)
        world.home = node.endpoints["mx"][0]
        await site.tenants.add_domain("here.test")
        await site.tenants.add_account(ALICE, "secret")
        sending = node.services.sending
        token = await sending.add_token((await sending.add_server("shop")).id)

        async def send(*to: str, **fields: str) -> httpx.Response:
            content = {"From": ALICE, "To": ", ".join(to), "Subject": "hello", "TextBody": "Hi"} | fields
            return await client.post("/email", json=content, headers={"X-Postmark-Server-Token": token.secret})

        yield site, send


def message_of(answer: httpx.Response) -> MessageId:
    assert answer.status_code == 200, answer.text
    return parse_uuid(answer.json()["MessageID"]) or MessageId(0)


async def suppressed(site: Site, stream: str = "outbound") -> dict[str, tuple[str, str]]:
    records = await site.node.services.sending.suppressions("shop", stream)
    return {record.address: (record.reason, record.origin) for record in records}


HARD = (SuppressionReason.HARD_BOUNCE, SuppressionOrigin.RECIPIENT)
SPAM = (SuppressionReason.SPAM_COMPLAINT, SuppressionOrigin.RECIPIENT)


async def refused_as_inactive(send: Send, address: str, **fields: str) -> None:
    again = await send(address, **fields)
    assert (again.status_code, again.json()["ErrorCode"]) == (422, 406)
    assert address in again.json()["Message"]


async def test_a_hard_bounce_at_once_suppresses_until_it_is_taken_back(tmp_path: Path) -> None:
    async with shop(tmp_path) as (site, send):
        story = await site.settled(message_of(await send("550@remote.test", "accept@remote.test")))
        assert "suppressed" in kinds(story, "550@remote.test")
        assert kinds(story, "accept@remote.test") == ["queued", "delivered"]
        assert await suppressed(site) == {"550@remote.test": HARD}
        await refused_as_inactive(send, "550@remote.test")
        message_of(await send("550@remote.test", MessageStream="broadcast"))  # another stream, another list
        told = await site.run("message", "trace", id_text(story.message.id))
        assert "550@remote.test: gets nothing more on the stream outbound after a hard bounce" in told
        await site.node.services.sending.unsuppress("shop", "outbound", "550@remote.test")
        message_of(await send("550@remote.test"))


async def test_a_full_mailbox_suppresses_nobody(tmp_path: Path) -> None:
    async with shop(tmp_path) as (site, send):
        story = await site.settled(message_of(await send("552@remote.test")))
        assert delivery_to(story, "552@remote.test").state is DeliveryState.BOUNCED
        assert await suppressed(site) == {}


async def test_a_stream_keeps_one_return_address_for_a_domain_and_a_day(tmp_path: Path) -> None:
    async with shop(tmp_path) as (site, send):
        for to, stream in (("a@remote.test", "outbound"), ("b@remote.test", "outbound"), ("a@onlya.test", "outbound"),
                           ("a@remote.test", "broadcast")):  # fmt: skip
            await site.settled(message_of(await send(to, MessageStream=stream)))
        letters = {(letter.recipients[0], letter.reverse_path) for letter in site.world.bag.letters}
        paths = [letter.reverse_path for letter in site.world.bag.letters]
        assert paths[0] == paths[1]
        assert len(set(paths)) == 3, letters
        assert all(path.startswith("b-1-") and path.endswith("@mail.example.test") for path in paths)
        first = site.world.bag.letters[0]
        assert parse_id(first.parameters.envid or "")
        assert first.wishes["a@remote.test"].orcpt == "rfc822;a@remote.test"


REPORTED = {  # name at late.test: the event, Postmark's name for it, whether the recipient is taken off the stream
    "bounce": ("returned", "HardBounce", True),
    "prose": ("returned", "HardBounce", True),
    "full": ("returned", "SoftBounce", False),
    "delay": ("returned", "Transient", False),
    "away": ("auto-replied", None, False),
    "challenge": ("challenged", None, False),
}


async def test_what_is_reported_later_finds_its_message_and_recipient(tmp_path: Path) -> None:
    addresses = {f"{name}@late.test": told for name, told in REPORTED.items()}
    async with shop(tmp_path) as (site, send):
        message = message_of(await send(*addresses, "accept@late.test"))
        for address, (kind, bounce_type, _) in addresses.items():
            story = await site.when(message, lambda story, a=address, k=kind: k in kinds(story, a))  # type: ignore[misc]
            event = next(e for e in story.events if e.delivery == delivery_to(story, address).id and e.kind == kind)
            assert event.detail.get("type") == bounce_type, address
            assert "unproven" not in event.detail
            report = await site.settled(MessageId(parse_id(event.detail["report"]) or 0))
            assert report.deliveries[0].dest == "feedback"
            assert report.deliveries[0].state is DeliveryState.DELIVERED
        assert kinds(story, "accept@late.test") == ["queued", "delivered"]
        hard = {address for address, (_, _, off) in addresses.items() if off}
        assert await suppressed(site) == dict.fromkeys(hard, HARD)
        for address in hard:
            await refused_as_inactive(send, address)
        assert len(site.world.reactions) == len(addresses)
        assert all(answer.startswith("250") for answer in site.world.reactions)


async def test_a_complaint_takes_who_complains_off_its_stream_alone(tmp_path: Path) -> None:
    async with shop(tmp_path) as (site, send):
        message = message_of(await send("someone@complain.test", MessageStream="broadcast"))
        story = await site.when(message, lambda story: "complained" in kinds(story, "someone@complain.test"))
        assert await suppressed(site, "broadcast") == {"someone@complain.test": SPAM}
        assert await suppressed(site) == {}
        await refused_as_inactive(send, "someone@complain.test", MessageStream="broadcast")
        told = await site.run("message", "trace", id_text(story.message.id))
        assert "the recipient complained" in told
        (read,) = await site.inbox(ALICE)  # the report itself is there too, for abuse@ is hers
        assert read.get_content_type() == "multipart/report"


async def test_a_complaint_that_does_not_say_whose_it_is_is_found_by_its_return_address(tmp_path: Path) -> None:
    async with shop(tmp_path, mx_complain_test=Complaining(redacted=True)) as (site, send):
        message = message_of(await send("someone@complain.test"))
        await site.when(message, lambda story: "complained" in kinds(story, "someone@complain.test"))
        assert await suppressed(site) == {"someone@complain.test": SPAM}


async def test_nobody_is_silenced_by_forgery(tmp_path: Path) -> None:
    """Who has had a message from a stream knows a return address: for his own domain and day, and no other."""
    async with shop(tmp_path) as (site, send):
        await site.settled(message_of(await send("spy@remote.test")))
        victim = await site.settled(message_of(await send("victim@onlya.test")))
        (known,) = {letter.reverse_path for letter in site.world.bag.to("spy@remote.test")}
        ident = id_text(victim.message.id)
        await site.settled(await receive(site, known, forged_bounce(known, "victim@onlya.test", ident)))
        refused = known.replace("b-1-", "b-2-")
        assert (await refusal(site, refused)).startswith("550")
        assert kinds(await site.story(victim.message.id), "victim@onlya.test") == ["queued", "delivered"]
        await receive(site, ALICE, forged_bounce(ALICE, "victim@onlya.test", ident))
        story = await site.when(victim.message.id, lambda story: "returned" in kinds(story, "victim@onlya.test"))
        (line,) = (event for event in story.events if event.kind == "returned")
        assert line.detail["unproven"] == "yes", "in her own mailbox she may read what she likes"
        assert await suppressed(site) == {}


def forged_bounce(to: str, victim: str, ident: str) -> bytes:
    return (
        f"From: MAILER-DAEMON@far.test\r\nTo: {to}\r\nSubject: failed\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n--x\r\n\r\nsorry\r\n'
        f"--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; far.test\r\n"
        f"Original-Envelope-Id: {ident}\r\n\r\nFinal-Recipient: rfc822; {victim}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n\r\n--x--\r\n"
    ).encode()


async def receive(site: Site, to: str, content: bytes) -> MessageId:
    async with site.client("mx") as client:
        _, answer = await client.sendmail("", [to], content)
    return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)


async def refusal(site: Site, to: str, sender: str = "", before: str = "") -> str:
    """The answer to a recipient, perhaps behind another one."""
    async with site.client("mx") as client:
        await client.ehlo()
        await client.mail(sender)
        if before:
            await client.rcpt(before)
        code, text = await client.execute_command(b"RCPT", f"TO:<{to}>".encode())
        return f"{code} {text}"


# --- people's mail ---


async def test_a_persons_late_bounce_is_told_in_the_story_and_lies_in_the_inbox(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        site.world.home = site.node.endpoints["mx"][0]
        message = await site.submit("bounce@late.test")
        story = await site.when(message, lambda story: "returned" in kinds(story, "bounce@late.test"))
        (event,) = (event for event in story.events if event.kind == "returned")
        assert (event.detail["type"], event.detail["unproven"]) == ("HardBounce", "yes")
        assert site.world.bag.letters[0].reverse_path == ALICE
        (report,) = await site.inbox(ALICE)
        assert report["Return-Path"] == "<>"
        told = await site.run("message", "trace", id_text(message))
        assert "bounce@late.test: came back from mx.late.test" in told


async def test_a_bounce_of_forwarded_mail_finds_the_first_sender(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        site.world.home = site.node.endpoints["mx"][0]
        await site.tenants.add_alias("away@here.test", ["bounce@late.test"])
        long = f"{'v' * 60}@remote.test"
        for sender in ("stranger@remote.test", long):
            site.world.bag.letters.clear()
            await site.settled(await site.receive("away@here.test", sender=sender))
            sent, back = await until(lambda: letters(site), lambda some: len(some) == 2)
            assert sent.reverse_path.startswith("f-" if sender == long else "SRS0=")
            assert sent.reverse_path.endswith("@mail.example.test")
            assert (back.reverse_path, back.recipients) == ("", (sender,))
            assert b"multipart/report" in back.content
            assert (await refusal(site, sent.reverse_path, "spammer@far.test")).startswith("550")
        assert (await refusal(site, BOB, "", sent.reverse_path)).startswith("250")
        assert (await refusal(site, sent.reverse_path, "", BOB)).startswith("452 4.5.3")  # a bounce is for one
        forged = sent.reverse_path.replace("f-", "f-0", 1)[:-1]
        assert (await refusal(site, forged)).startswith("550")


async def letters(site: Site) -> list:
    return list(site.world.bag.letters)


async def test_mail_of_our_own_people_is_forwarded_in_their_name(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_alias("away@here.test", ["accept@remote.test"])
        await site.settled(await site.submit("away@here.test"))
        assert site.world.bag.letters[0].reverse_path == ALICE


async def test_reports_to_one_address_are_capped(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"delivery": {"dsn_per_hour": 2}}) as site:
        for _ in range(3):
            last = await site.settled(await site.submit("550@remote.test"))
        assert len(await site.inbox(ALICE)) == 2
        (withheld,) = (event for event in last.events if event.kind == "report-withheld")
        assert "dsn_per_hour" in withheld.detail["why"]
