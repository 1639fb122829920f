"""One destination's requests in memory, and the connections that carry them: the Feed of its conversations.

A lane holds; the runner decides (`Decider`): what is under way, what comes next, when to open a connection.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from postroad.delivery.agent import AttemptOutcome, AttemptRequest, Carrier
from postroad.queue.pacing import Pace


class Decider(Protocol):
    """What the runner does for a lane."""

    def next_of(self, lane: Lane) -> AttemptRequest | None: ...
    def dot_out(self, request: AttemptRequest) -> None: ...
    def attempted(self, lane: Lane, outcome: AttemptOutcome) -> None: ...
    def came_back(self, lane: Lane, request: AttemptRequest) -> None: ...
    def has_idle(self, lane: Lane, carrier: Carrier) -> None: ...
    def has_room(self, lane: Lane) -> None: ...


class Lane:
    """Implements delivery.agent.Feed."""

    __slots__ = ("_decider", "carriers", "dest", "idle_carriers", "in_ring", "opening", "pace", "ready", "turn")

    def __init__(self, dest: str, decider: Decider, pace: Pace) -> None:
        self.dest = dest
        self.ready: deque[AttemptRequest] = deque()
        self.carriers: set[Carrier] = set()
        self.idle_carriers: list[Carrier] = []
        self.opening = 0  # connections being opened
        self.pace = pace
        self.in_ring = False
        self.turn = 0  # requests taken since the ring came round
        self._decider = decider

    @property
    def connections(self) -> int:
        return len(self.carriers) + self.opening

    @property
    def is_empty(self) -> bool:
        return not self.ready and not self.connections

    # -- Feed --------------------------------------------------------------------------------------------------

    def began(self, carrier: Carrier) -> None:
        self.opening -= 1
        self.carriers.add(carrier)
        self.pace.answered()

    def next(self) -> AttemptRequest | None:
        return self._decider.next_of(self)

    def dot_out(self, request: AttemptRequest) -> None:
        self._decider.dot_out(request)

    def done(self, outcome: AttemptOutcome) -> None:
        self._decider.attempted(self, outcome)

    def untried(self, request: AttemptRequest) -> None:
        self._decider.came_back(self, request)

    def idle(self, carrier: Carrier) -> None:
        self.idle_carriers.append(carrier)
        self._decider.has_idle(self, carrier)

    def ended(self, carrier: Carrier) -> None:
        if carrier in self.carriers:
            self.carriers.discard(carrier)
            if carrier in self.idle_carriers:
                self.idle_carriers.remove(carrier)
            self._decider.has_room(self)
