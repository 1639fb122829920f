"""When to try a delivery again, and when to give up (RFC 5321 §4.5.4.1).

Pure: `results.py` and `claims.py` ask, and nobody else needs to know the curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from postroad.config.schema import DeliverySettings, RetrySettings

GREYLIST_WAITS = (60.0, 120.0, 150.0, 600.0, 1200.0, 1800.0)  # 1, 3, 5.5, 15.5, 35 minutes and then each half hour
FULL_WAITS = (3600.0, 7200.0, 14400.0, 28800.0)  # a mailbox is not emptied in minutes
SPREAD = 0.1  # a wait is lengthened by up to this part of itself
WARN_AFTER = 4 * 3600.0
MIN_TRIES = 2  # a wrong clock never expires what was not tried twice


@dataclass(frozen=True, slots=True)
class Schedule:
    """The curve. `waits` are seconds between tries; the last one repeats."""

    waits: Sequence[float]
    expire_after: float
    warn_after: float = 0.0  # seconds, after which a sender is told that it takes long; 0: only where it asks
    by_cause: Mapping[str, Sequence[float]] = field(default_factory=dict)  # waits where it is known why it was put off

    def wait_after(self, tries: int, cause: str = "") -> float:
        """Seconds between try number `tries` (1 is the first) and the next one, without spread."""
        waits = self.by_cause.get(cause) or self.waits
        return waits[min(max(tries, 1), len(waits)) - 1]

    def next_due(
        self, tries: int, *, now: datetime, expires: datetime | None, spread: float, wait: float | None = None
    ) -> datetime | None:
        """The next due time, or None when the delivery has run out of time.

        `spread` (0 to 1) keeps messages that were deferred together from coming back together. A delivery that was
        tried only once is always tried again: the clock may have jumped. `wait` is what was learned instead of the
        curve.
        """
        wait = self.wait_after(tries) if wait is None else wait
        due = now + timedelta(seconds=wait * (1 + SPREAD * spread))
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


class Schedules:
    """The curve of each stream: what `[delivery]` says, as `[[retry]]` changes it."""

    def __init__(self, usual: Schedule, rows: Sequence[RetrySettings] = ()) -> None:
        self._usual = _with(usual, [row for row in rows if not row.stream])
        streams = dict.fromkeys(row.stream for row in rows if row.stream)
        self._streams = {
            stream: _with(usual, [row for row in rows if row.stream in ("", stream)]) for stream in streams
        }

    def of(self, stream: str) -> Schedule:
        if not self._streams or not stream:
            return self._usual
        return self._streams.get(stream, self._usual)


def usual_schedule(settings: DeliverySettings) -> Schedule:
    """As `[delivery]` has it. A full mailbox and a greylist have curves of their own, unless somebody has chosen other
    waits than those that ship: then these hold for all that `[[retry]]` does not name."""
    chosen = settings.retry_waits != DeliverySettings().retry_waits
    by_cause = {} if chosen else {"greylisted": GREYLIST_WAITS, "mailbox-full": FULL_WAITS}
    return Schedule(settings.retry_waits, settings.expire_after, settings.warn_after, by_cause)


def _with(usual: Schedule, rows: Sequence[RetrySettings]) -> Schedule:
    """The first row that says something about a value decides."""
    schedule = usual
    for row in reversed(rows):
        if row.waits:
            by_cause = {**schedule.by_cause, row.cause: row.waits} if row.cause else schedule.by_cause
            schedule = replace(schedule, waits=schedule.waits if row.cause else row.waits, by_cause=by_cause)
        schedule = replace(
            schedule,
            expire_after=row.expire_after or schedule.expire_after,
            warn_after=row.warn_after or schedule.warn_after,
        )
    return schedule
