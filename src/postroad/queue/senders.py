"""Senders as administrators see and stop them: frozen by hand or by a jump, over their limits, released again.

To freeze is a fact in memory at once, and the queue lets go of what it holds of that sender (`runner.hold_frozen`);
the rows of what waits for a later try follow in slices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from postroad.accounts.audit import COMMAND_LINE, SYSTEM, Actor
from postroad.accounts.counts import SenderCounts
from postroad.accounts.freezes import Freezes, held_for, kind_and_name, name_of, words
from postroad.observe import log
from postroad.ports.ids import AccountId, ServerId, TokenId
from postroad.ports.senders import HeldMail, SenderHold, SenderKey, SenderKind
from postroad.ports.store import DeliveryState, QueueFilter, Record, Refused, Store, StoreUnavailable, Tx
from postroad.queue.actions import Actions

_log = log.get("senders")

Alarm = Callable[["Trouble"], Awaitable[None]]


class SenderState(Record, frozen=True):
    """One sender that has mail held, or will have."""

    key: SenderKey
    name: str
    hold: SenderHold | None  # None: it is only over its limits
    held: int  # recipients
    why: str
    since: datetime | None  # the first mail that is held, or the freezing


class Trouble(Record, frozen=True):
    """What an administrator is told of a sender."""

    kind: SenderKind
    name: str
    why: str
    frozen: bool


class Senders:
    """One for a process. `alarm` tells the administrator; it is set where mail can be sent."""

    def __init__(self, store: Store, freezes: Freezes, counts: SenderCounts, actions: Actions) -> None:
        self._store = store
        self._freezes = freezes
        self._counts = counts
        self._actions = actions
        self._tasks: set[asyncio.Task[None]] = set()
        self.alarm: Alarm | None = None

    async def freeze(self, kind: SenderKind, name: str, *, by: Actor = COMMAND_LINE) -> SenderState:
        """Hold what this sender has sent and sends. Raises Refused when it is frozen already, or not there."""
        key, name = await self._freezes.find(kind, name)
        return await self._freeze(key, name, f"frozen by {by.name}", by)

    async def _freeze(self, key: SenderKey, name: str, why: str, by: Actor) -> SenderState:
        hold = await self._freezes.freeze(key, name, why, by=by)
        done = await self._actions.act("hold", _mail_of(key), by, why=held_for(key.kind, name, why), unowned=True)
        _log.warning("a sender is frozen", sender=words(key.kind, name), by=by.name, cause=why, held=done.total)
        return SenderState(key, name, hold, done.total, why, hold.since)

    async def release(self, kind: SenderKind, name: str, *, by: Actor = COMMAND_LINE) -> int:
        """Let this sender send again, and send what was held of it; how many recipients. Its counts begin anew. Raises
        Refused when nothing is held."""
        return await self.release_key(*await self._freezes.find(kind, name), by=by)

    async def release_key(self, key: SenderKey, name: str, *, by: Actor) -> int:
        where = _mail_of(key, state=DeliveryState.HELD, held_for=f"{key.kind} " if name else f"{key.kind}:")
        was_frozen = await self._freezes.release(key, name, by=by)
        await self._counts.load()
        self._counts.of(key).forgive(self._counts.now())
        await self._counts.flush()
        done = await self._actions.release(where, by)
        if not was_frozen and not done.total:
            raise Refused(f"nothing is held of {words(key.kind, name)}")
        _log.info("a sender is released", sender=words(key.kind, name), by=by.name, released=done.total)
        return done.total

    async def states(self) -> list[SenderState]:
        return await self._store.read(read_states)

    # --- what acceptance and delivery notice --------------------------------------------------------------------------

    def tell(self, key: SenderKey, why: str, freeze: bool) -> None:
        """Of a sender that is over its limits, or (`freeze`) has jumped. Waits for nothing."""
        task = asyncio.ensure_future(self._tell(key, why, freeze))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.exception("an administrator could not be told", error)

    async def _tell(self, key: SenderKey, why: str, freeze: bool) -> None:
        try:
            name = await self._store.read(lambda tx: name_of(tx, key))
            if freeze:
                await self._freeze(key, name, why, SYSTEM)
            else:
                _log.warning("a sender is over its limits", sender=words(key.kind, name), cause=why)
        except (Refused, StoreUnavailable) as error:  # frozen by now; or told with the next message
            _log.info("nothing more is done about a sender", sender=key.subject, cause=str(error))
            return
        if self.alarm is not None:
            await self.alarm(Trouble(key.kind, name, why, freeze))

    async def close(self) -> None:
        """Wait for what is being told, and write the counts."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        try:
            await self._counts.flush()
        except StoreUnavailable as error:
            _log.warning("counts of senders were not written", error=str(error))


def read_states(tx: Tx) -> list[SenderState]:
    """Frozen ones first, then those over their limits; most mail first."""
    found = {hold.key: SenderState(hold.key, hold.name, hold, 0, hold.why, hold.since) for hold in tx.senders.holds()}
    for mail in tx.senders.held():
        _count(found, mail)
    return sorted(found.values(), key=lambda state: (state.hold is None, -state.held, state.name))


def _mail_of(key: SenderKey, **more: Any) -> QueueFilter:
    """The sender's part of the queue."""
    match key.kind:
        case SenderKind.ACCOUNT:
            return QueueFilter(account=AccountId(key.subject), **more)
        case SenderKind.TOKEN:
            return QueueFilter(token=TokenId(key.subject), **more)
        case SenderKind.STREAM:
            return QueueFilter(server=ServerId(key.subject), stream=key.stream, **more)
        case SenderKind.ALL:
            return QueueFilter(**more)


def _count(found: dict[SenderKey, SenderState], mail: HeldMail) -> None:
    said = kind_and_name(mail.held_for)
    if said is None:
        return  # held by hand, or for another reason
    kind, name = said
    subjects = {SenderKind.ACCOUNT: mail.account, SenderKind.TOKEN: mail.token, SenderKind.STREAM: mail.server}
    key = SenderKey(kind, subjects.get(kind) or 0, mail.stream if kind is SenderKind.STREAM else "")
    known = found.get(key)
    if known is None:
        why = mail.held_for.partition(": ")[2]
        found[key] = SenderState(key, name, None, mail.count, why, mail.since)
    else:
        found[key] = SenderState(key, known.name, known.hold, known.held + mail.count, known.why, known.since)
