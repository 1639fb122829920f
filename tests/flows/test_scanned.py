"""Milters on a whole server: what each is told, what each may do, and what happens while one is not there."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from postroad.app.check import Grade, _scanners
from postroad.intake.commit import Prepared
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import parse_forward_path, parse_reverse_path
from postroad.mail.envelope import Origin
from postroad.mail.status import Status
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState
from postroad.proto.milterwire import Step
from postroad.reports.story import SCANNED, Story
from postroad.testing import milter as fake
from postroad.testing.conversation import Talk
from postroad.testing.milter import CONTINUE, FakeMilter, running_milter
from postroad.testing.site import ALICE, BOB, Site, letter, running_site, states, until

STRANGER = "stranger@far.test"


@asynccontextmanager
async def scanned(folder: Path, *milters: FakeMilter, **settings: object) -> AsyncIterator[Site]:
    """A site whose mail those see, in that order."""
    tables = [{"name": f"m{number}", "url": each.url, **settings} for number, each in enumerate(milters)]
    async with running_site(folder, {"scanner": tables}) as site:
        yield site


@asynccontextmanager
async def one(folder: Path, milter: FakeMilter, **settings: object) -> AsyncIterator[Site]:
    async with running_milter(milter), scanned(folder, milter, **settings) as site:
        yield site


async def reply_to(site: Site, *recipients: str, sender: str = STRANGER, content: bytes | None = None) -> list[str]:
    """Every answer from MAIL to the message's end, or to the first that is no good."""
    answers: list[str] = []
    async with Talk(site, "mx") as talk:
        for line in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"):
            await talk.say(line)
            answers.append(talk.answer)
            if line == "DATA" or (line[0] == "M" and answers[-1][0] != "2"):
                break
        if answers[-1].startswith("354"):
            await talk.say((content or letter(sender, recipients[0])).decode() + ".")
            answers.append(talk.answer)
    return answers


def scanner_lines(story: Story) -> list[str]:
    return [line.text for line in story.lines() if line.kind == SCANNED]


async def received(site: Site, address: str = BOB) -> bytes:
    (raw,) = await site.raw_inbox(address)
    return raw


async def test_it_is_told_of_everything_in_order_with_its_macros(tmp_path: Path) -> None:
    milter = FakeMilter(offer=fake.offer(steps=Step.LEADING_SPACE))
    async with one(tmp_path, milter) as site:
        message = await site.receive(BOB, X_Odd="two\r\n\tlines")
        assert milter.commands.startswith("CHMRT" + "L" * 5 + "NBE")
        (connect,) = milter.said(b"C")
        assert connect.startswith(b"[127.0.0.1]\x004")
        assert connect.endswith(b"127.0.0.1\0")
        assert milter.said(b"H") == [b"client.test\0"]
        assert milter.said(b"M")[0].split(b"\0")[0] == b"<stranger@far.test>"
        assert milter.said(b"R") == [b"<bob@here.test>\0"]
        assert b"X-Odd\0 two\n\tlines\0" in milter.said(b"L")
        assert milter.body == b"How are you?\r\n"
        connection = milter.macros(b"C")
        assert connection["j"] == "mail.example.test"
        assert connection["{daemon_name}"] == "mx"
        assert connection["v"].startswith("Postroad ")
        assert milter.macros(b"R")["{rcpt_mailer}"] == "local"
        assert milter.macros(b"E")["i"]
        (line,) = scanner_lines(await site.story(message))
        assert line.startswith("scanner m0: nothing against it; ")
        assert "scanner m0" in await site.run("message", "trace", id_text(message))


async def test_a_session_has_one_conversation(tmp_path: Path) -> None:
    milter = FakeMilter()
    async with one(tmp_path, milter) as site:
        async with site.client("mx") as client:
            for _ in range(2):
                await client.sendmail(STRANGER, [BOB], letter(STRANGER, BOB))
            await client.execute_command(b"MAIL FROM:<>")
            await client.execute_command(b"FROB")
            await client.rset()
        await until(lambda: _now(milter.open), lambda count: count == 0)
        assert milter.connections == 1
        assert milter.commands == "CHMRTLLLLNBEMRTLLLLNBEMUAQ"
        assert milter.said(b"U") == [b"FROB\0"]


async def _now(value: int) -> int:
    return value


REFUSALS = {b"C": 0, b"H": 0, b"M": 0, b"R": 1, b"T": 2, b"L": 3, b"N": 3, b"B": 3, b"E": 3}


async def test_it_refuses_at_every_stage(tmp_path: Path) -> None:
    milter = FakeMilter()
    async with one(tmp_path, milter) as site:
        for word, code in ((fake.REJECT, "550 5.7.1"), (fake.TEMPFAIL, "451 4.7.1")):
            for command, place in REFUSALS.items():
                milter.script = {command: [word]}
                answers = await reply_to(site, BOB)
                assert answers[place].startswith(code), command
                assert not any(answer[0] in "45" for answer in answers[:place]), command
        rows = await site.refusals(2 * len(REFUSALS))
        assert all(row.cause.startswith("scanner m0 at ") for row in rows if row.reply_code != 554)
        assert not await site.messages()


async def test_its_own_words_are_said(tmp_path: Path) -> None:
    milter = FakeMilter(
        {b"E": [fake.reply("451-4.7.1 come\r\n451 4.7.1 back at 100%%")], b"R": [fake.reply("554 no"), CONTINUE]}
    )
    async with one(tmp_path, milter) as site:
        answers = await reply_to(site, ALICE, BOB)
    assert answers[1] == "554 5.7.1 no"
    assert answers[-1] == "451 4.7.1 come back at 100%"


async def test_it_sends_a_client_away(tmp_path: Path) -> None:
    milter = FakeMilter()
    async with one(tmp_path, milter) as site:
        for word in (fake.SHUTDOWN, fake.FAIL, fake.reply("421 4.3.2 go away")):
            milter.script = {b"R": [word]}
            async with Talk(site, "mx") as talk:
                await talk.say("MAIL FROM:<>")
                assert await talk.say(f"RCPT TO:<{BOB}>") == 421


async def test_it_changes_header_body_and_envelope(tmp_path: Path) -> None:
    end = b"".join(
        (
            fake.add("X-Last", "z"),
            fake.insert(0, "X-Top", "a"),
            fake.insert(1, "X-Signed", "line\n\tfolded\nX-Evil: no"),
            fake.change(1, "Subject", "other"),
            fake.change(1, "X-Odd", ""),
            fake.change(2, "X-Odd", "kept"),
            fake.sender("<new@far.test>"),
            fake.recipient("<alice@here.test>"),
            fake.not_recipient("<BOB@here.test>"),
            fake.body(b"Another\nbody"),
            fake.body(b", in two.\r"),
            fake.body(b"\n.\r\n"),
            fake.PROGRESS,
            fake.ACCEPT,
        )
    )
    async with one(tmp_path, FakeMilter({b"E": [end]})) as site:
        content = letter(STRANGER, BOB, X_Odd="1").replace(b"X-Odd: 1\r\n", b"X-Odd: 1\r\nX-Odd: 2\r\n")
        answers = await reply_to(site, BOB, content=content)
        assert answers[-1].startswith("250")
        raw = await received(site, ALICE)
        assert not await site.raw_inbox(BOB)
        top, _, rest = raw.partition(b"X-Top: a\r\nReceived: ")
        assert top.startswith(b"Return-Path: <new@far.test>\r\n")
        assert b"\r\nX-Signed: line\r\n\tfolded\r\n\tX-Evil: no\r\nFrom: " in rest
        assert b"\r\nSubject: other\r\nX-Odd: kept\r\n" in rest
        assert b"X-Odd: 1" not in rest
        assert rest.endswith(b"\r\nX-Last: z\r\n\r\nAnother\r\nbody, in two.\r\n.\r\n")
        (message,) = await site.messages()
        (line,) = scanner_lines(await site.story(message.id))
        for word in ("added X-Last", "changed Subject", "removed X-Odd", "replaced the body", "recipient"):
            assert word in line


async def test_a_quarantined_message_is_held_until_released(tmp_path: Path) -> None:
    milter = FakeMilter({b"E": [fake.quarantine("looks odd") + CONTINUE]})
    async with one(tmp_path, milter) as site:
        message = await site.receive(BOB)
        story = await site.story(message)
        (delivery,) = story.deliveries
        assert delivery.state is DeliveryState.HELD
        assert delivery.held_for == "m0: looks odd"
        assert not await site.raw_inbox()
        await site.run("queue", "release", "--message", id_text(message))
        story = await site.settled(message)
        assert states(story)[BOB] is DeliveryState.DELIVERED


async def test_a_discarded_message_is_for_nobody_and_on_record(tmp_path: Path) -> None:
    milter = FakeMilter()
    async with one(tmp_path, milter) as site:
        for command in (b"C", b"M", b"R", b"B", b"E"):
            milter.script = {command: [fake.DISCARD]}
            assert (await reply_to(site, BOB))[-1].startswith("250")
            message = (await site.messages())[-1]
            story = await site.story(message.id)
            assert states(story)[BOB] is DeliveryState.CANCELLED, command
            assert any("discarded" in line for line in scanner_lines(story)), command
        assert not await site.raw_inbox(BOB)


async def test_one_that_has_accepted_hears_no_more_of_it(tmp_path: Path) -> None:
    milter, other = FakeMilter({b"M": [fake.ACCEPT]}), FakeMilter({b"H": [fake.ACCEPT]})
    async with running_milter(milter), running_milter(other), scanned(tmp_path, milter, other) as site:
        async with site.client("mx") as client:
            for _ in range(2):
                await client.sendmail(STRANGER, [BOB], letter(STRANGER, BOB))
        await until(lambda: _now(milter.open + other.open), lambda count: count == 0)
    assert milter.commands == "CHMAMAQ"
    assert other.commands == "CHQ"


async def test_the_second_sees_what_the_first_has_changed(tmp_path: Path) -> None:
    first = FakeMilter({b"E": [fake.change(1, "Subject", "new") + fake.body(b"new\r\n") + CONTINUE]})
    second = FakeMilter()
    async with running_milter(first), running_milter(second, str(tmp_path / "s")):
        async with scanned(tmp_path, first, second) as site:
            await site.receive(BOB)
    assert b"Subject\0new\0" in second.said(b"L")
    assert second.body == b"new\r\n"


async def test_it_hears_nothing_of_what_it_does_not_want(tmp_path: Path) -> None:
    left_out = Step.NO_CONNECT | Step.NO_HELO | Step.NO_MAIL | Step.NO_RCPT | Step.NO_DATA | Step.NO_BODY
    left_out |= Step.NO_HEADERS | Step.NO_END_OF_HEADER | Step.NO_UNKNOWN
    milter = FakeMilter(offer=fake.offer(steps=left_out))
    async with one(tmp_path, milter) as site:
        await site.receive(BOB)
    assert milter.commands.rstrip("Q") == "E"


async def test_it_answers_nothing_that_needs_no_answer(tmp_path: Path) -> None:
    silent = Step(0xFF080)
    milter = FakeMilter(offer=fake.offer(steps=silent), steps=silent)
    async with one(tmp_path, milter) as site:
        await site.receive(BOB)
    assert milter.commands.rstrip("Q") == "CHMRTLLLLNBE"


async def test_it_hears_of_recipients_that_we_refuse_if_it_likes(tmp_path: Path) -> None:
    milter, other = FakeMilter(offer=fake.offer(steps=Step.REJECTED_RCPT)), FakeMilter()
    async with running_milter(milter), running_milter(other), scanned(tmp_path, milter, other) as site:
        await reply_to(site, "nobody@here.test")
    assert milter.said(b"R") == [b"<nobody@here.test>\0"]
    assert milter.macros(b"R")["{rcpt_mailer}"] == "error"
    assert milter.macros(b"R")["{rcpt_host}"] == "5.1.1"
    assert not other.said(b"R")


async def test_it_gets_the_macros_that_it_asked_for(tmp_path: Path) -> None:
    milter = FakeMilter(offer=fake.offer(symbols={0: "j {client_addr}", 5: "i"}))
    async with one(tmp_path, milter) as site:
        await site.receive(BOB)
    assert milter.macros(b"C") == {"j": "mail.example.test", "{client_addr}": "127.0.0.1"}


LARGE = letter(STRANGER, BOB) + b"".join(b"%07d .......................................\r\n" % n for n in range(20_000))


async def test_a_large_body_comes_in_pieces_and_is_stored_once(tmp_path: Path) -> None:
    milter = FakeMilter({b"E": [fake.add("X-Seen", "yes") + CONTINUE]})
    async with one(tmp_path, milter) as site:
        assert (await reply_to(site, BOB, content=LARGE))[-1].startswith("250")
        assert milter.body == LARGE.partition(b"\r\n\r\n")[2]
        assert len(milter.said(b"B")) >= 14
        assert max(map(len, milter.said(b"B"))) <= 65535
        raw = await received(site)
        assert raw.endswith(LARGE.partition(b"\r\n\r\n")[2])
        assert b"X-Seen: yes\r\n\r\n0000000" in raw.replace(b"How are you?\r\n", b"")
        assert not list((tmp_path / "node" / "data" / "large").glob("*.part"))


async def test_it_may_have_seen_enough_of_a_body(tmp_path: Path) -> None:
    milter = FakeMilter({b"B": [CONTINUE, fake.SKIP]})
    async with one(tmp_path, milter) as site:
        assert (await reply_to(site, BOB, content=LARGE))[-1].startswith("250")
    assert len(milter.said(b"B")) == 2
    assert milter.said(b"E")


async def test_another_large_body_goes_by_way_of_a_file(tmp_path: Path) -> None:
    piece = b"x" * 70 + b"\r\n"
    milter = FakeMilter({b"E": [fake.body(piece * 900) * 12 + CONTINUE]})
    async with one(tmp_path, milter) as site:
        assert (await reply_to(site, BOB))[-1].startswith("250")
        assert (await received(site)).endswith(b"\r\n\r\n" + piece * 900 * 12)


async def test_what_is_larger_than_it_can_take_is_not_shown_to_it(tmp_path: Path) -> None:
    milter = FakeMilter()
    async with one(tmp_path, milter, max_size=2048) as site:
        await reply_to(site, BOB, content=letter(STRANGER, BOB) + b"x" * 70 + b"\r\n" + b"y" * 900 * 2 + b"\r\n")
        (message,) = await site.messages()
        assert "too large for it" in scanner_lines(await site.story(message.id))[0]
    assert not milter.said(b"E")


SHORT = {"connect_timeout": 0.3, "command_timeout": 0.3, "message_timeout": 0.3, "rest": 60.0}


FAILURES: list[tuple[bytes, fake.Answer]] = [
    (b"C", fake.Stall),
    (b"H", fake.Hang),
    (b"M", b"\0\0\0\1z"),
    (b"M", fake.add("X", "y")),
    (b"R", b"\0\0\0\0"),
    (b"L", fake.Hang),
    (b"B", b"\xff\xff\xff\xff"),
    (b"E", fake.Stall),
    (b"E", fake.add("X", "y") + fake.body(b"lost") + b"\0\0\0\1z"),
]


@pytest.mark.parametrize("setting", ["accept", "defer"])
async def test_one_that_fails_is_as_the_setting_says(tmp_path: Path, setting: str) -> None:
    milter = FakeMilter()
    async with one(tmp_path, milter, on_failure=setting, **SHORT) as site:
        for command, word in FAILURES:
            milter.script = {command: [word]}
            answers = await reply_to(site, BOB)
            if setting == "defer":
                assert any(answer.startswith("451 4.7.1") for answer in answers), (command, answers)
            else:
                assert answers[-1][0] == "2", (command, answers)
                message = (await site.messages())[-1]
                assert "not asked: " in scanner_lines(await site.story(message.id))[0], command
            site.node.scanning.scanners[0].circuit.worked()
        assert len(await site.messages()) == (len(FAILURES) if setting == "accept" else 0)
        for raw in await site.raw_inbox(BOB):
            assert b"\r\nX: y" not in raw
            assert raw.endswith(b"\r\n\r\nHow are you?\r\n")


async def test_while_one_is_down_mail_waits_for_nothing_and_people_are_told(tmp_path: Path) -> None:
    milter = FakeMilter({b"M": [fake.Stall]})
    async with running_milter(milter), scanned(tmp_path, milter, **SHORT) as site:
        await site.tenants.add_alias("postmaster@here.test", [ALICE])
        for _ in range(5):
            assert (await reply_to(site, BOB))[0].startswith("451 4.7.1")
        assert milter.connections == 3
        up = [gauge.value for gauge in await site.node.gauges() if gauge.name == "scanner_up"]
        assert up == [False]
        (told,) = await until(lambda: site.inbox(ALICE), bool)
        assert told["Subject"] == "The scanner m0 does not answer"
        assert "451" in str(told.get_content())  # type: ignore[attr-defined]
        milter.script = {}
        site.node.scanning.scanners[0].circuit._until = 0.0
        await site.receive(BOB)
        inbox = await until(lambda: site.inbox(ALICE), lambda found: len(found) == 2)
        assert "answers again" in inbox[-1]["Subject"]


async def test_the_mail_of_programs_and_people_is_shown_too(tmp_path: Path) -> None:
    milter = FakeMilter({b"E": [fake.add("X-Seen", "yes") + CONTINUE]})
    async with one(tmp_path, milter, services=["submission"]) as site:
        await site.receive(BOB)
        assert not milter.heard
        await site.submit(BOB)
        assert milter.macros(b"M")["{auth_authen}"] == ALICE
        names = [data.split(b"\0")[0] for data in milter.said(b"L")]
        assert b"Message-ID" in names
        answer = await site.node.intake.submit_local(ALICE, [BOB], letter(ALICE, BOB))
        assert answer.is_success
        assert milter.connections == 2
        assert milter.said(b"C")[1].startswith(b"localhost\x004")
        seen = [b"X-Seen: yes" in raw for raw in await site.raw_inbox(BOB)]
        assert sorted(seen) == [False, True, True]


async def test_a_program_hears_of_a_refusal(tmp_path: Path) -> None:
    async with one(tmp_path, FakeMilter({b"R": [CONTINUE, fake.REJECT]})) as site:
        answer = await site.node.intake.submit_local(ALICE, [BOB, ALICE], letter(ALICE, BOB))
        assert answer.reply_code == 550
        assert not await site.messages()


async def test_a_client_that_goes_meanwhile_is_no_failure_of_the_scanner(tmp_path: Path) -> None:
    slow = fake.Wait()
    milter = FakeMilter({b"M": [slow]})
    async with one(tmp_path, milter) as site:
        endpoint = site.node.endpoints["mx"][0]
        _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(b"EHLO x.test\r\nMAIL FROM:<>\r\n")
        await until(lambda: _now(len(milter.said(b"M"))), bool)
        linger = struct.pack("ii", 1, 0)  # a reset: an orderly end would let it wait for its answer
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        await until(lambda: _now(site.node._doorman.count), lambda count: count == 0)
        slow.over.set()
        await until(lambda: _now(milter.open), lambda count: count == 0)
        assert not site.node.scanning.scanners[0].circuit._failures


async def test_a_message_that_is_left_without_recipients_is_on_record(tmp_path: Path) -> None:
    milter = FakeMilter({b"E": [fake.not_recipient(f"<{BOB}>") + fake.not_recipient(ALICE) + CONTINUE]})
    async with one(tmp_path, milter) as site:
        assert (await reply_to(site, ALICE, BOB))[-1].startswith("250")
        (message,) = await site.messages()
        found = states(await site.story(message.id))
        assert found == {ALICE: DeliveryState.CANCELLED, BOB: DeliveryState.CANCELLED}


async def test_wishes_that_cannot_be_done_are_left(tmp_path: Path) -> None:
    wrong = fake.sender("no address at all") + fake.recipient("<nobody@here.test>") + fake.recipient("<a b>")
    right = fake.recipient(f"<{ALICE}>", "NOTIFY=NEVER") + fake.sender("<new@far.test>", "RET=HDRS")
    milter = FakeMilter()
    async with one(tmp_path, milter) as site:
        for words, sender in ((right + wrong, STRANGER), (wrong + right, "new@far.test")):
            milter.script = {b"E": [words + CONTINUE]}
            assert (await reply_to(site, BOB))[-1].startswith("250")
            message = (await site.messages())[-1]
            assert message.reverse_path == sender
        assert set(states(await site.story(message.id))) == {ALICE, BOB}


async def test_the_mail_of_the_http_api_is_shown_too(tmp_path: Path) -> None:
    milter = FakeMilter({b"E": [fake.add("X-Seen", "yes") + CONTINUE, fake.REJECT]})
    async with one(tmp_path, milter) as site:
        intake, origin = site.node.intake, Origin("api", "0c1", "192.0.2.7", 0, "", "shop")
        prepared = []
        for _ in range(2):
            milter.script = {b"E": [fake.REJECT]} if prepared else milter.script
            mail = intake.begin(origin, parse_reverse_path(ALICE))
            assert isinstance(mail, MailTransaction)
            await intake.bounce_or_take(mail, parse_forward_path(BOB))
            prepared.append(await intake.prepare(mail, intake.spool(mail), letter(ALICE, BOB)))
        ready, refused = prepared
        assert isinstance(ready, Prepared)
        assert isinstance(refused, Status)
        assert refused.reply_code == 550
        assert [answer.is_success for answer in await intake.commit_all([ready])] == [True]
        assert b"\r\nX-Seen: yes\r\n" in await received(site)
        assert milter.macros(b"M")["{auth_authen}"] == "shop"


async def test_check_says_who_answers(tmp_path: Path) -> None:
    milter = FakeMilter()
    async with running_milter(milter), scanned(tmp_path, milter) as site:
        settings = site.node.settings
        (found,) = [finding async for finding in _scanners(settings)]
        assert (found.grade, found.area) == (Grade.OK, "scanners")
        assert found.text.startswith("m0 answers (version 6, adds fields")
        gone = dataclasses.replace(settings.scanner[0], url=f"milter:unix:{tmp_path}/nobody")
        (found,) = [finding async for finding in _scanners(dataclasses.replace(settings, scanner=(gone,)))]
        assert found.grade is Grade.PROBLEM
        assert "mail is put off" in found.text


async def test_few_conversations_are_shared(tmp_path: Path) -> None:
    milter = FakeMilter()
    async with running_milter(milter):
        tables = [{"name": "m", "url": milter.url, "connect_timeout": 0.3}]
        sections = {"scanner": tables, "limits": {"min_free": 1 << 20, "max_scans": 1}}
        async with running_site(tmp_path, sections) as site, Talk(site, "mx") as idle, Talk(site, "mx") as busy:
            for talk in (idle, busy):  # the one that is idle makes room for the other
                await talk.say("MAIL FROM:<>")
                await talk.say(f"RCPT TO:<{BOB}>")
                await talk.body(letter(STRANGER, BOB))
            assert milter.connections == 2
            assert await busy.say("MAIL FROM:<>") == 250
            assert await idle.say("MAIL FROM:<>") == 451
            assert await busy.say("RSET") == 250
            assert await idle.say("MAIL FROM:<>") == 250
