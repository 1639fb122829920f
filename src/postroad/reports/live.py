"""What the overview shows, live: one snapshot a second for all who watch, and none while nobody does.

Each part is renewed when its price allows: what took long to read is read more seldom, so that however much there is,
watching takes only a small share of the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.figures import Trouble
from postroad.ports.search import FoundMessage, MessageQuery
from postroad.ports.store import Store, StoreUnavailable, Tx
from postroad.reports.search import Search
from postroad.reports.statistics import Series, Span, Statistics, StatKind

_log = log.get("live")
EVERY = 1.0  # seconds between two snapshots
SHARE = 0.005  # of the time that reading one part may take
RECENT = 10
TROUBLES = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Overview:
    """One snapshot."""

    at: datetime
    series: Mapping[Span, Series]
    queued: int  # recipients queued or held
    oldest: datetime | None  # when the oldest of them was accepted
    troubles: tuple[Trouble, ...]
    recent: tuple[FoundMessage, ...]

    @property
    def totals(self) -> dict[Span, dict[StatKind, int]]:
        return {span: series.totals for span, series in self.series.items()}

    @property
    def oldest_age(self) -> timedelta | None:
        return self.at - self.oldest if self.oldest else None


class _Part(Generic[T]):
    """A part of the overview, with the last value and what it cost."""

    def __init__(self, clock: Clock, read: Callable[[], Awaitable[T]]) -> None:
        self._clock = clock
        self._read = read
        self._value: T | None = None
        self._next = float("-inf")

    async def value(self) -> T:
        begin = self._clock.monotonic()
        if self._value is None or begin >= self._next:
            self._value = await self._read()
            end = self._clock.monotonic()
            self._next = end + (end - begin) / SHARE
        return self._value


class Live:
    """One for a process. `close` ends whoever watches."""

    def __init__(self, store: Store, search: Search, statistics: Statistics, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._series = _Part(clock, statistics.all_series)
        self._depth = _Part(clock, lambda: store.read(_depth))
        self._troubles = _Part(clock, lambda: store.read(lambda tx: tuple(tx.figures.troubles(TROUBLES))))
        self._recent = _Part(clock, lambda: _recent(search))
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Event()  # set when `_latest` is replaced, and replaced with it
        self._latest: Overview | None = None
        self._closed = False

    async def now(self) -> Overview:
        """A snapshot at once, at most a second old where somebody watches. Raises StoreUnavailable."""
        if self._task is not None and self._latest is not None:
            return self._latest
        return await self._look()

    async def watch(self) -> AsyncGenerator[Overview, None]:
        """Snapshots as they are made, the first at once. One who is slow misses some."""
        self._watchers += 1
        self._task = self._task or asyncio.create_task(self._run(), name="live")
        try:
            if self._latest is None and not self._closed:
                await self._turn.wait()
            while not self._closed:
                turn = self._turn
                if self._latest is not None:
                    yield self._latest
                await turn.wait()
        finally:
            self._watchers -= 1
            if not self._watchers:
                await self._stop()

    async def close(self) -> None:
        """Nobody watches any more."""
        self._closed = True
        await self._stop()
        self._turn.set()

    async def _stop(self) -> None:
        task, self._task, self._latest = self._task, None, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            begin = self._clock.monotonic()
            try:
                self._latest = await self._look()
                turn, self._turn = self._turn, asyncio.Event()
                turn.set()
            except StoreUnavailable:
                pass  # what was there stays; readiness tells of it
            except Exception as error:  # whoever watches goes on watching
                _log.exception("the live view failed", error)
            await self._clock.sleep(max(EVERY / 2, EVERY - (self._clock.monotonic() - begin)))

    async def _look(self) -> Overview:
        series = await self._series.value()
        queued, oldest = await self._depth.value()
        troubles, recent = await self._troubles.value(), await self._recent.value()
        return Overview(self._clock.now(), series, queued, oldest, troubles, recent)


def _depth(tx: Tx) -> tuple[int, datetime | None]:
    queued, oldest = tx.deliveries.depth()
    delivery = tx.deliveries.get(oldest) if oldest is not None else None
    message = tx.messages.get(delivery.message) if delivery else None
    return queued, message.created if message else None


async def _recent(search: Search) -> tuple[FoundMessage, ...]:
    return tuple((await search.messages(MessageQuery(), limit=RECENT)).rows)
