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
class TlsaRecord:
    """What a server's certificate shall be (RFC 6698 §2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        """Its three numbers and the beginning of its data."""
        return f"{self.usage} {self.selector} {self.matching} {self.data[:8].hex()}"


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """One answer. `records` are texts (A, AAAA, PTR, TXT, CNAME target), or MxRecord for MX, TlsaRecord for TLSA."""

    outcome: DnsOutcome
    records: tuple[str, ...] = ()
    mx: tuple[MxRecord, ...] = ()
    ttl: int = 0
    authenticated: bool = False  # validated by DNSSEC: the AD bit of a resolver that we trust
    detail: str = ""  # for people: which server said what
    canonical: str = ""  # the name that aliases led to; empty: it was none
    tlsa: tuple[TlsaRecord, ...] = ()


class Resolver(Protocol):
    """Asynchronous look-ups with a cache behind them; never raises for what DNS answers."""

    async def mx(self, name: str) -> DnsAnswer: ...

    async def addresses(self, name: str, family: int = 0) -> DnsAnswer:
        """AAAA then A records; `family` 4 or 6 for one kind only. FAILED only when nothing was found and one failed."""

    async def txt(self, name: str) -> DnsAnswer: ...

    async def ptr(self, address: str) -> DnsAnswer: ...

    async def cname(self, name: str) -> DnsAnswer:
        """The alias record itself, if `name` has one; it is not followed."""

    async def tlsa(self, name: str) -> DnsAnswer:
        """Of a name such as `_25._tcp.mx.example.com`."""

    def forget(self) -> None:
        """Empty the cache: the next look-ups ask anew."""
