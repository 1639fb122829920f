"""One destination's requests in memory, and the connections that carry them: the Feed of its conversations.

A lane holds; the runner decides (`Decider`): what is under way, what comes next, when to open a connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from postroad.delivery.agent import AttemptOutcome, AttemptRequest, Carrier
from postroad.delivery.sources import Source
from postroad.ports.blobs import BlobPlace
from postroad.ports.store import Delivery, Message
from postroad.queue.fair import Ready
from postroad.queue.groups import Group
from postroad.queue.pacing import Rest
from postroad.routing.routes import Transport

Route = Callable[[Message, Delivery, str], Transport | Awaitable[Transport]]
"""The next hop of a delivery that waits for the named one: routing.rules.Router.route."""

Add = Callable[[str, Message, list[Delivery], bytes | None, BlobPlace | None], None]
Drop = Callable[[AttemptRequest], None]


class Decider(Protocol):
    """What the runner does for a lane."""

    def next_of(self, lane: Lane) -> AttemptRequest | None: ...
    def dot_out(self, request: AttemptRequest) -> None: ...
    def attempted(self, lane: Lane, outcome: AttemptOutcome) -> None: ...
    def has_opened(self, lane: Lane) -> None: ...
    def came_back(self, lane: Lane, request: AttemptRequest) -> None: ...
    def has_idle(self, lane: Lane, carrier: Carrier) -> None: ...
    def has_room(self, lane: Lane) -> None: ...


class Lane:
    """Implements delivery.agent.Feed."""

    __slots__ = (
        "_decider", "carriers", "dest", "dialling", "group", "idle_carriers", "in_line", "in_ring", "opening", "ready",
        "rest", "source", "turn", "waking",
    )  # fmt: skip

    def __init__(self, dest: str, decider: Decider) -> None:
        self.dest = dest
        self.ready = Ready()
        self.carriers: set[Carrier] = set()
        self.idle_carriers: list[Carrier] = []
        self.opening = 0  # connections being opened
        self.group: Group | None = None  # known once its hosts are
        self.rest = Rest()
        self.source: Source | None = None  # of our addresses, where the settings choose
        self.waking = False  # it will be looked at when its source may send again
        self.in_ring = False
        self.in_line = False  # waits for a turn in its group
        self.dialling = False  # waits for a connection to be free
        self.turn = 0  # requests taken since the ring came round
        self._decider = decider

    @property
    def connections(self) -> int:
        return len(self.carriers) + self.opening

    @property
    def busy(self) -> int:
        """Connections that carry something."""
        return len(self.carriers) - len(self.idle_carriers)

    @property
    def is_empty(self) -> bool:
        return not self.ready and not self.connections

    # -- Feed --------------------------------------------------------------------------------------------------

    def began(self, carrier: Carrier) -> None:
        self.opening -= 1
        self.carriers.add(carrier)
        self._decider.has_opened(self)

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


async def current_transport(lane: Lane, route: Route, add: Add, drop: Drop) -> Transport | None:
    """The lane's transport as it is routed today. What has another route by now is added there, and dropped here."""
    while lane.ready:
        first = lane.ready[0]
        if not first.deliveries:
            drop(lane.ready.popleft())
            continue
        message, delivery = first.message, first.deliveries[0]
        routed = route(message, delivery, lane.dest)
        transport = routed if isinstance(routed, Transport) else await routed
        if transport.dest == lane.dest:
            return transport
        domain = domain_of(delivery.forward_path)
        for request in list(lane.ready):
            if not _alike(request.message, message):
                continue
            moved = [d for d in request.deliveries if domain_of(d.forward_path) == domain]
            if moved:
                request.deliveries = [d for d in request.deliveries if d not in moved]
                add(transport.dest, request.message, moved, request.content, request.place)
    return None


def _alike(one: Message, other: Message) -> bool:
    """Whether routes make no difference between two messages."""
    return one is other or (
        one.stream == other.stream and one.reverse_path == other.reverse_path and one.terms == other.terms
    )


def domain_of(forward_path: str) -> str:
    return forward_path.rpartition("@")[2]
