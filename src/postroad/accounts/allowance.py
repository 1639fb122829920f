"""What a sender has sent of late, and whether that is more than it may or than it used to. Pure: times come in.

Sums over the last hour and day are kept in slices of a minute and a quarter of an hour, so that a sender costs little
memory; a slice counts until all of it is too old, so that an hour is never shorter than one. Which recipients were
different ones is known for the last hour only, and is forgotten at a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

HOUR, DAY = 3600, 86400
HALVES_AFTER = 30 * DAY  # what a sender's busiest hours had counts half as much after so long
HISTORY = 7 * DAY  # nothing is a jump for who was first seen later than that
MAX_DISTINCT = 10_000  # recipients remembered of one sender; more is a jump for anybody
_VERSION = 1


class Allowed(NamedTuple):
    """Recipients that may get something; 0 is no limit."""

    hour: int = 0
    day: int = 0


class Jumps(NamedTuple):
    """What counts as a jump; a 0 in `recipients` or `bounces` is never."""

    recipients: int = 200
    factor: float = 5.0
    bounces: int = 20
    share: float = 25.0  # percent


class Window:
    """A sum over the last `span` seconds."""

    __slots__ = ("_slices", "_span", "_sum", "_width")

    def __init__(self, span: int, width: int, slices: Iterable[tuple[int, int]] = ()) -> None:
        self._span = span
        self._width = width
        self._slices = deque((int(start), int(n)) for start, n in slices)
        self._sum = sum(n for _, n in self._slices)

    def add(self, now: int, n: int) -> None:
        start = now - now % self._width
        if self._slices and self._slices[-1][0] >= start:
            last, before = self._slices.pop()
            self._slices.append((last, before + n))
        else:
            self._slices.append((start, n))
        self._sum += n

    def sum(self, now: int) -> int:
        slices, oldest = self._slices, now - self._span - self._width
        while slices and slices[0][0] <= oldest:
            self._sum -= slices.popleft()[1]
        return self._sum

    def slices(self) -> list[tuple[int, int]]:
        return list(self._slices)


class Tally:
    """One sender. `told` is when its administrator heard of it last."""

    __slots__ = ("_busiest", "_busiest_at", "_day", "_distinct", "_failed", "_first", "_high", "_hour", "_now", "told")

    def __init__(self) -> None:
        self._hour = Window(HOUR, 60)
        self._day = Window(DAY, 900)
        self._failed = Window(HOUR, 60)
        self._distinct: dict[int, int] = {}  # hash of a recipient: when it was last written to
        self._first = 0
        self._busiest = 0.0  # different recipients of the busiest hour before this one
        self._busiest_at = 0
        self._high = 0  # of this hour of the clock
        self._now = 0  # that hour
        self.told = 0

    def sent(self, now: int, recipients: Iterable[str]) -> None:
        """These got something."""
        n = 0
        for recipient in recipients:
            key = hash(recipient)
            self._distinct.pop(key, None)  # so that the order is that of time
            self._distinct[key] = now
            n += 1
        self._hour.add(now, n)
        self._day.add(now, n)
        self._first = self._first or now
        self._note_hour(now)

    def failed(self, now: int, n: int = 1) -> None:
        """So many recipients failed for good."""
        self._failed.add(now, n)

    def hour(self, now: int) -> int:
        return self._hour.sum(now)

    def day(self, now: int) -> int:
        return self._day.sum(now)

    def spare(self, now: int, allowed: Allowed) -> int | None:
        """How many more recipients may get something now; None: any number."""
        spares = [
            limit - window.sum(now) for limit, window in ((allowed.hour, self._hour), (allowed.day, self._day)) if limit
        ]
        return max(0, min(spares)) if spares else None

    def exceeded(self, now: int, allowed: Allowed) -> str:
        """Which of the limits is reached, in words."""
        if allowed.day and self._day.sum(now) >= allowed.day:
            return f"more than {allowed.day} recipients a day"
        return f"more than {allowed.hour} recipients an hour"

    def distinct(self, now: int) -> int:
        """Different recipients within the last hour."""
        known, oldest = self._distinct, now - HOUR
        while known:
            key = next(iter(known))
            if known[key] > oldest and len(known) <= MAX_DISTINCT:
                break
            del known[key]
        return len(known)

    def usual(self, now: int) -> float:
        """Different recipients of the busiest hours before this one, the older the less."""
        return float(self._busiest * 0.5 ** ((now - self._busiest_at) / HALVES_AFTER))

    def jump(self, now: int, jumps: Jumps, more: int = 0) -> str:
        """What is out of all proportion, in words; "" as a rule. `more` different recipients are about to come."""
        distinct = self.distinct(now) + more
        is_known = bool(self._first) and now - self._first >= HISTORY
        if jumps.recipients and is_known and distinct > max(jumps.recipients, jumps.factor * self.usual(now)):
            return f"{distinct} different recipients within an hour, where {self.usual(now):.0f} were usual"
        failed, sent = self._failed.sum(now), self._hour.sum(now)
        if jumps.bounces and failed >= jumps.bounces and failed * 100 >= jumps.share * max(sent, failed):
            return f"{failed} recipients failed for good within an hour, of {max(sent, failed)}"
        return ""

    def forgive(self, now: int) -> None:
        """Whatever was counted was all right: begin anew, and take it for usual from now on."""
        self._busiest, self._busiest_at = max(self.usual(now), float(self.distinct(now))), now
        self._hour, self._day, self._failed = Window(HOUR, 60), Window(DAY, 900), Window(HOUR, 60)
        self._distinct.clear()
        self._high = 0

    def _note_hour(self, now: int) -> None:
        """An hour's height counts as usual once the hour is over."""
        hour = now // HOUR
        if hour != self._now:
            if self._high > self.usual(now):
                self._busiest, self._busiest_at = float(self._high), now
            self._now, self._high = hour, 0
        self._high = max(self._high, self.distinct(now))

    def encode(self) -> bytes:
        windows = [window.slices() for window in (self._hour, self._day, self._failed)]
        facts = (self._first, self._busiest, self._busiest_at, self._high, self._now, self.told)
        return msgspec.msgpack.encode((_VERSION, facts, windows))

    @classmethod
    def decode(cls, counts: bytes) -> Tally:
        """What `encode` wrote; of another version, an empty one."""
        tally = cls()
        version, facts, windows = msgspec.msgpack.decode(counts)
        if version == _VERSION:
            tally._first, tally._busiest, tally._busiest_at, tally._high, tally._now, tally.told = facts
            tally._hour, tally._day = Window(HOUR, 60, windows[0]), Window(DAY, 900, windows[1])
            tally._failed = Window(HOUR, 60, windows[2])
        return tally
