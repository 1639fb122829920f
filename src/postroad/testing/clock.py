"""A clock that jumps: hours of retries and patience pass in no time, in order, and the same way each run.

It serves as `ports.clock.Clock` and as the `timers` of `adapters.net.hub.Hub`, so that a session's sleeps and the
driver's patience run on one time: `await clock.advance(301)` is what a peer silent for 301 seconds looks like. Time
moves by `advance` alone; between two timers the event loop is left to settle.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TURNS = 25  # loop turns for what one timer set off


class JumpingTimer:
    """What `call_later` returns."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], Any]) -> None:
        self.callback: Callable[[], Any] | None = callback

    def cancel(self) -> None:
        self.callback = None


class JumpingClock:
    """Time that stands still until it is told to move."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._count = 0
        self._timers: list[tuple[float, int, JumpingTimer]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    time = monotonic

    def call_later(self, delay: float, callback: Callable[..., Any], /, *args: Any) -> JumpingTimer:
        timer = JumpingTimer(lambda: callback(*args))
        self._count += 1
        heapq.heappush(self._timers, (self._elapsed + max(0.0, delay), self._count, timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()

    @property
    def next_due(self) -> float | None:
        """Seconds until the next timer; None when nobody waits."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] - self._elapsed if self._timers else None

    async def advance(self, seconds: float) -> None:
        """Let time pass: each timer that comes due is called at its own time, then the loop settles."""
        end = self._elapsed + seconds
        await settle()
        while (due := self.next_due) is not None and self._elapsed + due <= end:
            at, _, timer = heapq.heappop(self._timers)
            self._elapsed = max(self._elapsed, at)
            if timer.callback is not None:
                timer.callback()
            await settle()
        self._elapsed = end


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


async def settle(turns: int = TURNS) -> None:
    """Let the event loop run what is ready."""
    for _ in range(turns):
        await asyncio.sleep(0)
