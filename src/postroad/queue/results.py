"""What attempts came to, as rows: the new state, the event, the next due time, in one transaction each.

A final failure is told to the sender first (`bounces`), and the report's events go with the final state: a crash in
between repeats the report, but loses none. What cannot be committed is kept and tried again; meanwhile nothing is
dialled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import structs

from postroad.accounts.deactivation import deactivation
from postroad.content.classify import classify, reasoned
from postroad.delivery.agent import AttemptRequest, OpenFailure
from postroad.events.model import FINAL_KIND
from postroad.events.recorder import Recorder
from postroad.mail.dsn import Action
from postroad.mail.status import Status, status
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.clock import Clock
from postroad.ports.handoff import Notice, notice
from postroad.ports.ids import AttemptId, DeliveryId, IdSource, NodeId
from postroad.ports.random import Random
from postroad.ports.sending import SuppressionReason, SuppressionRecord
from postroad.ports.store import (
    Attempt,
    Delivery,
    DeliveryResult,
    DeliveryState,
    Event,
    Message,
    Outcomes,
    Store,
    StoreUnavailable,
    Wish,
)
from postroad.queue.advice import Advice
from postroad.queue.bounces import Bounces
from postroad.queue.schedule import Schedule
from postroad.queue.telling import late_notice, success_notice

MAX_UNWRITTEN = 2000  # outcomes waiting for the store, above which no further attempt begins
RETRY_SECONDS = 1.0

AT_ONCE = (Wish.RETRY, Wish.REROUTE)
TOO_LATE = status(550, "5.4.7", "its time ran out before it could be delivered")  # RFC 2852 §4.1.4
RETURNED = status(550, "5.7.0", "returned to its sender by an administrator")
_COUNTED = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.BOUNCED: "bounced",
    DeliveryState.EXPIRED: "expired",
    DeliveryState.CANCELLED: "cancelled",
}
_log = log.get("queue")

Finished = Callable[[Sequence[DeliveryId]], None]


class Results:
    """Writes outcomes. `finished` is called with the ids of rows that are committed and no longer ours."""

    def __init__(
        self,
        store: Store,
        bounces: Bounces,
        schedule: Schedule,
        *,
        clock: Clock,
        ids: IdSource,
        random: Random,
        finished: Finished,
        steady: Clock | None = None,
    ) -> None:
        """`steady` is the clock for what is due and what is given up (queue.steady)."""
        self._store = store
        self._bounces = bounces
        self._schedule = schedule
        self._clock = clock
        self._steady = steady or clock
        self.advice: Advice | None = None  # of what was learned, where somebody learns
        self._ids = ids
        self._random = random
        self._recorder = Recorder(ids)
        self._finished = finished
        self.wishes: dict[DeliveryId, Wish] = {}  # asked for while an attempt is under way
        self._unwritten = 0
        self._failed: deque[Outcomes] = deque()  # could not be written; in memory until they are
        self._tasks: set[asyncio.Task[None]] = set()
        self._retrying = False
        self._drained: asyncio.Future[None] | None = None
        self.failed: Callable[[Message], None] = lambda _: None  # told of each recipient that failed for good
        self.frozen: Callable[[Message], str] = lambda _: ""  # why a message is held rather than tried again
        self.suppressed: Callable[[], None] = lambda: None  # told when somebody gets nothing more on a stream
        self._successes: dict[DeliveryId, tuple[Message, Notice]] = {}  # told when their outcome is on record

    @property
    def is_stuck(self) -> bool:
        """The store does not take outcomes: begin nothing whose outcome might be lost."""
        return bool(self._failed) or self._unwritten > MAX_UNWRITTEN

    def record(
        self,
        message: Message,
        statuses: Sequence[tuple[Delivery, Status]],
        attempt: Attempt | None,
        dest: str,
        offered: Container[str] = (),
    ) -> None:
        """One status per recipient, as an attempt or (without `attempt`) a decision of ours gave them. `offered` are
        the extensions of the next hop: what it was told to report, we need not."""
        now, host = (self._clock.now(), "") if attempt is None else (attempt.ended, attempt.host)
        results: list[DeliveryResult] = []
        events: list[Event] = []
        notices: list[Notice] = []
        suppressions: list[SuppressionRecord] = []
        for delivery, verdict in statuses:
            result, event = self._judge(message, delivery, verdict, host=host, dest=dest, now=now)
            _tell(event, verdict, attempt, host)
            state = result.state
            if state is DeliveryState.DELIVERED:
                if message.terms is not None or delivery.terms is not None:
                    self._succeed(message, delivery, verdict, offered)
            elif state is DeliveryState.QUEUED:
                late = late_notice(message, delivery, verdict, self._steady.now(), self._schedule_of(message))
                if late is not None:
                    notices.append(late)
                    result = structs.replace(result, terms=structs.replace(late.terms, told_late=True))
            elif state in (DeliveryState.BOUNCED, DeliveryState.EXPIRED):
                self.failed(message)
                expired = state is DeliveryState.EXPIRED
                notices.append(notice(Action.FAILED, delivery, result.status or verdict, expired=expired))
                off = _deactivated(message, delivery, verdict, now) if message.server is not None else None
                if off is not None:
                    suppressions.append(off)
                    events.append(self._recorder.suppressed(delivery, off))
            results.append(result)
            events.append(event)
        if attempt is not None:
            COUNTERS.attempts += 1
        if notices:
            self._spawn(self._write_reported(message, notices, Outcomes(results, attempt, events, suppressions)))
        else:
            self._write(Outcomes(results, attempt, events))

    def unreached(self, requests: Sequence[AttemptRequest], failure: OpenFailure, began: datetime | None) -> None:
        """No connection came about (`began`: now; else a while ago, and the destination rests).

        The first request carries the record of what was tried; a failure for good is on record with each.
        """
        for index, request in enumerate(requests):
            made = None
            if began is not None and (index == 0 or failure.status.is_permanent):
                made = failure.attempt(AttemptId(self._ids.new()), request.message.id, began, self._clock.now())
            self.record(request.message, [(d, failure.status) for d in request.deliveries], made, request.dest)

    def hold(self, delivery: Delivery, why: str) -> None:
        """Out of the queue's hands until somebody releases it."""
        now = self._clock.now()
        event = self._recorder.held(delivery, now, why)
        result = self._result(delivery, DeliveryState.HELD, delivery.last_status, now, why=why)
        self._write(Outcomes([result], None, [event]))

    def hold_all(self, deliveries: Sequence[Delivery], why: str) -> None:
        """The same for many; nothing was tried, so the try that was counted in advance is taken off again."""
        now = self._clock.now()
        results = [
            DeliveryResult(
                delivery.id,
                _owner(delivery),
                delivery.epoch,
                DeliveryState.HELD,
                delivery.last_status,
                max(delivery.tries - 1, 0),
                held_for=why,
            )
            for delivery in deliveries
        ]
        self._write(Outcomes(results, None, [self._recorder.held(delivery, now, why) for delivery in deliveries]))

    def give_back(self, deliveries: Sequence[Delivery], dest: str = "") -> None:
        """Not tried: due now for whoever claims it; the try that was counted in advance is taken off again. `dest` is
        the next hop that it goes to by now, so that it is claimed when there is room for that."""
        now = self._steady.now()
        results = [
            DeliveryResult(
                delivery.id,
                _owner(delivery),
                delivery.epoch,
                DeliveryState.QUEUED,
                delivery.last_status,
                max(delivery.tries - 1, 0),
                due=now,
                dest=dest if dest and dest != delivery.dest else None,
            )
            for delivery in deliveries
        ]
        self._write(Outcomes(results))

    def apply(self, message: Message, delivery: Delivery, wish: Wish) -> None:
        """A wish for a delivery that is not under way."""
        if wish is Wish.HOLD:
            self.hold(delivery, "by hand")
        elif wish is Wish.CANCEL:
            now = self._clock.now()
            event = self._recorder.final(delivery, DeliveryState.CANCELLED, now, by="hand")
            result = self._result(delivery, DeliveryState.CANCELLED, delivery.last_status, now)
            self._write(Outcomes([result], None, [event]))
        elif wish is Wish.BOUNCE:
            self.record(message, [(delivery, RETURNED)], None, delivery.dest)
        elif wish is Wish.REROUTE:
            self.give_back([delivery])  # its row has the new way already

    async def drain(self) -> None:
        """Wait until everything is written."""
        while self._unwritten or self._tasks:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    async def close(self) -> None:
        """Drop what cannot be written: its rows are still ours and are taken back at the next start."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- deciding ----------------------------------------------------------------------------------------------

    def _succeed(self, message: Message, delivery: Delivery, verdict: Status, offered: Container[str]) -> None:
        told = success_notice(message, delivery, verdict, offered)
        if told is not None:
            self._successes[delivery.id] = (message, told)

    def _judge(
        self, message: Message, delivery: Delivery, verdict: Status, *, host: str, dest: str, now: datetime
    ) -> tuple[DeliveryResult, Event]:
        """An outcome that is final wins over a wish; a wish wins over a deferral."""
        wish = self.wishes.pop(delivery.id, Wish.NONE) if self.wishes else Wish.NONE
        if verdict.is_success:
            event = self._recorder.final(delivery, DeliveryState.DELIVERED, now, reply=str(verdict), host=host)
            return self._result(delivery, DeliveryState.DELIVERED, verdict, now, dest=dest), event
        verdict = reasoned(verdict)
        if verdict.is_permanent or wish is Wish.BOUNCE:
            return self._failure(delivery, DeliveryState.BOUNCED, verdict, host, now)
        if wish is Wish.CANCEL:
            event = self._recorder.final(delivery, DeliveryState.CANCELLED, now, by="hand")
            return self._result(delivery, DeliveryState.CANCELLED, verdict, now), event
        if why := "by hand" if wish is Wish.HOLD else self.frozen(message):
            event = self._recorder.held(delivery, now, why)
            return self._result(delivery, DeliveryState.HELD, verdict, now, why=why), event
        steady = self._steady.now()  # `now` is for the records
        due = steady if wish in AT_ONCE else self._next_due(message, delivery, verdict, dest, steady)
        deadline = message.terms.deadline if message.terms is not None else None
        if deadline is not None and message.terms is not None:
            if steady >= deadline and message.terms.returns_late:
                return self._failure(
                    delivery, DeliveryState.EXPIRED, reasoned(TOO_LATE.because(str(verdict))), host, now
                )
            due = deadline if due is not None and steady < deadline < due else due
        if due is None:
            return self._failure(delivery, DeliveryState.EXPIRED, verdict, host, now)
        COUNTERS.deferred += 1
        event = self._recorder.deferred(delivery, now, verdict, host=host, next_due=due)
        if wish is Wish.REROUTE:
            dest = ""  # its row has the new way already
        return self._result(delivery, DeliveryState.QUEUED, verdict, now, due=due, dest=dest), event

    def _schedule_of(self, message: Message) -> Schedule:
        return self._schedule if self.advice is None else self.advice.schedule(message)

    def _next_due(
        self, message: Message, delivery: Delivery, verdict: Status, dest: str, now: datetime
    ) -> datetime | None:
        advice = self.advice
        if advice is None:
            return self._schedule.next_due(
                delivery.tries, now=now, expires=delivery.expires, spread=self._random.fraction()
            )
        schedule = advice.schedule(message)
        expires = delivery.expires
        if schedule.expire_after != self._schedule.expire_after:
            expires = schedule.expires(message.began)
        wait = advice.wait(message, delivery, verdict, dest, now)
        return schedule.next_due(delivery.tries, now=now, expires=expires, spread=self._random.fraction(), wait=wait)

    def _failure(
        self, delivery: Delivery, state: DeliveryState, verdict: Status, host: str, now: datetime
    ) -> tuple[DeliveryResult, Event]:
        event = self._recorder.final(
            delivery, state, now, reply=str(verdict), host=host, cause=verdict.cause, reason=verdict.reason
        )
        return self._result(delivery, state, verdict, now), event

    def _result(
        self,
        delivery: Delivery,
        state: DeliveryState,
        verdict: Status | None,
        now: datetime,
        *,
        due: datetime | None = None,
        dest: str = "",
        why: str = "",
    ) -> DeliveryResult:
        if counted := _COUNTED.get(state):
            setattr(COUNTERS, counted, getattr(COUNTERS, counted) + 1)
        return DeliveryResult(
            delivery.id,
            _owner(delivery),
            delivery.epoch,
            state,
            verdict,
            delivery.tries,
            due=due,
            dest=dest if dest and dest != delivery.dest else None,
            finished=now if state in FINAL_KIND else None,
            held_for=why,
        )

    # -- writing -----------------------------------------------------------------------------------------------

    async def _write_reported(self, message: Message, notices: Sequence[Notice], outcomes: Outcomes) -> None:
        try:
            told = await self._bounces.report(message, notices)
        except Exception as error:
            _log.exception("a report could not be made", error, message=message.id)
            now, why = self._clock.now(), f"a fault of this server: {error}"
            told = [self._recorder.report_withheld(message.id, each.delivery, now, why) for each in notices]
        self._write(structs.replace(outcomes, events=[*outcomes.events, *told]))

    def _write(self, outcomes: Outcomes) -> None:
        self._unwritten += 1
        self._put(outcomes)

    def _put(self, outcomes: Outcomes) -> None:
        try:
            written = asyncio.ensure_future(self._store.outcomes(outcomes))  # a future stays itself: no task
        except StoreUnavailable as error:
            self._not_written(outcomes, error)
            return
        written.add_done_callback(partial(self._written, outcomes))

    def _written(self, outcomes: Outcomes, written: asyncio.Future[int]) -> None:
        if written.cancelled() or (error := written.exception()) is not None:
            self._not_written(outcomes, None if written.cancelled() else error)
            return
        held = written.result()
        if held < len(outcomes.results):
            _log.warning("outcomes came too late: another owner has the rows", lost=len(outcomes.results) - held)
        self._unwritten -= 1
        self._on_record(outcomes)
        self._settle()

    def _on_record(self, outcomes: Outcomes) -> None:
        deliveries = [result.delivery for result in outcomes.results]
        self._finished(deliveries)
        if outcomes.suppressions:
            self.suppressed()
        if not self._successes:
            return
        for delivery in deliveries:
            if told := self._successes.pop(delivery, None):
                self._bounces.succeeded(told[0], [told[1]])

    def _not_written(self, outcomes: Outcomes, error: BaseException | None) -> None:
        """Keep it: what a remote has taken must not be sent again because a disk was full."""
        if not self._failed:
            _log.error("outcomes cannot be stored, sending stops", error=str(error))
        self._failed.append(outcomes)
        if not self._retrying:
            self._retrying = True
            self._spawn(self._write_again())

    async def _write_again(self) -> None:
        try:
            while self._failed:
                await self._clock.sleep(RETRY_SECONDS)
                await self._write_failed()
        finally:
            self._retrying = False

    async def _write_failed(self) -> None:
        """The oldest first; stop at the first that fails again."""
        while self._failed:
            outcomes = self._failed[0]
            try:
                await self._store.outcomes(outcomes)
            except Exception as error:
                _log.warning("outcomes still cannot be stored", error=str(error), waiting=len(self._failed))
                return
            self._failed.popleft()
            self._unwritten -= 1
            self._on_record(outcomes)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.exception("writing outcomes failed", error)
        self._settle()

    def _settle(self) -> None:
        if self._drained is not None and not self._unwritten and not self._tasks and not self._drained.done():
            self._drained.set_result(None)


def _tell(event: Event, verdict: Status, attempt: Attempt | None, host: str) -> None:
    """The log line of one recipient's outcome; nothing is made for it but what is there already."""
    fields: dict[str, Any] = {"message": event.message, "delivery": event.delivery, "reply": verdict.diagnostic}
    if attempt is not None:
        fields |= {"attempt": attempt.id, "host": host}
    if not verdict.diagnostic:
        fields["reply"] = str(verdict)
    if verdict.cause:
        fields["cause"] = verdict.cause
    if reason := event.detail.get("reason"):
        fields["reason"] = reason
    _log.info(event.kind, **fields)


def _deactivated(message: Message, delivery: Delivery, verdict: Status, now: datetime) -> SuppressionRecord | None:
    """A program's recipient that can never be reached gets nothing more on the stream, as with Postmark."""
    if verdict is RETURNED or not classify(verdict).hard:
        return None
    return deactivation(message, delivery, SuppressionReason.HARD_BOUNCE, now)


def _owner(delivery: Delivery) -> NodeId:
    assert delivery.owner is not None, "only owned rows are attempted"
    return delivery.owner
