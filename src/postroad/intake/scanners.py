"""Programs that look at mail before it is ours: one conversation with each for an SMTP session, asked at every stage.

`Scanning` is one for a process; where a service has no scanners it gives nothing, and nothing is asked. `milters.py`
and `rspamd.py` are the two kinds; what both need is here: a limit, a rest for one that is down, what was found.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from postroad.config.schema import Scanner as Settings
from postroad.intake.drafts import Draft
from postroad.intake.transaction import API_SERVICE, TRUSTED_SERVICE, MailTransaction
from postroad.intake.verdicts import SCANNER, Kind, Verdict
from postroad.mail.address import ForwardPath
from postroad.mail.status import Status, status
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.blobs import BlobWriteFailed
from postroad.ports.clock import Clock
from postroad.ports.net import Endpoint
from postroad.proto.milterwire import AddRecipient, ChangeSender
from postroad.proto.smtp.parameters import RcptParameters

MAX_FAILURES = 3  # in a row, before a scanner is left alone
FORGOTTEN = 20  # rests, after which an old failure no longer counts
MOST = 540.0  # seconds for a whole message: clients give up after ten minutes (RFC 5321 §4.5.3.2.6)
MAX_TEXT = 2000  # characters of one of its texts
MAX_WORDS = 12  # of what a scanner did to a message, that are kept

_PROGRAMS = frozenset((API_SERVICE, TRUSTED_SERVICE))
_LATER = status(451, "4.7.1", "the message cannot be checked now, try again later")

_log = log.get("scanners")


class ScannerFailed(Exception):  # noqa: N818 - it names what happened
    """A scanner cannot be asked, or does not answer as it should."""


class ScannerRests(ScannerFailed):
    """It has failed so often that it is not asked now."""


@dataclass(slots=True)
class Changes:
    """What scanners want done to the envelope, and with the message."""

    sender: ChangeSender | None = None
    added: list[AddRecipient] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)
    quarantine: str = ""
    discard: str = ""

    def add(self, more: Changes) -> None:
        """Another scanner's, behind those of the ones before it."""
        self.sender = more.sender or self.sender
        self.added += more.added
        self.removed += more.removed
        self.quarantine = self.quarantine or printable(more.quarantine)
        self.discard = self.discard or more.discard


class Circuit:
    """Whether a scanner is worth asking: one that fails again and again costs time but now and then."""

    def __init__(self, clock: Clock, rest: float) -> None:
        self._clock = clock
        self._rest = rest
        self._failures = 0
        self._last = 0.0
        self._until = 0.0
        self.reason = ""  # why it is left alone; empty while it is not

    def check(self) -> None:
        """While it is left alone one may try when the rest is over, and the others hear at once that it is down.
        Raises ScannerRests."""
        if not self.reason:
            return
        now = self._clock.monotonic()
        if now < self._until:
            raise ScannerRests(f"down: {self.reason}")
        self._until = now + self._rest

    def failed(self, reason: str) -> bool:
        """True when it is left alone from now on."""
        now = self._clock.monotonic()
        if now - self._last > FORGOTTEN * self._rest:
            self._failures = 0
        self._last = now
        self._failures += 1
        if self._failures < MAX_FAILURES:
            return False
        is_new = not self.reason
        self.reason, self._until = reason, now + self._rest
        return is_new

    def worked(self) -> bool:
        """True when it had been left alone."""
        was_down = bool(self.reason)
        self._failures, self.reason = 0, ""
        return was_down


class Slots:
    """So many conversations at once. Whoever comes too late waits; one that stands idle between two messages makes
    room at once, and is begun anew when it is needed."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.idle: dict[object, Callable[[], None]] = {}  # how to end them, the longest idle first

    async def take(self) -> None:
        """In a task with patience of its own."""
        if self._free <= 0 and self.idle:
            self.idle.pop(next(iter(self.idle)))()
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give()
            raise

    def give(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class Scanner(Protocol):
    """One configured program."""

    @property
    def settings(self) -> Settings: ...

    @property
    def circuit(self) -> Circuit: ...

    def talk(self, local: Endpoint) -> Talk:
        """Its part in one SMTP session, which came in at `local`."""


class Talk(Protocol):
    """One scanner's part in one SMTP session. A refusal ends what it is about; ScannerFailed is for `Scan` to judge."""

    @property
    def scanner(self) -> Scanner: ...

    @property
    def words(self) -> Sequence[str]:
        """What it did to the message of now."""

    async def mail(self, mail: MailTransaction) -> Status | None: ...

    async def rcpt(self, mail: MailTransaction, path: ForwardPath, parameters: RcptParameters) -> Status | None: ...

    async def rejected(self, path: ForwardPath, refusal: Status) -> None:
        """We have refused a recipient."""

    async def data(self, mail: MailTransaction) -> Status | None: ...

    async def message(self, mail: MailTransaction, draft: Draft, changes: Changes) -> Status | None: ...

    async def unknown(self, line: str) -> Status | None:
        """A command that is none. The answer is of no use."""

    def reset(self) -> None:
        """The message is over."""

    def close(self) -> None:
        """The session is over, or the conversation broken."""


class Scan:
    """The scanners of one SMTP session."""

    __slots__ = ("_asking", "_clock", "_closed", "_down", "_kinds", "_seconds", "_talks", "_tell", "changes")

    def __init__(self, scanning: Scanning, scanners: Sequence[Scanner], local: Endpoint) -> None:
        self._clock = scanning.clock
        self._tell = scanning.tell
        self._talks = [scanner.talk(local) for scanner in scanners]
        self._seconds: dict[Talk, float] = {}
        self._kinds: dict[Talk, Kind] = {}  # of those who looked at the message of now, what it came to
        self._down: dict[Talk, str] = {}  # those who could not, and why
        self._asking = self._closed = False
        self.changes = Changes()

    # --- stages -------------------------------------------------------------------------------------------------------

    async def mail(self, mail: MailTransaction) -> Status | None:
        """MAIL was good: the refusal, if any. A new message begins."""
        self._seconds.clear()
        self._kinds.clear()
        self._down.clear()
        self.changes = Changes()
        return await self._ask(lambda talk: talk.mail(mail), "MAIL")

    async def rcpt(self, mail: MailTransaction, path: ForwardPath, parameters: RcptParameters) -> Status | None:
        return await self._ask(lambda talk: talk.rcpt(mail, path, parameters), "RCPT", ends=False)

    async def rejected(self, path: ForwardPath, refusal: Status) -> None:
        """We have refused a recipient."""
        await self._ask(lambda talk: talk.rejected(path, refusal), "RCPT", ends=False)

    async def data(self, mail: MailTransaction) -> Status | None:
        return await self._ask(lambda talk: talk.data(mail), "DATA")

    async def message(self, mail: MailTransaction, draft: Draft) -> Status | None:
        """The end of the message; it is changed as they wish, and what they want of its envelope is in `changes`."""
        return await asyncio.create_task(self._message(mail, draft))

    async def _message(self, mail: MailTransaction, draft: Draft) -> Status | None:
        refused = await self._ask(lambda talk: self._show(talk, mail, draft), "message")
        if refused is None:
            mail.notes += tuple(self._verdict(talk) for talk in self._talks)
            self.reset()
        return refused

    async def _show(self, talk: Talk, mail: MailTransaction, draft: Draft) -> Status | None:
        """Let one of them see the message; one that breaks off has changed nothing."""
        draft.fields.begin()
        undo, changes, good = draft.fields.snapshot(), Changes(), False
        try:
            async with asyncio.timeout(MOST):
                refused = await talk.message(mail, draft, changes)
            good = True
        except TimeoutError:
            raise ScannerFailed(f"it took more than {MOST / 60:g} minutes") from None
        finally:
            if not good:
                undo()
            await draft.settle_body(good=good)
        self._kinds[talk] = Kind.DISCARD if changes.discard else Kind.HOLD if changes.quarantine else Kind.PASS
        self.changes.add(changes)
        _count(COUNTERS.scans, talk.scanner.settings.name)
        self._worked(talk)
        return refused

    async def unknown(self, line: str) -> None:
        """The client said what is no command: they hear of it, and have no say in it."""
        await self._ask(lambda talk: talk.unknown(line), "command", ends=False)

    def reset(self) -> None:
        """The message is over."""
        if not self._asking:
            for talk in self._talks:
                talk.reset()

    def close(self) -> None:
        """The session is over. A question under way is answered first: that its client went is no scanner's failure."""
        self._closed = True
        if not self._asking:
            for talk in self._talks:
                talk.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _ask(
        self, question: Callable[[Talk], Awaitable[Status | None]], stage: str, *, ends: bool = True
    ) -> Status | None:
        """One after the other, until one refuses."""
        self._asking = True
        try:
            refused = await self._ask_each(question, stage)
        finally:
            self._asking = False
            if self._closed:
                self.close()
        if refused is not None and ends:
            self.reset()
        return refused

    async def _ask_each(self, question: Callable[[Talk], Awaitable[Status | None]], stage: str) -> Status | None:
        for talk in self._talks:
            if talk not in self._down and (refused := await self._ask_one(talk, question)) is not None:
                name = talk.scanner.settings.name
                _count(COUNTERS.scan_refusals, name)
                return refused.because(
                    f"{SCANNER}{name} at {stage}: {printable(refused.cause or str(refused))}{self._took(talk)}"
                )
        return None

    async def _ask_one(self, talk: Talk, question: Callable[[Talk], Awaitable[Status | None]]) -> Status | None:
        began = self._clock.monotonic()
        try:
            refused = await question(talk)
        except ScannerFailed as failure:
            return self._failed(talk, failure)
        except BlobWriteFailed as failure:  # the disk's fault, not the scanner's
            return _LATER.because(str(failure))
        finally:
            took, name = self._clock.monotonic() - began, talk.scanner.settings.name
            self._seconds[talk] = self._seconds.get(talk, 0.0) + took
            COUNTERS.scan_seconds[name] = COUNTERS.scan_seconds.get(name, 0.0) + took
        if refused is not None:
            self._worked(talk)
        return refused

    def _worked(self, talk: Talk) -> None:
        if talk.scanner.circuit.worked():
            self._tell(talk.scanner.settings, "")

    def _failed(self, talk: Talk, failure: ScannerFailed) -> Status | None:
        """It is not asked about this message again; what becomes of that is a setting."""
        settings, reason = talk.scanner.settings, printable(str(failure))
        talk.close()
        self._down[talk] = reason
        _count(COUNTERS.scan_failures, settings.name)
        if not isinstance(failure, ScannerRests):
            _log.warning("a scanner failed", scanner=settings.name, error=reason, then=settings.on_failure)
            if talk.scanner.circuit.failed(reason):
                self._tell(settings, reason)
        return None if settings.on_failure == "accept" else _LATER.because(reason)

    def _verdict(self, talk: Talk) -> Verdict:
        """What it has to say of the message, as it is kept with it."""
        step = SCANNER + talk.scanner.settings.name
        if talk in self._down:
            return Verdict(step, Kind.NOTE, f"not asked: {self._down[talk]}{self._took(talk)}")
        said, more = printable(", ".join(talk.words[:MAX_WORDS])), len(talk.words) - MAX_WORDS
        words = f"{said or 'nothing against it'}{f' and {more} more' if more > 0 else ''}"
        return Verdict(step, self._kinds.get(talk, Kind.PASS), words + self._took(talk))

    def _took(self, talk: Talk) -> str:
        return f"; {self._seconds.get(talk, 0.0) * 1000:.0f} ms"


class Scanning:
    """One for a process: which scanners look at the mail of which service."""

    def __init__(self, scanners: Sequence[Scanner], clock: Clock) -> None:
        self.clock = clock
        self.scanners = tuple(scanners)
        self._of: Mapping[str, tuple[Scanner, ...]] = {
            service: chosen
            for service in ("mx", "lmtp", "submission", "submissions", *_PROGRAMS)
            if (chosen := tuple(each for each in scanners if _kind(service) in each.settings.services))
        }
        self.alarm: Callable[[Settings, str], None] = lambda _settings, _reason: None  # set by whoever tells people

    def begin(self, service: str, local: Endpoint) -> Scan | None:
        """For one session of a service; None where nobody looks at its mail."""
        chosen = self._of.get(service)
        return Scan(self, chosen, local) if chosen else None

    def looks_at(self, service: str) -> bool:
        return service in self._of

    def tell(self, settings: Settings, reason: str) -> None:
        """A scanner is down, or (without a reason) works again."""
        if reason:
            _log.error("a scanner is down", scanner=settings.name, error=reason, rest=settings.rest)
        else:
            _log.info("a scanner works again", scanner=settings.name)
        self.alarm(settings, reason)


def printable(text: str) -> str:
    """A scanner's words as a row and a line can hold them."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_TEXT]).strip()


def _kind(service: str) -> str:
    return service if service in ("mx", "lmtp") else "submission"


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
