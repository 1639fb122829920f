"""What comes back: bounces, complaints and answers of robots are read, tied to message and recipient, and recorded.

What came to a return address of a stream is a delivery like any other, with this as its agent: it is read when it has
been accepted, and again after a crash. What lies in a person's own mailbox is looked at beside that, and only told in
the story of the message. Hard bounces and complaints suppress the recipient on the stream, if the return address proves
that the stream had written to that domain: whoever forges one silences nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec import Struct

from postroad.accounts.deactivation import deactivation
from postroad.content.classify import classify_returned
from postroad.content.returned import Kind, Returned, read
from postroad.delivery.tying import (
    Tied,
    candidates,
    first_fitting,
    is_of,
    message_ids,
    names,
    return_addresses,
    tie,
)
from postroad.events.model import EventKind
from postroad.events.recorder import Recorder
from postroad.mail.header import Header
from postroad.mail.returnaddress import StreamTag
from postroad.mail.status import Status, status
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.blobs import BlobPlace, BlobStore
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource, MessageId, ServerId, id_text
from postroad.ports.search import MessageQuery, SearchField, SearchIndex, SearchTerm
from postroad.ports.sending import SuppressionReason, SuppressionRecord
from postroad.ports.store import Delivery, Event, Message, Store, StoreUnavailable, Tx
from postroad.ports.workers import Workers
from postroad.reports.search import Search
from postroad.routing.returns import ReturnAddresses

LONGEST = 1024 * 1024  # octets that are read of it
INLINE = 16 * 1024  # octets that are read on the loop
MAX_MISSES = 10  # reports to one return address that name no message: from then on none of its suppresses anybody
MAX_GUESSES = 5  # ids that one such report may name: ours are made in order, and the next one is easily guessed
_MAX_TAGS = 10_000
_FEW = 5  # messages that a search may name
_NO_COMPLAINT = ("not-spam", "auth-failure", "dmarc")  # RFC 5965 §7.3, RFC 6591: of nobody's displeasure
_LATER = status(451, "4.3.0", "it cannot be read now")
_KINDS = {
    Kind.BOUNCE: EventKind.RETURNED,
    Kind.DELAY: EventKind.RETURNED,
    Kind.FEEDBACK: EventKind.COMPLAINED,
    Kind.AUTO_REPLY: EventKind.AUTO_REPLIED,
    Kind.CHALLENGE: EventKind.CHALLENGED,
}

_log = log.get("returns")

Outcome = list[tuple[Delivery, Status]]


@dataclass(frozen=True, slots=True)
class Came:
    """What came back, and to whom. `proof` is the return address that proves what it says; None: a person's mailbox,
    or nothing that we have made."""

    report: Message
    returned: Returned
    header: Header
    to: Sequence[str]
    proof: StreamTag | None


class Done(Struct, frozen=True):
    """What was written about it."""

    message: MessageId | None = None
    recipients: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()


class Feedback:
    """One for a process that sends."""

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        returns: ReturnAddresses,
        *,
        clock: Clock,
        ids: IdSource,
        index: SearchIndex | None = None,
        workers: Workers | None = None,
        suppressed: Callable[[], None] = lambda: None,
    ) -> None:
        """`suppressed` is told when somebody gets nothing more."""
        self._store = store
        self._blobs = blobs
        self._returns = returns
        self._clock = clock
        self._recorder = Recorder(ids)
        self._search = Search(store, clock, index)
        self._searching = asyncio.Lock()
        self._workers = workers
        self._suppressed = suppressed
        self._misses: dict[StreamTag, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what came to a return address ---------------------------------------------------------------------------------

    async def deliver(
        self, message: Message, deliveries: Sequence[Delivery], content: bytes | None, place: BlobPlace | None
    ) -> Outcome:
        """One status for each."""
        try:
            came = await self._read(message, content, place)
            return [(each, await self._take(came, each.forward_path)) for each in deliveries]
        except (StoreUnavailable, LookupError, OSError) as error:
            return [(each, _LATER.because(str(error))) for each in deliveries]

    async def _take(self, came: Came, address: str) -> Status:
        tag = self._returns.read(address)
        if tag is None:
            _count("old")
            return _told("ignored: this return address is too old")
        done = await self._record(Came(came.report, came.returned, came.header, (address,), tag))
        return _told(_words(came.returned, done))

    # -- what lies in a person's mailbox -------------------------------------------------------------------------------

    def look(self, message: Message, to: Sequence[str], content: bytes | None) -> None:
        """It has been delivered here. A crash meanwhile loses a line in a story, and nothing else."""
        task = asyncio.ensure_future(self._look(message, to, content))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, message: Message, to: Sequence[str], content: bytes | None) -> None:
        try:
            came = await self._read(message, content, None)
            if came.returned.kind is not Kind.NONE:
                await self._record(Came(message, came.returned, came.header, to, came.proof))
        except (StoreUnavailable, LookupError, OSError) as error:
            _log.warning("what came back could not be recorded", message=message.id, error=str(error))
        except Exception as error:
            _log.exception("what came back could not be read", error, message=message.id)

    async def close(self) -> None:
        """Finish what is being looked at."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _read(self, message: Message, content: bytes | None, place: BlobPlace | None) -> Came:
        if content is None:
            place = place or await self._store.read(lambda tx: tx.messages.place(message.blob))
            if place is None:
                raise LookupError("no content is known for the message")
            content = await self._blobs.read(place, 0, LONGEST)
        whole = content[:LONGEST]
        if self._workers is None or len(whole) <= INLINE:
            returned = read(whole)
        else:
            returned = await self._workers.run(partial(read, whole))
        return Came(message, returned, Header.of(whole), (), self._proof(returned, whole))

    def _proof(self, returned: Returned, content: bytes) -> StreamTag | None:
        """A complaint comes to an address that everybody knows: what proves it is the return address it repeats."""
        if returned.kind is not Kind.FEEDBACK:
            return None
        return next((tag for each in return_addresses(content) if (tag := self._returns.read(each)) is not None), None)

    # -- tying ---------------------------------------------------------------------------------------------------------

    async def _record(self, came: Came) -> Done:
        kind = came.returned.kind
        event = _KINDS.get(kind)
        _count(kind.value)
        if event is None:
            return Done()
        ids = candidates(came.returned, came.header)
        ids = ids if came.proof is None else ids[:MAX_GUESSES]
        message = await self._store.read(lambda tx: first_fitting(tx, ids, partial(self._fits, came)))
        sure = message is not None
        message = message or await self._hunt(came)
        if came.proof is not None and not (sure and message is not None and await self._is_named(came, message)):
            self._missed(came.proof)
        if message is None:
            _count("untied")
            _log.info("came back, but of nothing known", message=came.report.id, what=kind.value)
            return Done()
        done = await self._store.write(partial(self._write, came=came, message=message, kind=event, sure=sure))
        if done.suppressed:
            self._suppressed()
        _log.info(event.value, message=message.id, report=came.report.id, suppressed=", ".join(done.suppressed))
        return done

    def _fits(self, came: Came, message: Message) -> bool:
        """Whether it may be about this message. A person's mail comes back to the person."""
        if came.proof is not None:
            return is_of(message, came.proof)
        own = message.reverse_path.lower()
        return own != "" and own in (each.lower() for each in came.to)

    async def _hunt(self, came: Came) -> Message | None:
        """Where our id is nowhere in it: by the Message-ID of a person's program, or by stream, day and recipient. One
        search at a time, for whoever sends us reports chooses what is searched for."""
        queries = [
            MessageQuery(terms=(SearchTerm((SearchField.IDENT,), each.lower()),))
            for each in message_ids(came.returned, came.header)[:1]
        ]
        if came.proof is not None:
            queries += _by_recipient(came.proof, came.returned)
        for query in queries:
            async with self._searching:
                page = await self._search.messages(query, limit=_FEW)
            fitting = [row.message for row in page.rows if self._fits(came, row.message)]
            if len(fitting) == 1 or (fitting and query.terms[0].fields == (SearchField.RECIPIENT,)):
                return fitting[0]
        return None

    async def _is_named(self, came: Came, message: Message) -> bool:
        """Whether a bounce names a recipient of the message, or guesses on. Complaints often leave the name out."""
        if came.returned.kind is Kind.FEEDBACK:
            return True
        deliveries = await self._store.read(lambda tx: tx.deliveries.of_message(message.id))
        return any(names(said, each) for said in came.returned.recipients for each in deliveries)

    def _missed(self, tag: StreamTag) -> None:
        """It names no message that has left under its return address. Who has seen one could go on guessing."""
        if len(self._misses) >= _MAX_TAGS:
            self._misses.clear()
        self._misses[tag] = self._misses.get(tag, 0) + 1

    def _may_be(self, came: Came, delivery: Delivery) -> bool:
        if came.proof is None:
            return True
        return self._returns.fits(came.proof, delivery.forward_path.rpartition("@")[2])

    # -- writing -------------------------------------------------------------------------------------------------------

    def _write(self, tx: Tx, *, came: Came, message: Message, kind: EventKind, sure: bool) -> Done:
        """May run twice, and again after a crash: what this report has said already is not said again."""
        now, report = self._clock.now(), id_text(came.report.id)
        deliveries = tx.deliveries.of_message(message.id)
        if not any(self._may_be(came, each) for each in deliveries):
            return Done()  # it has gone to other domains than this return address is for
        tied = tie(came.returned, deliveries, partial(self._may_be, came))
        known = {e.delivery for e in tx.events.of_message(message.id) if e.detail.get("report") == report}
        events, off = [], []
        for each in tied:
            if each.delivery.id in known:
                continue
            events.append(self._event(kind, each, came, now))
            record = self._deactivation(message, each, came, now) if sure else None
            if record is not None and tx.suppressions.put(record):
                events.append(self._recorder.suppressed(each.delivery, record))
                off.append(record.address)
        if not tied and not known:
            what = _what(came, None)
            events.append(self._recorder.came_back(kind, message.id, None, now, report=report, detail=what))
        tx.events.add(events)
        return Done(message.id, tuple(each.delivery.forward_path for each in tied), tuple(off))

    def _event(self, kind: EventKind, tied: Tied, came: Came, now: datetime) -> Event:
        delivery = tied.delivery
        detail = _what(came, tied)
        return self._recorder.came_back(
            kind, delivery.message, delivery.id, now, report=id_text(came.report.id), detail=detail
        )

    def _deactivation(self, message: Message, tied: Tied, came: Came, now: datetime) -> SuppressionRecord | None:
        """Only what is proven takes anybody off a stream."""
        if came.proof is None or self._misses.get(came.proof, 0) > MAX_MISSES:
            return None
        if came.returned.kind is Kind.FEEDBACK and came.returned.feedback_type.lower() not in _NO_COMPLAINT:
            return deactivation(message, tied.delivery, SuppressionReason.SPAM_COMPLAINT, now)
        said = tied.said
        if came.returned.kind is not Kind.BOUNCE or said is None or not names(said, tied.delivery):
            return None  # whom it means was found by leaving out the others: that is no proof
        if classify_returned(said).hard:
            return deactivation(message, tied.delivery, SuppressionReason.HARD_BOUNCE, now)
        return None


def _what(came: Came, tied: Tied | None) -> dict[str, str]:
    """What is kept of it, for people and for programs."""
    said, returned = tied.said if tied is not None else None, came.returned
    detail = {"host": returned.reporter, "feedback": returned.feedback_type}
    if returned.kind is Kind.DELAY:
        detail["type"] = "Transient"
    if said is not None:
        code = f"{said.reply_code} " if said.reply_code else ""
        detail["reply"] = said.diagnostic or f"{code}{said.enhanced or ''}".strip()
        detail["host"] = said.remote or returned.reporter
        if returned.kind is Kind.BOUNCE:
            cause = classify_returned(said)
            detail |= {"type": cause.bounce_type, "reason": cause.reason.value}
        if tied is not None and said.address and said.address.lower() != tied.delivery.forward_path.lower():
            detail["address"] = said.address
    if came.proof is None:
        detail["unproven"] = "yes"
    return detail


def _by_recipient(tag: StreamTag, returned: Returned) -> list[MessageQuery]:
    begin = datetime.fromtimestamp(tag.day * 86400, tz=UTC)
    names = [name for each in returned.recipients for name in (each.original, each.address) if name]
    return [
        MessageQuery(
            terms=(SearchTerm((SearchField.RECIPIENT,), name.lower()),),
            server_id=ServerId(tag.server),
            stream=tag.stream,
            since=begin,
            until=begin + timedelta(days=1),
        )
        for name in names[:2]
    ]


def _words(returned: Returned, done: Done) -> str:
    """What became of it, for its own story."""
    if returned.kind is Kind.NONE:
        return "ignored: neither a bounce nor a complaint"
    if done.message is None:
        return f"read: {returned.kind.value}, of no message that is kept"
    whom = f" of {', '.join(done.recipients)}" if done.recipients else ""
    off = f"; no more to {', '.join(done.suppressed)}" if done.suppressed else ""
    return f"read: {returned.kind.value}{whom}, message {id_text(done.message)}{off}"


def _told(text: str) -> Status:
    return status(250, "2.0.0", text)


def _count(kind: str) -> None:
    COUNTERS.returned[kind] = COUNTERS.returned.get(kind, 0) + 1
