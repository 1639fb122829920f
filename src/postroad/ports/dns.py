"""The DNS port: answers as plain records; NXDOMAIN, no data and failure told apart."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class DnsOutcome(Enum):
    """How a look-up ended."""

    FOUND = "found"
    NO_DATA = "no data"  # the name exists, without records of this type
    NXDOMAIN = "no such name"
    FAILED = "failed"  # SERVFAIL, timeout, refused: try later


@dataclass(frozen=True, slots=True)
class MxRecord:
    preference: int
    host: str  # without the last dot; "" is the null MX (RFC 7505)


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """One answer. `records` are texts (A, AAAA, PTR, TXT, CNAME target) or MxRecord for MX."""

    outcome: DnsOutcome
    records: tuple[str, ...] = ()
    mx: tuple[MxRecord, ...] = ()
    ttl: int = 0
    authenticated: bool = False  # the AD bit of a resolver that we trust
    detail: str = ""  # for people: which server said what


class Resolver(Protocol):
    """Asynchronous look-ups with a cache behind them; never raises for what DNS answers."""

    async def mx(self, name: str) -> DnsAnswer: ...

    async def addresses(self, name: str, family: int = 0) -> DnsAnswer:
        """AAAA then A records; `family` 4 or 6 for one kind only. FAILED only when nothing was found and one failed."""

    async def txt(self, name: str) -> DnsAnswer: ...

    async def ptr(self, address: str) -> DnsAnswer: ...

    def forget(self) -> None:
        """Empty the cache: the next look-ups ask anew."""
