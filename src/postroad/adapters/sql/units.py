"""What waits for the writer, and the queue it waits in."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from postroad.ports.blobs import BlobPlace, BlobRecord
from postroad.ports.ids import BlobId
from postroad.ports.store import Acceptance, Lane, MailboxAppend, Outcomes, Tx

MAX_UNITS = 512  # in one group; what was put in together is not split, however much it is
MAX_OCTETS = 8 * 1024 * 1024
GATHER = 0.008  # seconds that a unit may wait for as many as came last time
OUTCOME_WAIT = 0.02  # seconds that an outcome may wait for company
LOW_AFTER = 8  # groups of the normal lane, then a bulk slice has its turn even while more wait


@dataclass(slots=True, eq=False)
class AcceptUnit:
    acceptance: Acceptance
    future: asyncio.Future[Any]
    place: BlobPlace | None = None
    follows: bool = False  # goes into the same group as the unit before it

    @property
    def record(self) -> BlobRecord | None:
        """Content for the shared segment; None when it lies in a file of its own already."""
        acceptance = self.acceptance
        if acceptance.place:
            return None
        return BlobRecord(acceptance.message.blob, acceptance.segment_header, acceptance.content or b"")

    @property
    def blob(self) -> BlobId:
        return self.acceptance.message.blob

    @property
    def abandoned(self) -> bool:
        return self.acceptance.abandoned

    @property
    def size(self) -> int:
        return len(self.acceptance.content or b"")


@dataclass(slots=True, eq=False)
class AppendUnit:
    append: MailboxAppend
    future: asyncio.Future[Any]
    place: BlobPlace | None = None
    abandoned: bool = False
    follows: bool = False

    @property
    def record(self) -> BlobRecord | None:
        append = self.append
        if append.place:
            return None
        return BlobRecord(append.blob, append.segment_header, append.content or b"")

    @property
    def blob(self) -> BlobId:
        return self.append.blob

    @property
    def size(self) -> int:
        return len(self.append.content or b"")


@dataclass(slots=True, eq=False)
class OutcomeUnit:
    outcomes: Outcomes
    future: asyncio.Future[Any]
    size: int = 0
    follows: bool = False


@dataclass(slots=True, eq=False)
class WorkUnit:
    function: Callable[[Tx], Any]
    future: asyncio.Future[Any]
    size: int = 0
    follows: bool = False


ContentUnit = AcceptUnit | AppendUnit
Unit = ContentUnit | OutcomeUnit | WorkUnit


class GroupQueue:
    """Two lanes. A group is whatever arrived while the writer was busy.

    Units are put in on the loop; the writer is woken once for all that one turn of the loop brings. A unit that comes
    alone never waits; when several were at it last time, up to GATHER is waited for as many again (decision 6).
    Outcomes, for which nobody waits, ride with what comes next, or go by themselves after OUTCOME_WAIT.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._normal: deque[Unit] = deque()
        self._low: deque[Unit] = deque()
        self._changed = threading.Condition()
        self._waking = False
        self._ripe = False  # there is something that should not wait
        self._later: asyncio.TimerHandle | None = None  # wakes the writer at `_due`, though no more have come
        self._due = 0.0
        self._closed = False
        # Both are guesses that loop and writer change without the lock: a wrong one costs at most OUTCOME_WAIT, since
        # every put sees to a wake-up.
        self._awaited = 0  # units put in since the last group, outcomes left out
        self._expected = 1  # the last group, and who came while it was worked: so many are at it at once
        self._streak = 0  # groups of the normal lane since the last bulk slice
        self._taken = 0  # units in hand
        self._working = False  # they are of the normal lane

    def put(self, unit: Unit, lane: Lane = Lane.NORMAL) -> None:
        if lane is Lane.LOW:
            self._low.append(unit)
            self._wake_soon()
            return
        self._normal.append(unit)
        if not isinstance(unit, OutcomeUnit):
            self._count(1)
        self._wake_in_time()

    def put_together(self, units: Sequence[Unit]) -> None:
        """Units that one group takes all. They arrive in one step, so that the writer never sees a part of them."""
        for unit in units[1:]:
            unit.follows = True
        self._normal.extend(units)
        self._count(len(units))
        self._wake_in_time()

    def _count(self, units: int) -> None:
        """Who comes while a group is worked is another than those in it, who wait to be answered."""
        self._awaited += units
        if self._working:
            self._expected += units

    def _wake_in_time(self) -> None:
        if len(self._normal) >= MAX_UNITS or self._awaited >= self._expected:
            self._wake_soon()
        else:
            self._wake_within(GATHER if self._awaited else OUTCOME_WAIT)

    def _wake_soon(self) -> None:
        if not self._waking:
            self._waking = True
            self._loop.call_soon(self._wake)

    def _wake_within(self, seconds: float) -> None:
        """At the latest then. A first awaited unit shortens the wait of the outcomes before it."""
        due = self._loop.time() + seconds
        if self._later is not None:
            if self._due <= due:
                return
            self._later.cancel()
        self._due = due
        self._later = self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._waking = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        with self._changed:
            self._ripe = True
            self._changed.notify()

    def take(self, timeout: float | None) -> list[Unit] | None:
        """The next group; empty after `timeout` seconds without one; None when closed and drained."""
        with self._changed:
            if not (self._ripe or self._closed):
                self._changed.wait(timeout)
            if not (self._ripe or self._closed):
                return []
            if self._normal and (self._streak < LOW_AFTER or not self._low):
                self._streak += 1
                group = self._take_normal()
            elif self._low:
                self._streak = 0
                group = [self._low.popleft()]
            else:
                self._ripe = False
                return None if self._closed else []
            self._ripe = bool(self._normal or self._low)
            self._taken += len(group)
            self._working = self._streak > 0
            return group

    def _take_normal(self) -> list[Unit]:
        group: list[Unit] = []
        octets = 0
        self._expected, self._awaited = max(1, self._awaited), 0
        while self._normal and ((len(group) < MAX_UNITS and octets < MAX_OCTETS) or self._normal[0].follows):
            unit = self._normal.popleft()
            octets += unit.size
            group.append(unit)
        return group

    def answered(self) -> None:
        """Who comes from here on may be one of those in hand again."""
        self._working = False

    def done(self, units: int) -> None:
        with self._changed:
            self._taken -= units

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def __len__(self) -> int:
        return len(self._normal) + len(self._low) + self._taken
