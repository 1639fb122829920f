"""How many connections and messages a group of destinations gets, and when it is left alone, learned from how it went.

One group's own affair; what it means for its messages is decided by `lanes` and `runner`. Times are monotonic seconds.

Connections: one at first, more with each success, never more than the group has been seen to take. Rate: none at
first. When the other side says that we are too quick, what it took before it said so is what it takes: we go on at nine
tenths of that, evenly spaced, and only after a while try a little more. So a limit that nobody has told us of costs a
few refused attempts when it is met and a few each time it is felt for again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from postroad.delivery.agent import OpenFailure

FIRST = 1  # connections to a destination that has not answered yet
ANSWERED = 3  # once it has
RESTS = (30.0, 60.0, 120.0, 300.0, 600.0)  # seconds without dialling, after so many failures in a row; the last repeats
TURNED_AWAY = 5  # connections in a row: it takes fewer than it has taken before
AWAY_FOR = 2.0  # seconds without dialling after one
BROKEN_IN_A_ROW = 3  # connections lost in the middle of a message that count as one failure
SMOOTHED_OVER = 8  # messages
SOON = 0.010  # seconds that a message waits for a busy connection before another one is put to work

STEP = 10.0  # seconds of one count of what was taken
SPANS = (60.0, 600.0, 3600.0)  # providers count by the minute, by some minutes, by the hour
CAREFUL = 0.9  # of what was taken before the refusal
NEAR = 0.97  # of the known limit: closer only on trial
GROWTH = 0.05  # of the rate, when it has held for a while; twice as much each time that it holds again
HELD_FOR = 600.0  # seconds without a refusal, after which the rate grows
TRIAL_AFTER = 1800.0  # seconds at the known limit, after which a little more is tried; twice as long each time in vain
LONGEST_TRIAL = 4 * 3600.0
FEW = 10  # messages in a minute: a refusal after so few says little
SHORT = 5.0  # seconds of silence then
PAUSES = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)  # seconds of silence after so many refusals in a row
NO_LIMIT = 100.0  # messages a second: a rate that grew beyond it is none
LEAST = 1 / 600  # messages a second
SLOW = 4.0  # times as slow as its best, and by a second: fewer connections
SLOW_BY = 1.0
PATIENCE = 30.0  # seconds between two such decisions


class Taken:
    """How much was taken lately, in steps, for an hour."""

    __slots__ = ("_counts", "_end", "_now")

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()  # end of a step, what was taken in it
        self._end = 0.0
        self._now = 0

    def add(self, now: float) -> None:
        if now >= self._end:
            if self._now:
                self._counts.append((self._end, self._now))
            while self._counts and self._counts[0][0] < now - SPANS[-1]:
                self._counts.popleft()
            self._end, self._now = now + STEP, 0
        self._now += 1

    def within(self, span: float, now: float) -> int:
        """Of the last `span` seconds."""
        counted = sum(count for end, count in self._counts if end > now - span)
        return counted + (self._now if self._end > now - span else 0)


@dataclass(slots=True)
class Pace:
    """`limit` is the most connections allowed, `most` the highest rate (messages a second; 0: none is known)."""

    limit: int
    most: float = 0.0
    window: int = FIRST
    broken: int = 0
    took: float = 0.0  # seconds that a message takes, smoothed; 0 while unknown
    rate: float = 0.0  # messages a second; 0: as quick as it goes
    known: bool = False  # it has answered in this process
    ceiling: int = 0  # connections that were too many; 0: none were
    dial_after: float = 0.0
    slow_until: float = 0.0
    throttled: int = 0  # replies that said so, for figures
    paused_until: float = 0.0
    in_a_row: int = 0  # pauses without a success between them
    gated: bool = False  # something of `rate` and `paused_until` is to be looked at before each message
    _stood: int = 0  # the most connections that stood at once
    _away: int = 0  # connections that were turned away, in a row
    _best: float = 0.0  # the shortest `took`
    _next: float = 0.0  # when the next message may go
    _felt: float = 0.0  # the rate at which a refusal came
    _grow_at: float = 0.0
    _growth: float = GROWTH
    _span: int = 0  # which of SPANS it seems to count by
    _trial: float = TRIAL_AFTER
    _ceiling_until: float = 0.0
    _ceiling_for: float = HELD_FOR
    _taken: Taken = field(default_factory=Taken)

    def __post_init__(self) -> None:
        if self.most:
            self.rate, self.gated, self._felt = self.most, True, self.most

    # -- connections -------------------------------------------------------------------------------------------

    def answered(self, standing: int = 1) -> None:
        """A connection came about; so many stand now."""
        self.known = True
        self._stood = max(self._stood, standing)
        self._away = 0
        self.window = min(self._bound, max(self.window, ANSWERED))

    @property
    def _bound(self) -> int:
        return min(self.limit, self.ceiling) if self.ceiling else self.limit

    def carried(self, took: float, now: float) -> None:
        """A message was taken, `took` seconds after it was begun."""
        self.took = took if not self.took else self.took + (took - self.took) / SMOOTHED_OVER
        self.broken = 0
        self._taken.add(now)
        if self.window < self.limit:
            self._widen(now)
        if self.gated or self.in_a_row:
            self.in_a_row = 0
            self._grow(now)
        if self.took < self._best or not self._best:
            self._best = self.took
        elif self.took > self._best * SLOW and self.took > self._best + SLOW_BY and now >= self.slow_until:
            self.window = max(1, self.window - 1)  # it does not get quicker by more of it
            self.slow_until = now + PATIENCE

    def _widen(self, now: float) -> None:
        if self.ceiling and now >= self._ceiling_until:  # try one more than was too many before
            self.ceiling += 1
            self._ceiling_for = min(self._ceiling_for * 2, LONGEST_TRIAL)
            self._ceiling_until = now + self._ceiling_for
        if self.window < self._bound and now >= self.slow_until:
            self.window += 1

    def answer_bad(self, took: float) -> None:
        """It answered, and did not take it: nothing about us is wrong."""
        self.took = took if not self.took else self.took + (took - self.took) / SMOOTHED_OVER
        self.broken = 0

    def soon(self, waiting: int, busy: int) -> bool:
        """Whether the connections that are busy will have taken what waits in no time. Then nothing is gained by more
        of them: a message chained behind another one costs half the reads and writes of one that goes alone."""
        return 0.0 < self.took * waiting <= SOON * busy

    def full(self, standing: int, now: float) -> None:
        """It turned a connection away, while so many stood. It has taken as many as ever stood, and may just not have
        seen yet that one has gone: fewer than that is believed when it says so again."""
        self._away += 1
        if self._away >= TURNED_AWAY:
            self._stood = standing
        self.window = self.ceiling = max(1, standing, self._stood)
        self._ceiling_until = now + self._ceiling_for
        self.dial_after = now + AWAY_FOR

    def lost(self) -> bool:
        """A connection broke in the middle of a message. True: too often, it should rest."""
        self.broken += 1
        self.window = max(1, self.window // 2)
        return self.broken >= BROKEN_IN_A_ROW

    def failed(self) -> None:
        """It cannot be reached: begin anew, carefully."""
        self.broken = 0
        self.window = FIRST

    # -- rate --------------------------------------------------------------------------------------------------

    def refused(self, now: float, hint: float = 0.0) -> bool:
        """It said that we are too quick. `hint`: when it wants us back, in seconds. True: a pause begins with it."""
        self.throttled += 1
        if now < self.paused_until:
            return False  # what was under way already
        again, self.in_a_row = self.in_a_row, self.in_a_row + 1
        if not again and self._taken.within(SPANS[0], now) < FEW and not self.rate:
            self.paused_until = now + max(SHORT, hint)  # it may be about this one message alone
        else:
            self._slow_down(now, again)
            self.paused_until = now + max(PAUSES[min(again, len(PAUSES) - 1)], hint)
        self.window = max(1, self.window // 2)
        self._next = self.paused_until
        self.gated = True
        return True

    def _slow_down(self, now: float, again: int) -> None:
        if again and self.rate:
            self._span = min(again // 2, len(SPANS) - 1)  # it counts by longer times than we thought: measure so next
        else:
            span = SPANS[self._span]
            counted = self._taken.within(span, now) / span
            if self.rate > self._felt > 0.0:  # it was on trial, in vain
                self._trial = min(self._trial * 2, LONGEST_TRIAL)
            self._felt = min(max(counted, self.rate / 2), self.rate) if self.rate else max(counted, LEAST)
            self.rate = self._felt * CAREFUL
        self._growth = GROWTH
        self._grow_at = now + HELD_FOR

    def _grow(self, now: float) -> None:
        """It has held for a while: a little more, up to what is known to be too much; beyond that only on trial."""
        if now < self._grow_at or not self.rate or (self.most and self.rate >= self.most):
            return
        grown, near = self.rate * (1 + self._growth), self._felt * NEAR
        self._growth = min(self._growth * 2, 1.0)
        self._grow_at = now + HELD_FOR
        if self.rate < near < grown:
            grown, self._grow_at, self._growth = near, now + self._trial, GROWTH
        self.rate = min(grown, self.most) if self.most else grown
        if self.rate > NO_LIMIT:
            self.rate, self.gated = 0.0, False

    def wait(self, now: float) -> float:
        """Seconds until the next message may go; 0: now."""
        return max(0.0, self.paused_until - now, self._next - now if self.rate else 0.0)

    def take(self, now: float) -> bool:
        """Whether a message may go now; then it counts. To be asked only while `gated`."""
        if now < self.paused_until or (self.rate and now < self._next):
            return False
        if self.rate:
            self._next = max(now, self._next) + 1 / self.rate
        else:
            self.gated = False
        return True

    def wake(self) -> None:
        """Somebody wants it tried now, whatever was said."""
        self.paused_until = 0.0
        self._next = 0.0


@dataclass(slots=True)
class Rest:
    """A destination, or all that share its hosts, that cannot be reached and is left alone for a while."""

    failures: int = 0
    until: float = 0.0
    why: OpenFailure | None = None  # what it rests for

    def failed(self, why: OpenFailure, now: float, spread: float) -> None:
        """Longer each time."""
        rest = RESTS[min(self.failures, len(RESTS) - 1)]
        self.failures += 1
        self.why = why
        self.until = now + rest * (1 + spread / 5)

    def over(self) -> None:
        """It answered."""
        self.failures = 0
        self.why = None

    def lasts(self, now: float) -> bool:
        return self.why is not None and now < self.until

    def wake(self) -> None:
        """Try it now, whatever happened."""
        self.until = 0.0
