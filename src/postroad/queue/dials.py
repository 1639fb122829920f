"""How many connections may be opened at once, so that those who do not answer leave room for those who do.

A host that is gone costs a whole time-out for each dial. So those that failed last may use a quarter of all
connections, those that nobody has heard of yet three quarters, and the rest is for those that are known to answer.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postroad.queue.lanes import Lane


class Trust(IntEnum):
    """What is known of a destination."""

    FAILING = 0
    UNKNOWN = 1
    ANSWERING = 2


_SHARES = {Trust.FAILING: 0.25, Trust.UNKNOWN: 0.75, Trust.ANSWERING: 1.0}


class Dials:
    """One for a process. Every connection counts, open or being opened."""

    __slots__ = ("_lines", "_most", "_opening", "connections")

    def __init__(self, connections: int) -> None:
        self._most = {trust: max(1, int(connections * share)) for trust, share in _SHARES.items()}
        self.connections = 0
        self._opening = dict.fromkeys(Trust, 0)
        self._lines: dict[Trust, deque[Lane]] = {trust: deque() for trust in Trust}

    @property
    def crowded(self) -> bool:
        return self.connections >= self._most[Trust.ANSWERING]

    @property
    def awaited(self) -> bool:
        """Somebody waits for a connection."""
        return any(self._lines.values())

    def may_open(self, trust: Trust) -> bool:
        if self.connections >= self._most[Trust.ANSWERING]:
            return False
        return sum(self._opening[other] for other in Trust if other <= trust) < self._most[trust]

    def opening(self, trust: Trust) -> None:
        self.connections += 1
        self._opening[trust] += 1

    def opened(self, trust: Trust) -> None:
        """It is open, or came to nothing (then `closed` follows)."""
        self._opening[trust] -= 1

    def closed(self) -> None:
        self.connections -= 1

    def wait(self, lane: Lane, trust: Trust) -> None:
        """Until there is room."""
        if not lane.dialling:
            lane.dialling = True
            self._lines[trust].append(lane)

    def next_in_line(self) -> Lane | None:
        """Whoever may open one now, those that answer first."""
        for trust in sorted(Trust, reverse=True):
            line = self._lines[trust]
            while line and self.may_open(trust):
                lane = line.popleft()
                lane.dialling = False
                if lane.ready:
                    return lane
        return None
