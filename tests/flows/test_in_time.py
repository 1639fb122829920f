"""Mail for later, mail in time, mail of rank: FUTURERELEASE, DELIVERBY, MT-PRIORITY (RFC 4865, 2852, 6710)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

from postroad.lab.receivers import Letter
from postroad.ports.ids import MessageId, id_text, parse_id
from postroad.ports.store import DeliveryState
from postroad.testing.conversation import Talk
from postroad.testing.site import ALICE, BOB, Site, delivery_to, kinds, running_site, states, until

LETTER = b"From: <alice@here.test>\r\nSubject: hi\r\n\r\nbody text\r\n"
FAR = "dora@onlya.test"
DOWN = "late@down.test"
PLAIN = "dora@plain.test"


async def send(site: Site, *recipients: str, mail: str) -> MessageId:
    async with Talk(site) as talk:
        await talk.login(ALICE)
        assert await talk.say(f"MAIL FROM:<{ALICE}> {mail}") == 250, talk.answer
        for recipient in recipients:
            assert await talk.say(f"RCPT TO:<{recipient}>") == 250, talk.answer
        answer = await talk.body(LETTER)
    return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)


def taken(site: Site, address: str) -> Callable[[], Awaitable[list[Letter]]]:
    async def read() -> list[Letter]:
        return site.world.bag.to(address)

    return read


async def report(site: Site) -> EmailMessage:
    (found,) = await until(lambda: site.inbox(ALICE), lambda found: len(found) > 0)
    return found


async def entry(site: Site, message: MessageId) -> str:
    """How the queue calls its one recipient."""
    (delivery,) = (await site.story(message)).deliveries
    return id_text(delivery.id)


def action(made: EmailMessage) -> tuple[str, str]:
    about = list(made.iter_parts())[1].get_payload()[1]
    return about["Action"], about["Status"]


async def test_strangers_are_offered_none_of_it(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        async with Talk(site, "mx") as talk:
            assert not {"FUTURERELEASE", "DELIVERBY", "MT-PRIORITY"} & talk.offered.keys()
            assert await talk.say("MAIL FROM:<a@far.test> HOLDFOR=60") == 555
            assert await talk.say("MAIL FROM:<a@far.test> MT-PRIORITY=9") == 555
            assert await talk.say("MAIL FROM:<a@far.test> BY=60;R") == 555


async def test_mail_is_held_until_its_time_and_then_goes_everywhere(tmp_path: Path) -> None:
    """To a next hop and to mailboxes here, each with its report; until then it is in the queue."""
    async with running_site(tmp_path) as site:
        async with Talk(site) as talk:
            await talk.login(ALICE)
            assert talk.offered["FUTURERELEASE"].split()[0] == "2592000"
            await talk.say(f"MAIL FROM:<{ALICE}> HOLDFOR=2")
            await talk.say(f"RCPT TO:<{FAR}>")
            await talk.say(f"RCPT TO:<{BOB}> NOTIFY=SUCCESS")
            answer = await talk.body(LETTER)
        sent = MessageId(parse_id(answer.rpartition(" ")[2]) or 0)
        story = await site.story(sent)
        assert set(states(story).values()) == {DeliveryState.QUEUED}
        due = delivery_to(story, BOB).due
        assert due is not None
        assert due == story.message.created + timedelta(seconds=2)
        assert f"held until {due.astimezone():%Y-%m-%d %H:%M:%S}" in "\n".join(line.text for line in story.lines())
        assert not await site.inbox(BOB)
        story = await site.settled(sent)
        assert set(states(story).values()) == {DeliveryState.DELIVERED}
        finished = [delivery.finished for delivery in story.deliveries]
        assert all(when is not None and when >= due for when in finished)
        (raw,) = await site.raw_inbox(BOB)
        assert raw.startswith(b"Return-Path: <alice@here.test>\r\nDelivered-To: bob@here.test\r\n")
        assert raw.endswith(LETTER)
        assert action(await report(site)) == ("delivered", "2.0.0")
        assert len(site.world.bag.to(FAR)) == 1


async def test_a_held_message_can_be_cancelled_and_sent_at_once(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        held = await send(site, BOB, mail="HOLDFOR=3600")
        kept = await send(site, BOB, mail="HOLDFOR=3600")
        await site.run("queue", "cancel", await entry(site, held))
        await site.settled(held)
        assert kinds(await site.story(held), BOB)[-1] == "cancelled"
        assert states(await site.story(kept))[BOB] is DeliveryState.QUEUED
        await site.run("queue", "retry", await entry(site, kept))
        assert states(await site.settled(kept))[BOB] is DeliveryState.DELIVERED


async def test_the_mailbox_may_be_gone_by_then(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_account("carol@here.test", "secret")
        sent = await send(site, "carol@here.test", mail="HOLDFOR=1")
        await site.tenants.remove_account("carol@here.test")
        story = await site.settled(sent)
        assert states(story) == {"carol@here.test": DeliveryState.BOUNCED}
        assert action(await report(site)) == ("failed", "5.1.1")


async def test_no_longer_than_is_allowed(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"limits": {"max_hold": 100.0}}) as site, Talk(site) as talk:
        await talk.login(ALICE)
        now = datetime.now(UTC)
        for seconds, code in ((60, 250), (3600, 501)):
            until_then = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
            assert await talk.say(f"MAIL FROM:<{ALICE}> HOLDUNTIL={until_then}") == code
            await talk.say("RSET")
        assert await talk.say(f"MAIL FROM:<{ALICE}> HOLDFOR=101") == 501
        assert await talk.say(f"MAIL FROM:<{ALICE}> HOLDFOR=100") == 250


async def test_what_is_too_late_is_returned(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await send(site, DOWN, mail="BY=1;R"))
        assert states(story) == {DOWN: DeliveryState.EXPIRED}
        made = await report(site)
        assert action(made) == ("failed", "5.4.7")
        assert "It was to be there by a certain time" in " ".join(made.get_body(("plain",)).get_content().split())


async def test_what_is_late_is_told_and_tried_on(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        sent = await send(site, DOWN, mail="BY=1;N")
        story = await site.when(sent, lambda story: "report-sent" in kinds(story, DOWN))
        assert states(story) == {DOWN: DeliveryState.QUEUED}
        assert action(await report(site))[0] == "delayed"


async def test_a_next_hop_that_keeps_time_is_told_what_is_left(tmp_path: Path) -> None:
    """The lab's receivers list us, so that they offer it."""
    async with running_site(tmp_path) as site:
        site.world.receivers["onlya.test"].listed = True
        story = await site.settled(await send(site, FAR, mail="BY=600;RT MT-PRIORITY=4"))
        (letter,) = site.world.bag.to(FAR)
        by = letter.parameters.deliver_by
        assert by is not None
        assert (590 <= by.seconds <= 600, by.mode, by.trace) == (True, "R", True)
        assert letter.parameters.priority == 4
        assert action(await report(site)) == ("relayed", "2.0.0")
        assert "asked for: BY=600;RT MT-PRIORITY=4" in story.lines()[0].text


async def test_one_that_does_not_gets_no_mail_that_must_be_in_time(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await send(site, PLAIN, mail="BY=600;R"))
        assert states(story) == {PLAIN: DeliveryState.BOUNCED}
        assert action(await report(site)) == ("failed", "5.3.3")
        assert not site.world.bag.to(PLAIN)


async def test_one_that_does_not_gets_other_mail_and_its_sender_is_told(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.settled(await send(site, PLAIN, mail="BY=600;N"))
        assert action(await report(site)) == ("relayed", "2.0.0")
        assert len(site.world.bag.to(PLAIN)) == 1
