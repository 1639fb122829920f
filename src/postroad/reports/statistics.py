"""Figures as pictures: what happened to mail over the last hour, day and month.

What is kept (see events/stats.py) gives all but the youngest minutes; those are counted from the events themselves, so
that figures are of now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from postroad.events.stats import FIGURE_OF, StatKind, counted_before, minute_of
from postroad.ports.clock import Clock
from postroad.ports.figures import HOUR, MINUTE, Sum
from postroad.ports.ids import ServerId
from postroad.ports.store import Store, Tx

__all__ = ["Series", "Span", "StatKind", "Statistics"]


class Span(StrEnum):
    """How far back a picture goes."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class _Scale:
    """A picture of so many steps, made of buckets of that width."""

    step: timedelta
    steps: int
    width: int


SCALES = {
    Span.HOUR: _Scale(timedelta(minutes=1), 60, MINUTE),
    Span.DAY: _Scale(timedelta(minutes=15), 96, MINUTE),
    Span.MONTH: _Scale(timedelta(hours=6), 120, HOUR),
}
UNCOUNTED = timedelta(minutes=15)  # counted from events in any case
MANY = 100_000  # events: where more are not counted yet, older ones than that are left out for now
LATE = timedelta(seconds=1)  # events this young may still be committed; what comes later is seen with the next minute
_AHEAD = timedelta(minutes=1)  # another node's clock may be ahead of ours
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Series:
    """`counts[kind][n]` is what happened from `start + n * step` on, for one step; the last step is not over yet.

    `is_complete` is false while mail from before is still being counted.
    """

    start: datetime
    step: timedelta
    counts: Mapping[StatKind, list[int]] = field(default_factory=dict)
    is_complete: bool = True

    @property
    def totals(self) -> dict[StatKind, int]:
        """By kind, over the whole span."""
        return {kind: sum(counts) for kind, counts in self.counts.items()}

    @property
    def times(self) -> list[datetime]:
        """When each step begins."""
        return [self.start + number * self.step for number in range(len(self.counts[StatKind.IN]))]


class Statistics:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: _Known | None = None

    async def series(self, span: Span, server: ServerId | None = None, stream: str | None = None) -> Series:
        """One picture, of everything, of one sending project or of one of its streams. Raises StoreUnavailable."""
        now = self._clock.now()
        return await self._store.read(lambda tx: read_series(tx, span, now, server, stream))

    async def all_series(self) -> dict[Span, Series]:
        """The pictures of everything. It may be asked every second: what it has counted it counts no more.

        Raises StoreUnavailable.
        """
        now, known = self._clock.now(), self._known
        looked, youngest = await self._store.read(lambda tx: _look(tx, known, now))
        self._known = looked
        return {span: looked.picture(span, youngest) for span in Span}


def read_series(tx: Tx, span: Span, now: datetime, server: ServerId | None, stream: str | None) -> Series:
    """The picture up to `now`."""
    start, scale = start_of(span, now), SCALES[span]
    counted = _counted(tx, now)
    kept = tx.figures.sums(scale.width, start, counted.kept, server=server, stream=stream)
    fresh = tx.figures.fresh(max(counted.fresh, start), now + _AHEAD, server=server, stream=stream)
    return Series(start, scale.step, spread(span, start, [*kept, *as_figures(fresh)]), counted.is_complete)


class _Counted(NamedTuple):
    """Up to where figures are kept, and from where events are counted now."""

    kept: datetime
    fresh: datetime

    @property
    def is_complete(self) -> bool:
        return self.kept == self.fresh


def _counted(tx: Tx, now: datetime) -> _Counted:
    kept = counted_before(tx) or start_of(Span.MONTH, now)
    limit = minute_of(now - UNCOUNTED)
    if kept >= limit or tx.figures.event_behind(kept, MANY) is None:
        return _Counted(kept, kept)
    return _Counted(kept, limit)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a look a moment ago has counted: figures kept before `counted`, events from there up to `settled`."""

    counted: _Counted
    settled: datetime
    kept: Mapping[Span, Series]
    sums: tuple[Sum, ...]

    def picture(self, span: Span, youngest: Sequence[Sum]) -> Series:
        kept = self.kept[span]
        counts = spread(span, kept.start, [*self.sums, *youngest])
        return Series(
            kept.start,
            kept.step,
            {
                kind: [one + other for one, other in zip(kept.counts[kind], counts[kind], strict=True)]
                for kind in counts
            },
            kept.is_complete,
        )


def _look(tx: Tx, known: _Known | None, now: datetime) -> tuple[_Known, list[Sum]]:
    """What is known now, and what is too young to be remembered."""
    counted = _counted(tx, now)
    if known is None or known.counted.kept != counted.kept or known.settled > now:
        known = _Known(counted, counted.fresh, {}, ())
    settled = max(known.settled, now - LATE)
    sums = (
        [*known.sums, *as_figures(tx.figures.fresh(known.settled, settled))] if settled > known.settled else known.sums
    )
    youngest = as_figures(tx.figures.fresh(settled, now + _AHEAD))
    return _Known(counted, settled, _kept(tx, known, counted, now), _merged(sums)), youngest


def _kept(tx: Tx, known: _Known, counted: _Counted, now: datetime) -> dict[Span, Series]:
    """The pictures without their youngest part; those that have not moved on are as they were."""
    pictures = {}
    for span, scale in SCALES.items():
        start, before = start_of(span, now), known.kept.get(span)
        if before is None or before.start != start:
            sums = tx.figures.sums(scale.width, start, counted.kept)
            before = Series(start, scale.step, spread(span, start, sums), counted.is_complete)
        pictures[span] = before
    return pictures


def _merged(sums: Iterable[Sum]) -> tuple[Sum, ...]:
    total: dict[tuple[str, int], int] = {}
    for kind, bucket, n in sums:
        total[kind, bucket] = total.get((kind, bucket), 0) + n
    return tuple(Sum(*key, n) for key, n in total.items())


def start_of(span: Span, now: datetime) -> datetime:
    """The first step of the picture whose last one holds `now`."""
    scale = SCALES[span]
    return now - (now - _EPOCH) % scale.step - (scale.steps - 1) * scale.step


def as_figures(sums: Iterable[Sum]) -> list[Sum]:
    """Counts of events as figures."""
    return [Sum(FIGURE_OF[kind], bucket, n) for kind, bucket, n in sums]


def spread(span: Span, start: datetime, sums: Iterable[Sum]) -> dict[StatKind, list[int]]:
    """Sums laid out over the steps of a picture; what falls beside it is left out."""
    scale = SCALES[span]
    first, width = int(start.timestamp()), int(scale.step.total_seconds())
    counts = {kind: [0] * scale.steps for kind in StatKind}
    for kind, bucket, n in sums:
        place = (bucket - first) // width
        if 0 <= place < scale.steps:
            counts[StatKind(kind)][place] += n
    return counts
