"""What Rspamd answers by HTTP, and what becomes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.config.schema import Scanner
from postroad.intake.drafts import Draft, Fields, Hold
from postroad.intake.rspamd import RspamdScanner, RspamdTalk
from postroad.intake.scanners import Changes, Circuit, ScannerFailed, ScannerRests, Slots
from postroad.intake.spool import Budget
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import parse_reverse_path
from postroad.mail.envelope import BodyFlag, Origin, TlsInfo
from postroad.ports.http import HttpAnswer, HttpFailed
from postroad.ports.ids import MessageId
from postroad.ports.net import Endpoint
from postroad.proto.milterwire import AddRecipient, ChangeSender
from postroad.testing.clock import JumpingClock

BODY = b"hello\r\n"


class Http:
    """Answers by what a test says; notes what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, list[tuple[str, str]], bytes]] = []

    async def request(self, method: str, url: str, *, headers: Any, body: Any, **_: Any) -> HttpAnswer:
        content = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
        self.asked.append((f"{method} {url}", list(headers), content))
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, HttpAnswer):
            return self.answer
        return HttpAnswer(200, {}, msgspec.json.encode(self.answer))

    async def close(self) -> None: ...


class World:
    def __init__(self, tmp_path, answer: Any, body: bytes = BODY) -> None:
        self.http = Http(answer)
        self.clock = JumpingClock()
        settings = Scanner("rspamd", "rspamd:http://127.0.0.1:11333/", max_size=2_000_000)
        scanner = RspamdScanner(settings, self.http, Slots(1), Circuit(self.clock, 30.0), "mx.here.test")
        self.talk: RspamdTalk = scanner.talk(Endpoint("", 0))
        blobs = SegmentBlobs(tmp_path)
        hold = Hold(blobs.scratch, Budget())
        hold._chunks, hold.size = [body], len(body)
        fields = Fields(b"Received: us\r\n", b"Subject: hi\r\nX-Old: 1\r\nX-Old: 2\r\n\r\n")
        self.draft = Draft(fields, hold, lambda: Hold(blobs.scratch, Budget()), BodyFlag.NONE)
        self.changes = Changes()
        origin = Origin("mx", "0c1", "192.0.2.7", 40000, "far.test", "", True, TlsInfo("TLSv1.3", "X"))
        self.mail = MailTransaction(origin, parse_reverse_path("a@far.test"))
        self.mail.message, self.mail.recipients = MessageId(7), ["b@here.test", "c@here.test"]

    async def ask(self):
        await self.talk.mail(self.mail)
        return await self.talk.message(self.mail, self.draft, self.changes)

    @property
    def block(self) -> bytes:
        return self.draft.fields.header.raw


async def test_it_is_told_of_the_client_and_shown_the_message(tmp_path):
    world = World(tmp_path, {"action": "no action"})
    assert await world.ask() is None
    ((asked, headers, content),) = world.http.asked
    assert asked == "POST http://127.0.0.1:11333/checkv2"
    assert content == b"Subject: hi\r\nX-Old: 1\r\nX-Old: 2\r\n\r\nhello\r\n"
    told = dict(headers)
    assert told["IP"] == "192.0.2.7"
    assert told["Helo"] == "far.test"
    assert told["From"] == "a@far.test"
    assert told["TLS-Version"] == "TLSv1.3"
    assert told["Content-Length"] == str(len(content))
    assert [value for name, value in headers if name == "Rcpt"] == ["b@here.test", "c@here.test"]
    assert world.talk.words == ["no action"]


async def test_it_refuses_and_puts_off(tmp_path):
    reject = World(tmp_path, {"action": "reject", "score": 20, "required_score": 15, "symbols": {"BAD": {"score": 9}}})
    refused = await reject.ask()
    assert str(refused) == "550 5.7.1 refused as spam"
    assert refused.cause == "reject (20 of 15) BAD"
    worded = World(tmp_path, {"action": "reject", "messages": {"smtp_message": "no\r\nspam"}})
    assert str(await worded.ask()) == "550 5.7.1 no  spam"
    for answer, text in (({}, "not now, try again later"), ({"smtp_message": "later"}, "later")):
        world = World(tmp_path, {"action": "soft reject", "messages": answer})
        assert str(await world.ask()) == f"451 4.7.1 {text}"


@pytest.mark.parametrize("action", ["no action", "greylist", "whatever comes next"])
async def test_what_is_no_more_than_words(tmp_path, action: str):
    world = World(tmp_path, {"action": action})
    before = world.block
    assert await world.ask() is None
    assert world.block == before


async def test_it_marks_spam(tmp_path):
    world = World(tmp_path, {"action": "add header"})
    await world.ask()
    assert b"\r\nX-Spam: Yes\r\n\r\n" in world.block
    other = World(tmp_path, {"action": "add header", "milter": {"spam_header": {"X-Junk": "sure"}}})
    await other.ask()
    assert b"\r\nX-Junk: sure\r\n\r\n" in other.block
    words = World(tmp_path, {"action": "add header", "milter": {"spam_header": "very"}})
    await words.ask()
    assert b"\r\nX-Spam: very\r\n\r\n" in words.block


async def test_it_rewrites_the_subject(tmp_path):
    world = World(tmp_path, {"action": "rewrite subject", "subject": "[spam] hi"})
    await world.ask()
    assert world.block.startswith(b"Subject: [spam] hi\r\n")


async def test_what_its_modules_want(tmp_path):
    milter = {
        "remove_headers": {"X-Old": 1, "bad name": 0},
        "add_headers": {
            "X-A": "end",
            "X-B": {"value": "top", "order": 0},
            "X-C": [{"value": "c1", "order": 1}, {"value": "c2", "order": -1}, 7],
        },
        "change_from": "new@far.test",
        "add_rcpt": ["d@here.test"],
        "del_rcpt": ["b@here.test"],
    }
    world = World(tmp_path, {"action": "no action", "milter": milter, "dkim-signature": "v=1;\r\n\ta=x"})
    assert await world.ask() is None
    assert world.draft.fields.final == (
        b"X-B: top\r\nReceived: us\r\nDKIM-Signature: v=1;\r\n\ta=x\r\nX-C: c1\r\nSubject: hi\r\nX-Old: 2\r\n"
        b"X-A: end\r\nX-C: c2\r\n\r\n"
    )
    assert world.changes.sender == ChangeSender(b"new@far.test")
    assert world.changes.added == [AddRecipient(b"d@here.test")]
    assert world.changes.removed == [b"b@here.test"]
    assert "removed X-Old" in world.talk.words


@pytest.mark.parametrize("instead", ["quarantine", "discard"])
async def test_spam_is_kept_back_or_dropped_where_it_says_so(tmp_path, instead: str):
    world = World(tmp_path, {"action": "reject", "milter": {"reject": instead}})
    assert await world.ask() is None
    assert bool(world.changes.quarantine) == (instead == "quarantine")
    assert bool(world.changes.discard) == (instead == "discard")
    plain = World(tmp_path, {"action": instead})
    assert await plain.ask() is None
    assert bool(plain.changes.quarantine) == (instead == "quarantine")
    assert bool(plain.changes.discard) == (instead == "discard")


@pytest.mark.parametrize(
    "answer",
    [HttpFailed("gone"), HttpAnswer(500, {}, b"oops"), HttpAnswer(200, {}, b"no JSON"), HttpAnswer(200, {}, b"[]")],
)
async def test_what_is_a_failure(tmp_path, answer: Any):
    world = World(tmp_path, answer)
    with pytest.raises(ScannerFailed):
        await world.ask()
    with pytest.raises(ScannerFailed):  # its slot was given back
        await world.ask()


async def test_while_it_is_left_alone_it_is_not_asked(tmp_path):
    world = World(tmp_path, {"action": "no action"})
    circuit = world.talk.scanner.circuit
    for number in range(3):
        assert circuit.failed("gone") == (number == 2)
    with pytest.raises(ScannerRests):
        await world.ask()
    await world.clock.advance(31)
    assert await world.ask() is None  # one tries
    with pytest.raises(ScannerRests):
        circuit.check()
    assert circuit.worked()
    assert not circuit.worked()
    assert await world.ask() is None


@pytest.mark.parametrize(("size", "is_shown"), [(1_900_000, True), (2_000_001, False)])
async def test_what_is_too_large_for_it(tmp_path, size: int, is_shown: bool):
    world = World(tmp_path, {"action": "no action"}, b"x" * size)
    assert await world.ask() is None
    assert bool(world.http.asked) == is_shown
