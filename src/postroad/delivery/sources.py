"""Which of our own addresses a connection leaves from: by pool, the same one for the same group of destinations.

A stable choice lets greylists and reputations learn. What one address may do at once and in a minute is counted here;
an address family of which a pool has none is not used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from postroad.config.schema import PoolSettings
from postroad.ports.net import Endpoint


@dataclass(slots=True, eq=False)
class Source:
    """One IPv4 and one IPv6 address side by side, or one of them; limits hold for both together."""

    v4: str = ""
    v6: str = ""
    helo: str = ""  # empty: the usual name
    most: int = 0  # connections at once; 0: no limit
    interval: float = 0.0  # seconds between two messages; 0: no limit
    connections: int = 0
    next_at: float = 0.0  # monotonic

    def of(self, endpoint: Endpoint) -> str:
        """The address to use towards this one; empty: there is none of its family."""
        return self.v6 if ":" in endpoint.host else self.v4

    def usable(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Of one family, the one that comes first."""
        first = next((one for one in endpoints if self.of(one)), None)
        if first is None:
            return ()
        return tuple(one for one in endpoints if (":" in one.host) == (":" in first.host))

    @property
    def is_full(self) -> bool:
        return 0 < self.most <= self.connections

    def wait(self, now: float) -> float:
        """Seconds until the next message may leave."""
        return max(0.0, self.next_at - now)

    def take(self, now: float) -> bool:
        if now < self.next_at:
            return False
        self.next_at = max(now, self.next_at) + self.interval
        return True


@dataclass(frozen=True, slots=True)
class Sources:
    """All pools."""

    pools: dict[str, list[Source]] = field(default_factory=dict)

    @classmethod
    def read(cls, pools: Sequence[PoolSettings], usual: str = "") -> Sources:
        """`usual` is `[delivery] source_address`."""
        found = {pool.name: _sources(pool) for pool in pools}
        if usual:
            found[""] = _sources(PoolSettings("", (usual,)))
        return cls(found)

    def forget(self, address: str) -> None:
        """It has no name: it is not used where its pool has another one."""
        for sources in self.pools.values():
            others = [one for one in sources if address not in (one.v4, one.v6)]
            mixed = [one for one in sources if address in (one.v4, one.v6) and one.v4 and one.v6]
            for one in mixed:
                one.v4, one.v6 = (one.v4, "") if one.v6 == address else ("", one.v6)
            if others or mixed:
                sources[:] = [*others, *mixed]

    @property
    def addresses(self) -> list[str]:
        found = [address for sources in self.pools.values() for one in sources for address in (one.v4, one.v6)]
        return [address for address in dict.fromkeys(found) if address]

    def of(self, pool: str, group: str) -> Source | None:
        """The one for a group of destinations; None: the system chooses."""
        sources = self.pools.get(pool)
        return sources[crc32(group.encode()) % len(sources)] if sources else None


def _sources(pool: PoolSettings) -> list[Source]:
    v4 = [address for address in pool.addresses if ipaddress.ip_address(address).version == 4]
    v6 = [address for address in pool.addresses if ipaddress.ip_address(address).version == 6]
    interval = 60.0 / pool.per_minute if pool.per_minute else 0.0
    return [
        Source(_nth(v4, number), _nth(v6, number), pool.helo, pool.connections, interval)
        for number in range(max(len(v4), len(v6)))
    ]


def _nth(addresses: Sequence[str], number: int) -> str:
    return addresses[number % len(addresses)] if addresses else ""
