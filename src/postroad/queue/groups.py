"""Destinations that one provider takes mail for: they share connections, rate and what was learned.

Which group a domain belongs to is known once its MX hosts are; a next hop with a name of its own is a group of its own.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postroad.delivery.providers import Provider, Providers
from postroad.queue.pacing import Pace, Rest
from postroad.routing.routes import Transport, TransportKind, unwished

if TYPE_CHECKING:
    from postroad.queue.lanes import Lane

KEPT = 10_000  # groups without work whose pace is remembered
RESTS_KEPT = 1000  # rests of one group: some providers have a host of its own for each domain


@dataclass(slots=True)
class Window:
    """When a greylist opens, learned: who was refused still waits longer than `shut`, who came in waited `open`."""

    shut: float = 0.0
    open: float = 0.0

    def refused(self, waited: float) -> None:
        self.shut = max(self.shut, waited)
        if self.open and self.open <= self.shut:
            self.open = 0.0  # it is not as it was

    def passed(self, waited: float) -> None:
        if waited > self.shut and (not self.open or waited < self.open):
            self.open = waited


@dataclass(slots=True, eq=False)
class Group:
    """One provider, as this node sends to it."""

    key: str
    pace: Pace
    provider: Provider
    connections: int = 0  # open, or being opened
    opening: int = 0
    carrying: set[Lane] = field(default_factory=set)  # lanes with connections
    waiting: deque[Lane] = field(default_factory=deque)  # lanes that want a connection or a turn
    rests: dict[tuple[str, ...], Rest] = field(default_factory=dict)  # by MX hosts
    grey: Window = field(default_factory=Window)
    gate: bool = False  # somebody waits for the pace to let a message through

    def rest_of(self, hosts: tuple[str, ...], own: Rest) -> Rest:
        """The one that all share who have these hosts, in whatever order; `own` where it is the first."""
        hosts = tuple(sorted(hosts))
        if (known := self.rests.get(hosts)) is not None:
            return known
        if len(self.rests) >= RESTS_KEPT:
            resting = [(key, rest) for key, rest in self.rests.items() if rest.why is not None]
            self.rests = dict(resting[-RESTS_KEPT // 2 :])
        self.rests[hosts] = own
        return own

    @property
    def standing(self) -> int:
        return self.connections - self.opening

    def has_room(self, now: float) -> bool:
        """For one more connection; at first no more of them are being opened than there are."""
        pace = self.pace
        return self.connections < pace.window and self.opening < max(1, self.standing) and now >= pace.dial_after

    def wants(self, lane: Lane) -> None:
        """It waits for a turn."""
        if not lane.in_line:
            lane.in_line = True
            self.waiting.append(lane)

    def next_in_line(self) -> Lane | None:
        while self.waiting:
            lane = self.waiting.popleft()
            lane.in_line = False
            if lane.ready:
                return lane
        return None

    def idle_lane(self, beside: Lane) -> Lane | None:
        """Another lane of the group with a connection that has nothing to do."""
        return next((lane for lane in self.carrying if lane.idle_carriers and lane is not beside), None)


class Groups:
    """One for a process."""

    def __init__(self, providers: Providers, connections: int) -> None:
        self._providers = providers
        self._connections = connections
        self._groups: OrderedDict[str, Group] = OrderedDict()
        self._learned: dict[str, str] = {}
        self.of_dest: OrderedDict[str, str] = OrderedDict()  # what was found out last, for the summary and the lists

    def of(self, transport: Transport, hosts: Sequence[str]) -> Group:
        """The group of a next hop with these hosts."""
        if transport.kind is TransportKind.MX:
            provider = self._providers.group(hosts)
            key = f"{provider.name}#{transport.pool}" if transport.pool else provider.name
        else:
            provider, key = Provider(transport.dest), transport.dest
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._make(key, provider)
        self._groups.move_to_end(key)
        if self.of_dest.get(transport.dest) != provider.name:
            self._learn(transport.dest, provider.name)
        return group

    def find(self, dest: str) -> Group | None:
        """The group of a destination that was looked up lately."""
        name = self.of_dest.get(dest)
        if name is None:
            return None
        pool = "" if name == dest else unwished(dest).partition("#")[2]  # a named host is a group of its own
        return self._groups.get(f"{name}#{pool}" if pool else name)

    def take_learned(self) -> list[tuple[str, str]]:
        """Destinations and their providers, as far as that was found out since the last call."""
        learned, self._learned = list(self._learned.items()), {}
        return learned

    def _learn(self, dest: str, name: str) -> None:
        self.of_dest[dest] = name
        self._learned[dest] = name
        self.of_dest.move_to_end(dest)
        if len(self.of_dest) > KEPT * 5:
            self.of_dest.popitem(last=False)

    def _make(self, key: str, provider: Provider) -> Group:
        if len(self._groups) >= KEPT:
            self._forget()
        most = provider.per_minute / 60
        return Group(key, Pace(provider.connections or self._connections, most), provider)

    def _forget(self) -> None:
        """The ones not used for longest, unless something of theirs is under way."""
        for key in [key for key, group in list(self._groups.items())[: KEPT // 10] if not group.connections]:
            del self._groups[key]

    def all(self) -> list[Group]:
        """For figures, and for whoever wakes everything."""
        return list(self._groups.values())
