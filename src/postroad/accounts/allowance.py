"""What a sender has sent of late, and whether that is more than it may or than it used to. Pure: times come in.

Sums over the last hour and day are kept in slices of a minute and a quarter of an hour, so that a sender costs little
memory; a slice counts until all of it is too old, so that an hour is never shorter than one. Which recipients were
different ones is known for the last hour only, and is forgotten at a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
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

    __slots__ = ("_slices", "_span", "_width", "total")

    def __init__(self, span: int, width: int, slices: Iterable[tuple[int, int]] = ()) -> None:
        self._span = span
        self._width = width
        self._slices = deque((int(start), int(n)) for start, n in slices)
        self.total = sum(n for _, n in self._slices)

    def add(self, now: int, n: int) -> None:
        start = now - now % self._width
        if self._slices and self._slices[-1][0] >= start:
            last, before = self._slices.pop()
            self._slices.append((last, before + n))
        else:
            self._slices.append((start, n))
        self.total += n

    def sum(self, now: int) -> int:
        slices, oldest = self._slices, now - self._span - self._width
        while slices and slices[0][0] <= oldest:
            self.total -= slices.popleft()[1]
        return self.total

    def slices(self) -> list[tuple[int, int]]:
        return list(self._slices)


class Tally:
    """One sender. `told` is when its administrator heard of it last."""

    __slots__ = (
        "_busiest",
        "_busiest_at",
        "_day",
        "_distinct",
        "_failed",
        "_first",
        "_fresh",
        "_high",
        "_hour",
        "_now",
        "_tidied",
        "changed",
        "told",
    )

    def __init__(self) -> None:
        self._hour = Window(HOUR, 60)
        self._day = Window(DAY, 900)
        self._failed = Window(HOUR, 60)
        self._distinct: dict[int, int] = {}  # hash of a recipient: when it was last written to
        self._first = 0
        self._fresh = 0  # recipients since the slices were last written
        self._busiest = 0.0  # different recipients of the busiest hour before this one
        self._busiest_at = 0
        self._high = 0  # of this hour of the clock
        self._now = 0  # that hour
        self._tidied = 0  # the minute when old recipients were last forgotten
        self.changed = False  # since it was last written
        self.told = 0

    def sent(self, now: int, recipients: Sequence[str]) -> None:
        """These got something."""
        if now - self._tidied >= 60:
            self._note_time(now)
        distinct = self._distinct
        for recipient in recipients:
            key = hash(recipient)
            distinct.pop(key, None)  # so that the order is that of time
            distinct[key] = now
        n = len(recipients)
        self._fresh += n
        self._hour.total += n
        self._day.total += n
        self.changed = True
        self._high = max(self._high, len(distinct))

    def failed(self, now: int, n: int = 1) -> None:
        """So many recipients failed for good."""
        self._failed.add(now, n)
        self.changed = True

    def hour(self, now: int) -> int:
        self._settle()
        return self._hour.sum(now)

    def day(self, now: int) -> int:
        self._settle()
        return self._day.sum(now)

    def spare(self, now: int, allowed: Allowed) -> int | None:
        """How many more recipients may get something now; None: any number. Asked for each message: what is too
        old is looked for once a minute."""
        if now - self._tidied >= 60:
            self._note_time(now)
        hour, day = allowed
        spare = hour - self._hour.total if hour else None
        if day:
            today = day - self._day.total
            spare = today if spare is None or today < spare else spare
        return spare if spare is None or spare > 0 else 0

    def exceeded(self, now: int, allowed: Allowed) -> str:
        """Which of the limits is reached, in words."""
        if allowed.day and self.day(now) >= allowed.day:
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

    def jump(self, now: int, jumps: Jumps) -> str:
        """What is out of all proportion, in words; "" as a rule."""
        if 0 < jumps.recipients < len(self._distinct) and self._first and now - self._first >= HISTORY:
            distinct, usual = self.distinct(now), self.usual(now)
            if distinct > max(jumps.recipients, jumps.factor * usual):
                return f"{distinct} different recipients within an hour, where {usual:.0f} were usual"
        if not (failed := self._failed.sum(now)):
            return ""
        sent = self.hour(now)
        if jumps.bounces and failed >= jumps.bounces and failed * 100 >= jumps.share * max(sent, failed):
            return f"{failed} recipients failed for good within an hour, of {max(sent, failed)}"
        return ""

    def forgive(self, now: int) -> None:
        """Whatever was counted was all right: begin anew, and take it for usual from now on."""
        self._busiest, self._busiest_at = max(self.usual(now), float(self.distinct(now))), now
        self._settle()
        self._hour, self._day, self._failed = Window(HOUR, 60), Window(DAY, 900), Window(HOUR, 60)
        self._distinct.clear()
        self._high = 0
        self.changed = True

    def _settle(self) -> None:
        """What was sent since the last look goes into the slices; in the sums it is already."""
        if self._fresh:
            self._first = self._first or self._tidied
            for window in (self._hour, self._day):
                window.total -= self._fresh
                window.add(self._tidied, self._fresh)
            self._fresh = 0

    def _note_time(self, now: int) -> None:
        """Once a minute: an hour's height counts as usual once the hour is over."""
        self._settle()
        self._tidied = now
        self._hour.sum(now)
        self._day.sum(now)
        if now // HOUR != self._now:
            if self._high > self.usual(now):
                self._busiest, self._busiest_at = float(self._high), now
            self._now, self._high = now // HOUR, 0
            self.distinct(now)

    def encode(self) -> bytes:
        self._settle()
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
