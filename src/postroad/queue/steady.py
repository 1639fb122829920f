"""A clock for the queue that a wrong wall clock does not move.

Wall time says when mail falls due and when it is given up; it can be set a year ahead by a mistake, and then everything
would expire at once. So it is held against the monotonic clock: as long as both agree, this clock shows wall time; when
they part by more than `TOLERATED`, it goes on from where they agreed, and tells whoever listens. They agree again when
the wall clock comes back, or when a person says that it is right (`trust`).

A wall clock that drifts is followed at `FOLLOWED` seconds a second, which is far more than real clocks do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from postroad.observe import log
from postroad.ports.clock import Clock

SEEN = "clock.seen"  # the meta fact: what time it was, by this clock
TOLERATED = timedelta(minutes=10)
FOLLOWED = 0.005  # seconds of drift that are believed, for each second: seven minutes a day
LOOK_EVERY = 1.0  # seconds
STOPPED_FOR = timedelta(days=7)  # a start so long after the last sign of life is a wrong clock, or wants a word

_log = log.get("clock")


@dataclass(frozen=True, slots=True)
class Jump:
    """The wall clock and this one differ by `off`."""

    wall: datetime
    steady: datetime

    @property
    def off(self) -> timedelta:
        return self.wall - self.steady


class SteadyClock:
    """Implements ports.clock.Clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall = clock.now()  # as it should have been at `_at`
        self._at = clock.monotonic()
        self.jump: Jump | None = None  # while the wall clock is not believed
        self.rang: Callable[[Jump], None] = lambda jump: None  # noqa: ARG005

    def now(self) -> datetime:
        wall, at = self._clock.now(), self._clock.monotonic()
        expected = self._wall + timedelta(seconds=at - self._at)
        if abs(wall - expected) <= TOLERATED:
            if self.jump is not None:
                self._settle(wall)
            self._follow(wall, expected, at)
            return wall
        if self.jump is None:
            self.jump = Jump(wall, expected)
            _log.error("the wall clock has jumped: nothing expires until it is right", off=str(self.jump.off))
            self.rang(self.jump)
        return expected

    def _follow(self, wall: datetime, expected: datetime, at: float) -> None:
        """What is expected moves towards what is seen, slowly: a drift that is faster adds up to a jump."""
        most = timedelta(seconds=(at - self._at) * FOLLOWED)
        self._wall = expected + max(-most, min(most, wall - expected))
        self._at = at

    def _settle(self, wall: datetime) -> None:
        _log.warning("the wall clock is right again", now=str(wall))
        self.jump = None

    def begin(self, last_seen: datetime | None) -> None:
        """At the start: the last moment that this clock showed before, from the disk. Much later is not believed, so
        that a server that comes up with a wrong clock gives nothing up."""
        wall = self._clock.now()
        if last_seen is not None and wall - last_seen > STOPPED_FOR:
            self._wall, self._at = last_seen, self._clock.monotonic()
            self.now()

    def of(self, wall: datetime) -> datetime:
        """This clock's time for a moment just now, of which the wall time is known: for what is due and what expires.
        It looks at the clocks once a second at most."""
        if self._clock.monotonic() - self._at >= LOOK_EVERY:
            self.now()
        return wall if self.jump is None else self.now()

    def trust(self) -> None:
        """A person says that the wall clock is right."""
        self._wall, self._at, self.jump = self._clock.now(), self._clock.monotonic(), None

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
