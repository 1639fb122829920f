"""Figures: events counted by minute and hour, so that pictures of a month need not count its events.

A minute is counted ten seconds after its end, and looked at once more five minutes later, for what was committed late;
counting it again gives the same result, so that nothing is ever counted twice. What is younger is counted when somebody
asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import NamedTuple

from postroad.events.model import EventKind
from postroad.ports.clock import Clock
from postroad.ports.figures import HOUR, MINUTE, Count, Figure
from postroad.ports.store import Lane, Store, Tx


class StatKind(StrEnum):
    """What is counted. The first counts messages, the others recipients, deferrals once a try."""

    IN = "in"  # accepted, from whomever
    OUT = "out"  # to be brought to another host
    DELIVERED = "delivered"  # into a mailbox here or to another host
    DEFERRED = "deferred"  # a try that failed and will be repeated
    BOUNCED = "bounced"  # failed for good, or out of time


FIGURES = {
    EventKind.RECEIVED: StatKind.IN,
    EventKind.QUEUED: StatKind.OUT,
    EventKind.DELIVERED: StatKind.DELIVERED,
    EventKind.DEFERRED: StatKind.DEFERRED,
    EventKind.BOUNCED: StatKind.BOUNCED,
    EventKind.EXPIRED: StatKind.BOUNCED,
}
FIGURE_OF: dict[str, str] = {kind.value: figure.value for kind, figure in FIGURES.items()}  # as rows spell them
GRACE = timedelta(seconds=10)  # an event is committed that long after its making, at most
AGAIN = timedelta(minutes=5)
KEEP_MINUTES = timedelta(days=2)
STRIDE = timedelta(hours=1)  # counted at once, where events are few
OLD_STRIDE = timedelta(days=1)  # the same of times of which minutes are not kept
ROWS = 400  # figures written in one transaction
DENSE = 50_000  # events: where there are more in an hour, fewer minutes are counted at once

_MINUTE = timedelta(minutes=1)
_MARK = "figures"  # in tx.meta: what lies before it is counted
_BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)


def figures(counts: Iterable[Count], width: int) -> list[Figure]:
    """Counts of events as figures in buckets of that width; some kinds of event are one figure."""
    sums: dict[tuple[int, int, str, str], int] = {}
    for count in counts:
        key = (count.minute - count.minute % width, count.server, count.stream, FIGURE_OF[count.kind])
        sums[key] = sums.get(key, 0) + count.n
    return [Figure(server, stream, kind, bucket, n) for (bucket, server, stream, kind), n in sorted(sums.items())]


class Portion(NamedTuple):
    """Figures of a stretch of time that are written at once."""

    start: datetime
    end: datetime
    width: int
    figures: Sequence[Figure]


def portions(stretch: Stretch, found: Sequence[Figure]) -> Iterator[Portion]:
    """Whole buckets with not many more than `ROWS` figures; between them they cover the stretch."""
    start, some = stretch.start, list[Figure]()
    for bucket, group in groupby(found, key=lambda figure: figure.bucket):
        if len(some) >= ROWS:
            end = datetime.fromtimestamp(bucket, UTC)
            yield Portion(start, end, stretch.width, some)
            start, some = end, []
        some += group
    yield Portion(start, stretch.end, stretch.width, some)


def minute_of(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)


def hour_of(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def counted_before(tx: Tx) -> datetime | None:
    """All figures before then are kept; those from then on have to be counted from events."""
    mark = tx.meta.get(_MARK)
    return datetime.fromisoformat(mark) if mark else None


class Stretch(NamedTuple):
    """A time that is counted at once, in buckets of that width; once it is, with how many events there were."""

    start: datetime
    end: datetime
    width: int
    events: int = 0


class RollUp:
    """Follows the events. One for a process with the role `janitor`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counted: datetime | None = None
        self._unsettled: deque[Stretch] = deque()  # to be looked at once more

    def is_due(self) -> bool:
        """Whether another minute is over."""
        return self._counted is None or self._counted + _MINUTE + GRACE <= self._clock.now()

    async def advance(self) -> bool:
        """Count one stretch; whether there is more to count. Raises StoreUnavailable."""
        end = minute_of(self._clock.now() - GRACE)
        if self._counted is None:
            self._counted = await self._store.read(_start)
        start = self._counted
        stretch = await self._store.read(lambda tx: _next(tx, start, end) or Stretch(end, end, MINUTE))
        if stretch.start < stretch.end:
            await self._count(stretch)
        self._counted = max(start, stretch.end)
        await self._settle(end - AGAIN)
        return stretch.end < end

    async def _count(self, stretch: Stretch) -> None:
        events, found = await self._store.read(partial(_look, stretch))
        for portion in portions(stretch, found):
            await self._store.write(partial(_keep, portion), lane=Lane.LOW)
        self._unsettled.append(stretch._replace(events=events))

    async def _settle(self, before: datetime) -> None:
        """Count those again that have grown since."""
        while self._unsettled and self._unsettled[0].end <= before:
            stretch = self._unsettled.popleft()
            if await self._store.read(partial(_events_in, stretch)) > stretch.events:
                await self._count(stretch)

    def rewind(self, to: datetime) -> None:
        """Events made since then may have been committed late: count them again. Hours are sums of minutes, and those
        are kept for two days."""
        if self._counted is not None:
            floor = self._clock.now() - KEEP_MINUTES + timedelta(hours=2)
            self._counted = max(min(self._counted, minute_of(to)), minute_of(floor))

    async def trim(self, before: datetime) -> int:
        """Forget minutes older than two days, and hours before then; how many buckets."""
        reached = (self._counted or _BEGINNING) - timedelta(hours=2)
        minutes = min(self._clock.now() - KEEP_MINUTES, reached)
        return await self._store.write(lambda tx: tx.figures.trim(minutes, before), lane=Lane.LOW)


def _start(tx: Tx) -> datetime:
    """Where to begin: the last minutes before a stop may have grown."""
    counted = counted_before(tx)
    return counted - AGAIN if counted else _BEGINNING


def _next(tx: Tx, start: datetime, end: datetime) -> Stretch | None:
    """What to count next: whole minutes with events in them, of one hour; of old times whole hours, of one day."""
    begin = tx.figures.first_event(start)
    if begin is None or begin >= end:
        return None
    if begin < end - KEEP_MINUTES - OLD_STRIDE:
        low = hour_of(begin)
        return Stretch(low, _bounded(tx, low, low + OLD_STRIDE, STRIDE), HOUR)
    low = max(start, minute_of(begin))
    return Stretch(low, _bounded(tx, low, min(end, hour_of(low) + STRIDE), _MINUTE), MINUTE)


def _bounded(tx: Tx, low: datetime, high: datetime, step: timedelta) -> datetime:
    """An earlier end where there are very many events before `high`: so many steps behind `low`, one at least."""
    last = tx.figures.event_behind(low, DENSE)
    return high if last is None or last >= high else low + max((last - low) // step, 1) * step


def _look(stretch: Stretch, tx: Tx) -> tuple[int, list[Figure]]:
    """How many events there are, and what they come to."""
    counts = tx.figures.count(stretch.start, stretch.end)
    return _events_in(stretch, tx), figures(counts, stretch.width)


def _events_in(stretch: Stretch, tx: Tx) -> int:
    return tx.figures.events(stretch.start, stretch.end)


def _keep(portion: Portion, tx: Tx) -> None:
    tx.figures.put(portion.width, portion.start, portion.end, portion.figures)
    counted = counted_before(tx)
    if counted is None or counted < portion.end:
        tx.meta.put(_MARK, portion.end.isoformat())
