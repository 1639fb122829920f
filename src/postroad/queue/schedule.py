"""When to try a delivery again, and when to give up (RFC 5321 §4.5.4.1).

Pure: `results.py` and `claims.py` ask, and nobody else needs to know the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

SPREAD = 0.1  # a wait is lengthened by up to this part of itself
WARN_AFTER = 4 * 3600.0
MIN_TRIES = 2  # a wrong clock never expires what was not tried twice


@dataclass(frozen=True, slots=True)
class Schedule:
    """The curve. `waits` are seconds between tries; the last one repeats."""

    waits: Sequence[float]
    expire_after: float
    warn_after: float = 0.0  # seconds, after which a sender is told that it takes long; 0: only where it asks

    def wait_after(self, tries: int) -> float:
        """Seconds between try number `tries` (1 is the first) and the next one, without spread."""
        return self.waits[min(max(tries, 1), len(self.waits)) - 1]

    def next_due(self, tries: int, *, now: datetime, expires: datetime | None, spread: float) -> datetime | None:
        """The next due time, or None when the delivery has run out of time.

        `spread` (0 to 1) keeps messages that were deferred together from coming back together. A delivery that was
        tried only once is always tried again: the clock may have jumped.
        """
        due = now + timedelta(seconds=self.wait_after(tries) * (1 + SPREAD * spread))
        if tries < MIN_TRIES or expires is None or due <= expires:
            return due
        return expires if now < expires else None  # one last try at the very end

    def is_late(self, began: datetime, now: datetime, *, asked: bool) -> bool:
        """Whether it has been tried so long that its sender is told. Who asks for it (NOTIFY=DELAY, RFC 3461 §4.1) is
        told even where others are not: then after the wait that stands in the settings' default."""
        after = self.warn_after or (WARN_AFTER if asked else 0.0)
        return after > 0 and now >= began + timedelta(seconds=after)

    def expires(self, accepted: datetime) -> datetime:
        """When a delivery accepted at `accepted` runs out of time."""
        return accepted + timedelta(seconds=self.expire_after)
