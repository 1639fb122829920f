"""Which hosts take mail for a next hop (RFC 5321 §5.1, RFC 7505): names by preference, then their addresses.

How far DNSSEC vouches for what was found goes along: `delivery.policy` needs it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, zip_longest
from typing import overload

from msgspec import Struct

from postroad.mail.status import Status, status
from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord, Resolver
from postroad.ports.net import Endpoint
from postroad.ports.random import Random
from postroad.routing.routes import Transport, TransportKind

MAX_HOSTS = 10  # MX hosts that one attempt looks at
MAX_ADDRESSES = 8  # addresses of one host

NULL_MX = status(556, "5.1.10", "this domain takes no mail", "null MX (RFC 7505)")
NO_DOMAIN = status(550, "5.1.2", "there is no such domain", "NXDOMAIN")
NO_SERVER = status(550, "5.4.4", "this domain has no mail server", "neither MX nor address records")
LOOP = status(554, "5.4.6", "the mail for this domain leads back to this server", "the best MX host is this server")
DNS_FAILED = status(451, "4.4.3", "the domain cannot be looked up now", "the resolver failed")
HOSTS_UNKNOWN = status(451, "4.4.4", "the domain's mail servers have no address", "no MX host has an address")


def literal(host: str) -> str:
    """The IP address that `host` is, or "" for a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").lower().removeprefix("ipv6:")))
    except ValueError:
        return ""


class MailHosts(Sequence[str]):
    """Host names to try, best first."""

    __slots__ = ("aliases", "domain", "names", "secure")

    def __init__(self, names: Iterable[str], domain: str = "", *, secure: bool = False, alias: str = "") -> None:
        self.names = tuple(names)
        self.domain = domain or (self.names[0] if self.names else "")
        self.secure = secure  # DNSSEC vouches for them, or nobody had to be asked
        self.aliases = (self.domain, alias) if alias else (self.domain,)  # what a certificate may also be for

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.names[index]


class Reached(Struct, frozen=True):
    """The addresses of one host, in the order in which they are tried."""

    endpoints: tuple[Endpoint, ...]
    secure: bool = False  # DNSSEC vouches for them, and for all aliases on the way
    canonical: str = ""  # where aliases led; empty: it was none


class Hosts:
    """Looks hosts up. `own_names` are the names that other servers know this one by, `is_own` knows its addresses."""

    def __init__(
        self,
        resolver: Resolver,
        random: Random,
        own_names: Sequence[str],
        is_own: Callable[[Endpoint], bool] = lambda _: False,
    ) -> None:
        self.avoids_v6 = False  # our own IPv6 address has no name: IPv4 is taken wherever there is some
        self._resolver = resolver
        self._random = random
        self._own = frozenset(name.lower().rstrip(".") for name in own_names)
        self._is_own = is_own

    async def of(self, transport: Transport) -> MailHosts | Status:
        """Host names to try, or why there are none."""
        name = transport.host
        if transport.kind is TransportKind.HOST or literal(name):
            return MailHosts((name,), secure=True)
        answer = await self._resolver.mx(name)
        if answer.outcome is DnsOutcome.FOUND and answer.mx:
            ordered = self._ordered(answer.mx)
            if isinstance(ordered, Status):
                return ordered
            return MailHosts(ordered, name, secure=answer.authenticated, alias=answer.canonical)
        if answer.outcome is DnsOutcome.NXDOMAIN:
            return NO_DOMAIN
        if answer.outcome is DnsOutcome.FAILED:
            return _failed(answer)
        return await self._implicit(name, secure=answer.authenticated)

    async def reach(self, host: str, transport: Transport) -> Reached | Status:
        """Addresses of one host, or why there are none. One that is ours ends the search: mail would circle."""
        port = transport.port
        if host.startswith("/"):
            return Reached((Endpoint(host, 0),), secure=True)
        if address := literal(host):
            reached = Reached((Endpoint(address, port),), secure=True)
        else:
            answer = await self._resolver.addresses(host)
            if answer.outcome is DnsOutcome.FAILED:
                return _failed(answer)
            usable = [address for address in answer.records if not ipaddress.ip_address(address).is_unspecified]
            usable = [address for address in usable if ":" not in address] or usable if self.avoids_v6 else usable
            if not usable:
                return HOSTS_UNKNOWN
            endpoints = tuple(Endpoint(address, port) for address in by_turns(usable)[:MAX_ADDRESSES])
            reached = Reached(endpoints, answer.authenticated, answer.canonical)
        if transport.kind is TransportKind.MX and any(map(self._is_own, reached.endpoints)):
            return LOOP.because(f"{host} has an address of this server")
        return reached

    async def _implicit(self, name: str, *, secure: bool) -> MailHosts | Status:
        """No MX records: the domain is its own host, where it has an address."""
        answer = await self._resolver.addresses(name)
        if answer.outcome is DnsOutcome.FOUND:
            return MailHosts((name,), name, secure=secure)
        if answer.outcome is DnsOutcome.FAILED:
            return _failed(answer)
        return NO_DOMAIN if answer.outcome is DnsOutcome.NXDOMAIN else NO_SERVER

    def _ordered(self, records: Sequence[MxRecord]) -> Sequence[str] | Status:
        """By preference, shuffled among equals; hosts no better than ourselves are dropped, or mail would circle."""
        named = [record for record in records if record.host.rstrip(".")]
        if not named:
            return NULL_MX
        ours = [record.preference for record in named if record.host.lower().rstrip(".") in self._own]
        if ours:
            named = [record for record in named if record.preference < min(ours)]
        if not named:
            return LOOP
        hosts: list[str] = []
        for _, group in groupby(sorted(named, key=_preference), key=_preference):
            equals = [record.host.rstrip(".") for record in group]
            self._random.shuffle(equals)
            hosts += equals
        return hosts[:MAX_HOSTS]


def by_turns(addresses: Sequence[str]) -> list[str]:
    """IPv6 first, then of each family by turns (RFC 8305 §4), so that a dead family costs one head start."""
    six = [address for address in addresses if ":" in address]
    four = [address for address in addresses if ":" not in address]
    return [address for pair in zip_longest(six, four) for address in pair if address]


def _preference(record: MxRecord) -> int:
    return record.preference


def _failed(answer: DnsAnswer) -> Status:
    return DNS_FAILED.because(answer.detail or DNS_FAILED.cause)
