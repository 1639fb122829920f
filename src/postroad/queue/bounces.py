"""Reports to senders (RFC 3464): of what failed, what takes long, and (where they asked) of what arrived.

Our own people hear of every failure and long delay, unless they said otherwise (RFC 3461). A stranger's address is
unproven and a report to it would be backscatter: strangers get what they asked for by NOTIFY, as headers alone, and
nothing else. A report to the null reverse-path would be a loop (RFC 5321 §6.1). What is not told to the sender is an
event all the same. A report enters as any message does, with a null reverse-path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from postroad.events.recorder import Recorder
from postroad.mail.dsn import Action, DeliveryReport, RecipientReport, ReturnedMessage, write
from postroad.mail.envelope import BodyFlag, Notify
from postroad.mail.status import Status
from postroad.mail.terms import NO_TERMS, TlsWish
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.clock import Clock
from postroad.ports.handoff import Notice
from postroad.ports.ids import IdSource, MessageId, id_text, parse_id
from postroad.ports.random import Random
from postroad.ports.store import Event, Message, Store, StoreUnavailable

RETRY_SECONDS = 5.0  # while it cannot be taken in, a report waits, and with it the final state that it tells of
MAX_TRIES = 24
MAX_ADDRESSES = 100_000  # that are told in an hour
ENOUGH = "its sender had as many reports within the hour as an address may get ([delivery] dsn_per_hour)"

LOCAL_SERVICE = "local"  # programs of this machine: whoever may open the control socket is one of us

_ASKED_BY = {Action.FAILED: Notify.FAILURE, Action.DELAYED: Notify.DELAY}  # the others: SUCCESS

_log = log.get("bounces")


class Submit(Protocol):
    """How a report becomes a message of ours: intake.pipeline.Intake.submit_local."""

    def __call__(
        self, reverse_path: str, recipients: Sequence[str], content: bytes, *, bounce_of: MessageId | None = None
    ) -> Awaitable[Status]: ...


ReadContent = Callable[[Message, int], Awaitable[bytes]]
"""The first octets of a message's content."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How we report: our name, and what the settings say."""

    hostname: str
    header_only_over: int  # octets: a larger message is not returned whole
    to_strangers: bool = True  # who asks by NOTIFY and has not logged in
    per_hour: int = 0  # reports to one address; 0: no limit


class Told:
    """How many reports each address got in the hour: whoever has many failures need not be buried in them, and whoever
    is made the sender of mail that is not theirs least of all."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._hour = -1
        self._counts: dict[str, int] = {}

    def enough(self, address: str) -> bool:
        """Count one more, or say that there were enough."""
        if not self._limit:
            return False
        hour = int(self._clock.monotonic() // 3600)
        if hour != self._hour:
            self._hour, self._counts = hour, {}
        told = self._counts.get(address.lower(), 0)
        if told >= self._limit or (not told and len(self._counts) >= MAX_ADDRESSES):
            return True
        self._counts[address.lower()] = told + 1
        return False


class Bounces:
    """Tells senders. Implements ports.handoff.Reporter. One for a process."""

    def __init__(
        self,
        store: Store,
        submit: Submit,
        read: ReadContent,
        *,
        clock: Clock,
        ids: IdSource,
        random: Random,
        manner: Manner,
    ) -> None:
        self._store = store
        self._submit = submit
        self._read = read
        self._clock = clock
        self._ids = ids
        self._random = random
        self._recorder = Recorder(ids)
        self._manner = manner
        self._told = Told(clock, manner.per_hour)
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def report(self, message: Message, notices: Sequence[Notice]) -> list[Event]:
        """Tell the sender, if it may be told. The events say what was done, for each recipient."""
        now = self._clock.now()
        events: list[Event] = []
        telling: dict[Notify, list[Notice]] = {}
        for notice in notices:
            if why := withheld_because(message, notice, to_strangers=self._manner.to_strangers):
                events.append(self._recorder.report_withheld(message.id, notice.delivery, now, why))
            else:
                telling.setdefault(asked_by(notice.action), []).append(notice)
        for some in telling.values():
            if self._told.enough(message.reverse_path):
                events += [self._recorder.report_withheld(message.id, each.delivery, now, ENOUGH) for each in some]
            else:
                events += await self._tell(message, some, now)
        return events

    async def _tell(self, message: Message, notices: Sequence[Notice], now: datetime) -> list[Event]:
        content = await self._compose(message, notices, now)
        answer = await self._submit("", [message.reverse_path], content, bounce_of=message.id)
        for _ in range(MAX_TRIES - 1):
            if not answer.is_temporary:
                break
            _log.warning("a report waits", message=message.id, reply=str(answer), cause=answer.cause)
            await self._clock.sleep(RETRY_SECONDS)
            answer = await self._submit("", [message.reverse_path], content, bounce_of=message.id)
        if not answer.is_success:
            why = f"the sender's address does not take it: {answer}"
            return [self._recorder.report_withheld(message.id, notice.delivery, now, why) for notice in notices]
        COUNTERS.reports += 1
        report = MessageId(parse_id(answer.text.rpartition(" ")[2]) or 0)
        to = message.reverse_path
        return [
            self._recorder.report_sent(message.id, each.delivery, now, report=report, to=to, action=_news(each.action))
            for each in notices
        ]

    async def _compose(self, message: Message, notices: Sequence[Notice], now: datetime) -> bytes:
        manner = self._manner
        whole = _whole_comes_back(message, notices, manner.header_only_over)
        content = await self._read(message, message.size if whole else message.header_size)
        async with self._turn:  # one in each round of the loop: a host that is gone may make hundreds due at once
            await asyncio.sleep(0)
        report = DeliveryReport(
            manner.hostname,
            [_recipient(notice, now) for notice in notices],
            arrival=message.created,
            tried_for=max(now - message.began, timedelta(0)),
            envid=message.terms.envid if message.terms else "",
            utf8=not message.reverse_path.isascii(),
        )
        return write(
            report,
            ReturnedMessage(content, whole, message.subject, utf8=BodyFlag.UTF8 in message.flags),
            to=message.reverse_path,
            now=now,
            message_id=f"{id_text(self._ids.new())}.report@{manner.hostname}",
            boundary=f"report-{self._random.token(12).hex()}",
        )

    # -- Reporter: what is on record already ---------------------------------------------------------------------------

    def succeeded(self, message: Message, notices: Sequence[Notice]) -> None:
        """A crash before the report is made loses it: who hears nothing knows nothing (RFC 3461 §5.2.5 wants one)."""
        task = asyncio.ensure_future(self._tell_success(message, notices))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_success(self, message: Message, notices: Sequence[Notice]) -> None:
        try:
            events = await self.report(message, notices)
            await self._store.write(lambda tx: tx.events.add(events))
        except StoreUnavailable as error:
            _log.warning("what was reported could not be recorded", message=message.id, error=str(error))
        except Exception as error:
            _log.exception("a report could not be made", error, message=message.id)

    async def drain(self) -> None:
        """Wait until what is being told is told."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Drop what cannot be told."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def asked_by(action: Action) -> Notify:
    """The word in NOTIFY that asks for such a report."""
    return _ASKED_BY.get(action, Notify.SUCCESS)


def withheld_because(message: Message, notice: Notice, *, to_strangers: bool) -> str:
    """Why this message's sender gets no such report; "" when it does."""
    if not message.reverse_path:
        return "the reverse-path is null: a report about it would have nowhere to go (RFC 5321 §6.1)"
    asked = notice.terms.wants(asked_by(notice.action)) or (notice.demanded and not notice.terms.notify & Notify.NEVER)
    if notice.terms.notify and not asked:
        return "the sender does not want such a report (NOTIFY, RFC 3461 §4.1)"
    if _is_stranger(message) and not (asked and to_strangers):
        return "the sender did not log in here, so its address is unproven and a report might hit a stranger"
    return ""


def _news(action: Action) -> str:
    return "" if action is Action.FAILED else action.value


def _is_stranger(message: Message) -> bool:
    return message.account is None and message.server is None and message.origin.service != LOCAL_SERVICE


def _whole_comes_back(message: Message, notices: Sequence[Notice], limit: int) -> bool:
    """RFC 3461 §6.2: only with a failure, and as RET has it; what nobody has proven to be theirs is not sent whole."""
    if message.size > limit or _is_stranger(message) or notices[0].action is not Action.FAILED:
        return False
    if BodyFlag.BINARY in message.flags:  # a report goes by DATA
        return False
    terms = message.terms or NO_TERMS
    return terms.ret != "HDRS" and terms.tls is not TlsWish.REQUIRE  # RFC 8689 §5


def _recipient(notice: Notice, now: datetime) -> RecipientReport:
    return RecipientReport(
        notice.recipient,
        notice.action,
        notice.status,
        original_recipient=notice.orig,
        last_attempt=now if notice.action is not Action.EXPANDED else None,
        expired=notice.expired,
        orcpt=notice.terms.orcpt,
        will_retry_until=notice.until,
    )
