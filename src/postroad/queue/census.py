"""The queue in figures: by destination, by cause, by age; counted in slices, kept while it is fresh.

Counting reads every waiting recipient once, a slice at a time, in a reader's thread: about 4 s of CPU for a million.
So a picture is kept for 20 times as long as it took (2 s at least), and all who ask at once share one count.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postroad.ports.clock import Clock
from postroad.ports.queueing import CensusPart, CensusPlace, QueueCell
from postroad.ports.store import DeliveryState, Store, Tx

SLICE = 10_000
GROUPS = 10_000  # destinations or causes told apart; beyond them recipients are only counted
NAMES = 50  # causes or destinations remembered of one group
FRESH = 2.0  # seconds that a picture is kept at least
SHARE = 20  # and at least this many times as long as it took: counting costs 5 % of a core at most
BANDS = (
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=8),
    timedelta(days=1),
    timedelta(days=3),
)


@dataclass(slots=True)
class Group:
    """Recipients that share a destination, a cause or a band of age."""

    key: str
    queued: int = 0
    held: int = 0
    oldest: datetime | None = None
    next_due: datetime | None = None
    causes: Counter[str] = field(default_factory=Counter)
    dests: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.queued + self.held

    @property
    def cause(self) -> str:
        """The commonest."""
        return _commonest(self.causes)

    @property
    def dest(self) -> str:
        """The commonest."""
        return _commonest(self.dests)

    def take(self, cell: QueueCell) -> None:
        if cell.state is DeliveryState.HELD:
            self.held += cell.count
        else:
            self.queued += cell.count
        self.oldest = min(self.oldest or cell.oldest, cell.oldest)
        if cell.next_due is not None:
            self.next_due = min(self.next_due or cell.next_due, cell.next_due)
        if cell.cause and (cell.cause in self.causes or len(self.causes) < NAMES):
            self.causes[cell.cause] += cell.count
        if cell.dest in self.dests or len(self.dests) < NAMES:
            self.dests[cell.dest] += cell.count


def _commonest(counted: Counter[str]) -> str:
    return max(counted, key=lambda name: (counted[name], name), default="")


@dataclass(frozen=True, slots=True)
class Picture:
    """The queue at one moment. Groups stand with the largest first, bands of age with the youngest."""

    at: datetime
    took: float
    total: Group
    by_dest: tuple[Group, ...]
    by_cause: tuple[Group, ...]
    by_age: tuple[Group, ...]  # the key is the band's number, see `BANDS`
    rest_of_dests: int = 0  # recipients at destinations beyond `GROUPS`
    rest_of_causes: int = 0


class Census:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept: Picture | None = None
        self._until = 0.0
        self._counting: asyncio.Task[Picture] | None = None

    async def picture(self) -> Picture:
        """The kept one while it is fresh, or one counted now. Raises StoreUnavailable."""
        if self._kept is not None and self._clock.monotonic() < self._until:
            return self._kept
        return await asyncio.shield(self._count_once())  # others may wait for the same count

    async def glance(self, patience: float) -> Picture | None:
        """The same for whoever does not wait longer than `patience`: then the last one, however old, or None where
        this is the first."""
        try:
            async with asyncio.timeout(patience):
                return await self.picture()
        except TimeoutError:
            return self._kept

    def _count_once(self) -> asyncio.Task[Picture]:
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count(), name="queue-census")
            self._counting.add_done_callback(_heard)
        return self._counting

    def forget(self) -> None:
        """Something was changed by hand: who looks next wants to see it, unless counting is long."""
        if self._kept is not None and self._kept.took < FRESH / 2:
            self._until = 0.0

    async def _count(self) -> Picture:
        start, now = self._clock.monotonic(), self._clock.now()
        bands = [now - age for age in BANDS]
        sketch = _Sketch()
        part = await self._store.read(_slice(None, bands))
        sketch.take(part.cells)
        while part.place is not None:
            part = await self._store.read(_slice(part.place, bands))
            sketch.take(part.cells)
        took = self._clock.monotonic() - start
        self._kept = sketch.picture(now, took)
        self._until = self._clock.monotonic() + max(FRESH, took * SHARE)
        return self._kept


def _heard(task: asyncio.Task[Picture]) -> None:
    """Whoever still waits is told of trouble; where nobody does, it ends here."""
    if not task.cancelled():
        task.exception()


def _slice(place: CensusPlace | None, bands: Sequence[datetime]) -> Callable[[Tx], CensusPart]:
    return lambda tx: tx.deliveries.census(place, bands, SLICE)


class _Groups:
    """Groups by key, as they grow; `rest` counts what found no place among them."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self.rest = 0

    def take(self, key: str, cell: QueueCell) -> None:
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS:
                self.rest += cell.count
                return
            group = self._groups[key] = Group(key)
        group.take(cell)

    def largest_first(self) -> tuple[Group, ...]:
        return tuple(sorted(self._groups.values(), key=lambda group: (-group.total, group.key)))


class _Sketch:
    """A picture as it grows, so that cells need not be kept."""

    def __init__(self) -> None:
        self._total = Group("")
        self._dests = _Groups()
        self._causes = _Groups()
        self._ages = [Group(str(band)) for band in range(len(BANDS) + 1)]

    def take(self, cells: Iterable[QueueCell]) -> None:
        for cell in cells:
            self._total.take(cell)
            self._dests.take(cell.dest, cell)
            self._causes.take(cell.cause, cell)
            self._ages[cell.band].take(cell)

    def picture(self, at: datetime, took: float) -> Picture:
        return Picture(
            at,
            took,
            self._total,
            self._dests.largest_first(),
            self._causes.largest_first(),
            tuple(self._ages),
            self._dests.rest,
            self._causes.rest,
        )
