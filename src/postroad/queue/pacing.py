"""How many connections a destination gets, and when it is left alone, learned from how it went so far.

One destination's own affair; what it means for its messages is decided by `lanes` and `runner`.
"""

from __future__ import annotations

from dataclasses import dataclass

from postroad.delivery.agent import OpenFailure

FIRST = 1  # connections to a destination that has not answered yet
ANSWERED = 3  # once it has
RESTS = (30.0, 60.0, 120.0, 300.0, 600.0)  # seconds without dialling, after so many failures in a row; the last repeats
BROKEN_IN_A_ROW = 3  # connections lost in the middle of a message that count as one failure
SMOOTHED_OVER = 8  # messages
SOON = 0.010  # seconds that a message waits for a busy connection before another one is put to work


@dataclass(slots=True)
class Pace:
    """`limit` is the most connections allowed. Times are monotonic seconds."""

    limit: int
    window: int = FIRST
    failures: int = 0
    broken: int = 0
    rests_until: float = 0.0
    why: OpenFailure | None = None  # the failure that it rests for
    took: float = 0.0  # seconds that a message takes, smoothed; 0 while unknown

    def answered(self) -> None:
        """A connection came about."""
        self.window = min(self.limit, max(self.window, ANSWERED))

    def carried(self, took: float) -> None:
        """A message got its answer, whatever it was, `took` seconds after it was begun."""
        self.took = took if not self.took else self.took + (took - self.took) / SMOOTHED_OVER
        self.failures = self.broken = 0
        self.why = None
        if self.window < self.limit:
            self.window += 1

    def soon(self, waiting: int, busy: int) -> bool:
        """Whether the connections that are busy will have taken what waits in no time. Then nothing is gained by more
        of them: a message chained behind another one costs half the reads and writes of one that goes alone."""
        return 0.0 < self.took * waiting <= SOON * busy

    def full(self, connections: int) -> None:
        """It takes no more connections than these."""
        self.window = max(1, connections)

    def lost(self) -> bool:
        """A connection broke in the middle of a message. True: too often, it should rest."""
        self.broken += 1
        self.window = max(1, self.window // 2)
        return self.broken >= BROKEN_IN_A_ROW

    def failed(self, why: OpenFailure, now: float, spread: float) -> None:
        """It cannot be reached: leave it alone for a while, longer each time."""
        rest = RESTS[min(self.failures, len(RESTS) - 1)]
        self.failures += 1
        self.broken = 0
        self.window = FIRST
        self.why = why
        self.rests_until = now + rest * (1 + spread / 5)

    def rests(self, now: float) -> bool:
        return self.why is not None and now < self.rests_until

    def wake(self) -> None:
        """Try it now, whatever happened."""
        self.rests_until = 0.0
