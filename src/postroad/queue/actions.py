"""What people do to the queue: retry, hold, release, cancel, for any filter, in slices.

Rows that nobody owns are changed directly. A row that a node owns gets a wish, which its owner applies between
attempts: an outcome already reached wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from postroad.events.recorder import Recorder
from postroad.ports.clock import Clock
from postroad.ports.ids import DeliveryId, IdSource, NodeId
from postroad.ports.signals import Signals
from postroad.ports.store import (
    Delivery,
    DeliveryResult,
    DeliveryState,
    Event,
    Lane,
    QueueFilter,
    Store,
    Tx,
    Wish,
)

SLICE = 200  # rows of one transaction: bulk work never starves acceptance
NOBODY = NodeId(0)


@dataclass(frozen=True, slots=True)
class Done:
    """How many deliveries were changed at once, and how many their owners were asked about."""

    changed: int = 0
    asked: int = 0

    @property
    def total(self) -> int:
        return self.changed + self.asked


@dataclass(frozen=True, slots=True)
class _Action:
    """One row of the table: which states it applies to, what it makes of an unowned delivery, what it asks an owner."""

    states: tuple[DeliveryState, ...]
    wish: Wish
    change: Callable[[Delivery, datetime], DeliveryResult]
    tell: Callable[[Recorder, Delivery, datetime, str], Event]


def _change(delivery: Delivery, state: DeliveryState, now: datetime, why: str = "") -> DeliveryResult:
    return DeliveryResult(
        delivery.id,
        NOBODY,
        0,
        state,
        delivery.last_status,
        delivery.tries,
        due=now if state is DeliveryState.QUEUED else None,
        finished=now if state.is_final else None,
        held_for=why,
    )


_QUEUED, _HELD = DeliveryState.QUEUED, DeliveryState.HELD
_ACTIONS = {
    "retry": _Action(
        (_QUEUED,),
        Wish.RETRY,
        lambda delivery, now: _change(delivery, _QUEUED, now),
        lambda recorder, delivery, now, by: recorder.retry_asked(delivery, now, by),
    ),
    "hold": _Action(
        (_QUEUED,),
        Wish.HOLD,
        lambda delivery, now: _change(delivery, _HELD, now, "by hand"),
        lambda recorder, delivery, now, by: recorder.held(delivery, now, f"by {by}"),
    ),
    "release": _Action(
        (_HELD,),
        Wish.NONE,
        lambda delivery, now: _change(delivery, _QUEUED, now),
        lambda recorder, delivery, now, by: recorder.released(delivery, now, by),
    ),
    "cancel": _Action(
        (_QUEUED, _HELD),
        Wish.CANCEL,
        lambda delivery, now: _change(delivery, DeliveryState.CANCELLED, now),
        lambda recorder, delivery, now, by: recorder.final(delivery, DeliveryState.CANCELLED, now, by=by),
    ),
}
NAMES = tuple(_ACTIONS)


class Actions:
    """One for a process. `by` names who asked, for the events."""

    def __init__(self, store: Store, *, clock: Clock, ids: IdSource, signals: Signals) -> None:
        self._store = store
        self._clock = clock
        self._recorder = Recorder(ids)
        self._signals = signals

    async def retry(self, where: QueueFilter, by: str, *, dry_run: bool = False) -> Done:
        """Try now."""
        return await self.act("retry", where, by, dry_run=dry_run)

    async def hold(self, where: QueueFilter, by: str, *, dry_run: bool = False) -> Done:
        """Do not try until released."""
        return await self.act("hold", where, by, dry_run=dry_run)

    async def release(self, where: QueueFilter, by: str, *, dry_run: bool = False) -> Done:
        """Back into the queue, due now."""
        return await self.act("release", where, by, dry_run=dry_run)

    async def cancel(self, where: QueueFilter, by: str, *, dry_run: bool = False) -> Done:
        """Never deliver; nobody is told."""
        return await self.act("cancel", where, by, dry_run=dry_run)

    async def act(self, name: str, where: QueueFilter, by: str, *, dry_run: bool = False) -> Done:
        """Any of NAMES on everything that fits. A dry run counts and changes nothing."""
        action = _ACTIONS[name]
        done = Done()
        for state in action.states:
            if where.state in (None, state):
                chosen = replace(where, state=state)
                done = await self._each_slice(action, chosen, by, done, dry_run=dry_run)
        if done.total and not dry_run:
            self._signals.publish("queue")
        return done

    async def _each_slice(self, action: _Action, where: QueueFilter, by: str, done: Done, *, dry_run: bool) -> Done:
        after: DeliveryId | None = None
        while True:
            now, start = self._clock.now(), after

            def one(tx: Tx, now: datetime = now, start: DeliveryId | None = start) -> tuple[Done, DeliveryId | None]:
                return self._slice(tx, action, where, by, now=now, after=start, dry_run=dry_run)

            part, after = await (self._store.read(one) if dry_run else self._store.write(one, lane=Lane.LOW))
            done = Done(done.changed + part.changed, done.asked + part.asked)
            if after is None:
                return done

    def _slice(
        self,
        tx: Tx,
        action: _Action,
        where: QueueFilter,
        by: str,
        *,
        now: datetime,
        after: DeliveryId | None,
        dry_run: bool,
    ) -> tuple[Done, DeliveryId | None]:
        """One slice, and where the next begins (None: that was all)."""
        deliveries = [entry.delivery for entry in tx.deliveries.queue(where, after=after, limit=SLICE)]
        following = deliveries[-1].id if len(deliveries) == SLICE else None
        unowned = [delivery for delivery in deliveries if delivery.owner is None]
        owned = [delivery for delivery in deliveries if delivery.owner is not None and action.wish]
        if dry_run:
            return Done(len(unowned), len(owned)), following
        events = [action.tell(self._recorder, delivery, now, by) for delivery in unowned]
        changed = tx.deliveries.set_unowned([action.change(delivery, now) for delivery in unowned], events)
        for delivery in owned:
            tx.deliveries.wish(QueueFilter(delivery=delivery.id), action.wish, after=None, limit=1)
        if action.wish is Wish.RETRY:  # the owner's other answers are events of their own
            tx.events.add([action.tell(self._recorder, delivery, now, by) for delivery in owned])
        return Done(changed, len(owned)), following
