"""A clock in the past, and seeded randomness: what makes a day that is over, and the same day every time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import MutableSequence
from datetime import datetime, timedelta
from typing import Any


class Past:
    """A moment that only moves forward, when somebody moves it."""

    def __init__(self, moment: datetime) -> None:
        self._began = moment
        self.moment = moment

    def elapse(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def reach(self, moment: datetime) -> None:
        """Go on to `moment`, unless it is over already."""
        self.moment = max(self.moment, moment)

    @property
    def elapsed(self) -> float:
        return (self.moment - self._began).total_seconds()

    def milliseconds(self) -> int:
        """For ids, which tell their time."""
        return int(self.moment.timestamp() * 1000)


class PastClock:
    """Implements ports.clock.Clock. Its sleep is a real one: who watches over others must not make the day go by."""

    def __init__(self, past: Past) -> None:
        self._past = past

    def now(self) -> datetime:
        return self._past.moment

    def monotonic(self) -> float:
        return self._past.elapsed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SteppingClock(PastClock):
    """For those in a conversation: while one of them waits, the time of the day passes, at once."""

    async def sleep(self, seconds: float) -> None:
        self._past.elapse(seconds)
        await asyncio.sleep(0)


class SeededRandomness:
    """Implements ports.random.Random, the same way each time. For days that never were: its tokens are no secrets."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def fraction(self) -> float:
        return self._random.random()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def choice(self, items: MutableSequence[Any]) -> Any:
        return self._random.choice(items)

    def shuffle(self, items: MutableSequence[Any]) -> None:
        self._random.shuffle(items)

    def token(self, n_bytes: int) -> bytes:
        return self._random.randbytes(n_bytes)
