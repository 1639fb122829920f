"""What people do to the queue: retry, hold, release, cancel, bounce, reroute, for any filter, in slices.

Rows that nobody owns are changed directly. A row that a node owns gets a wish, which its owner applies between
attempts: an outcome already reached wins. An action that changes anything is one row of the audit log, written with the
first slice and counted on with each that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from postroad.accounts import audit
from postroad.accounts.audit import SYSTEM, Action, Actor
from postroad.events.recorder import Recorder
from postroad.ports.clock import Clock
from postroad.ports.ids import AuditId, DeliveryId, IdSource, NodeId, id_text
from postroad.ports.signals import Signals
from postroad.ports.store import (
    Delivery,
    DeliveryResult,
    DeliveryState,
    Event,
    Lane,
    QueueFilter,
    Refused,
    Store,
    Tx,
    Wish,
)
from postroad.routing.rules import by_hand

RETRY = "queue-retry"  # a signal: whatever rests is to be tried
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
    tell: Callable[[Recorder, Delivery, datetime, str], Event] | None
    claimed: bool = False  # the change is made by whoever claims it: a report goes with it


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
_ACTIONS["bounce"] = _Action((_QUEUED, _HELD), Wish.BOUNCE, _ACTIONS["retry"].change, None, claimed=True)
_ACTIONS["reroute"] = _Action((_QUEUED, _HELD), Wish.REROUTE, _ACTIONS["retry"].change, _ACTIONS["retry"].tell)
NAMES = tuple(_ACTIONS)


def states_of(name: str) -> tuple[DeliveryState, ...]:
    """Which states an action applies to."""
    return _ACTIONS[name].states


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of an action: what all of its slices share."""

    name: str
    action: _Action
    where: QueueFilter
    by: Actor
    audit_id: AuditId
    began: datetime
    dry_run: bool
    why: str  # of a hold
    unowned: bool  # rows that a node owns are left to it
    to: str  # reroute: the way


class Actions:
    """One for a process. `by` names who asked, for the events and the audit log."""

    def __init__(self, store: Store, *, clock: Clock, ids: IdSource, signals: Signals) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._recorder = Recorder(ids)
        self._signals = signals

    async def retry(self, where: QueueFilter, by: Actor | str, *, dry_run: bool = False) -> Done:
        """Try now."""
        return await self.act("retry", where, by, dry_run=dry_run)

    async def hold(self, where: QueueFilter, by: Actor | str, *, dry_run: bool = False) -> Done:
        """Do not try until released."""
        return await self.act("hold", where, by, dry_run=dry_run)

    async def release(self, where: QueueFilter, by: Actor | str, *, dry_run: bool = False) -> Done:
        """Back into the queue, due now."""
        return await self.act("release", where, by, dry_run=dry_run)

    async def cancel(self, where: QueueFilter, by: Actor | str, *, dry_run: bool = False) -> Done:
        """Never deliver; nobody is told."""
        return await self.act("cancel", where, by, dry_run=dry_run)

    async def act(
        self,
        name: str,
        where: QueueFilter,
        by: Actor | str,
        *,
        dry_run: bool = False,
        tell: Callable[[Done], None] | None = None,
        why: str = "",
        unowned: bool = False,
        to: str = "",
    ) -> Done:
        """Any of NAMES on everything that fits. `to` is the way of a reroute (routing.rules): `mx`, `smarthost`, a host
        or LMTP server, or `usual`; Refused when it is none. A dry run counts and changes nothing. `tell` hears how far
        it is. `why` something is held; with `unowned` rows that a node works on are left to it."""
        action = _ACTIONS[name]
        actor = by if isinstance(by, Actor) else Actor(SYSTEM.kind, by)
        if name == "reroute":
            _check_way(to)
        run = _Run(name, action, where, actor, AuditId(self._ids.new()), self._clock.now(), dry_run, why, unowned, to)
        done = Done()
        for state in action.states:
            if where.state in (None, state):
                done = await self._each_slice(run, replace(where, state=state), done, tell)
        if done.total and not dry_run:
            if name in ("retry", "reroute"):
                self._signals.publish(RETRY)
            self._signals.publish("queue")
        return done

    async def _each_slice(self, run: _Run, where: QueueFilter, done: Done, tell: Callable[[Done], None] | None) -> Done:
        after: DeliveryId | None = None
        while True:
            now, start, before = self._clock.now(), after, done

            def one(
                tx: Tx, now: datetime = now, start: DeliveryId | None = start, before: Done = before
            ) -> tuple[Done, DeliveryId | None]:
                return self._slice(tx, run, where, before, now=now, after=start)

            done, after = await (self._store.read(one) if run.dry_run else self._store.write(one, lane=Lane.LOW))
            if tell is not None:
                tell(done)
            if after is None:
                return done

    def _slice(
        self, tx: Tx, run: _Run, where: QueueFilter, before: Done, *, now: datetime, after: DeliveryId | None
    ) -> tuple[Done, DeliveryId | None]:
        """One slice: what is done by then, and where the next begins (None: that was all)."""
        action, by = run.action, run.by.name
        deliveries = [entry.delivery for entry in tx.deliveries.queue(where, after=after, limit=SLICE)]
        following = deliveries[-1].id if len(deliveries) == SLICE else None
        unowned = [delivery for delivery in deliveries if delivery.owner is None]
        owned = [d for d in deliveries if d.owner is not None and action.wish and not run.unowned]
        if run.dry_run:
            return Done(before.changed + len(unowned), before.asked + len(owned)), following
        by_way = f"{by}, by way of {run.to}" if run.to else by
        events = [action.tell(self._recorder, delivery, now, by_way) for delivery in unowned] if action.tell else []
        if run.why:
            events = [self._recorder.held(delivery, now, run.why) for delivery in unowned]
        results = [action.change(delivery, now) for delivery in unowned]
        if run.why:
            results = [replace(result, held_for=run.why) for result in results]
        if run.to:
            results = [_rerouted(result, d, run.to) for result, d in zip(results, unowned, strict=True)]
            tx.deliveries.set_dest([(d.id, by_hand(run.to, d.forward_path)) for d in owned])
        changed = tx.deliveries.set_unowned(results, events)
        if action.claimed:
            tx.deliveries.ask_unowned([delivery.id for delivery in unowned], action.wish, now=now)
        for delivery in owned:
            tx.deliveries.wish(QueueFilter(delivery=delivery.id), action.wish, after=None, limit=1)
        if action.wish is Wish.RETRY:  # the owner's other answers are events of their own
            tx.events.add([self._recorder.retry_asked(delivery, now, by) for delivery in owned])
        done = Done(before.changed + changed, before.asked + len(owned))
        if done.total > before.total:
            _write_down(tx, run, done)
        return done, following


def _check_way(to: str) -> None:
    try:
        by_hand(to, "someone@example.com")
    except ValueError as error:
        raise Refused(str(error)) from error


def _rerouted(result: DeliveryResult, delivery: Delivery, to: str) -> DeliveryResult:
    """What is held stays so: it goes another way once it is released."""
    held = delivery.state is DeliveryState.HELD
    return replace(
        result,
        dest=by_hand(to, delivery.forward_path),
        state=delivery.state,
        due=None if held else result.due,
        held_for=delivery.held_for,
    )


def _write_down(tx: Tx, run: _Run, done: Done) -> None:
    detail = {"changed": done.changed, "asked": done.asked} | _terms(run.where) | ({"to": run.to} if run.to else {})
    target = ", ".join(f"{name} {value}" for name, value in _terms(run.where).items()) or "everything"
    tx.audit.put(audit.row(run.audit_id, run.by, f"{Action.QUEUE} {run.name}", target, detail, now=run.began))


def _terms(where: QueueFilter) -> dict[str, Any]:
    """What a filter says, as the audit log keeps it."""
    named = {name: getattr(where, name) for name in where.__struct_fields__}
    given = {name: value for name, value in named.items() if value not in (None, ()) and (value or name == "cause")}
    return {name: _term(name, value) for name, value in given.items()}


def _term(name: str, value: Any) -> Any:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.0f} s"
    if name in ("message", "delivery"):
        return id_text(value)
    return f"{len(value)} chosen" if isinstance(value, tuple) else str(value)
