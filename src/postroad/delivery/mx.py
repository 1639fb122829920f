"""Which hosts take mail for a next hop (RFC 5321 §5.1, RFC 7505): names by preference, then their addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from itertools import groupby

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


class Hosts:
    """Looks hosts up. `own_names` are the names that other servers know this one by."""

    def __init__(self, resolver: Resolver, random: Random, own_names: Sequence[str]) -> None:
        self._resolver = resolver
        self._random = random
        self._own = frozenset(name.lower().rstrip(".") for name in own_names)

    async def of(self, transport: Transport) -> Sequence[str] | Status:
        """Host names to try, best first; or why there are none."""
        name = transport.host
        if transport.kind is TransportKind.HOST or literal(name):
            return (name,)
        answer = await self._resolver.mx(name)
        if answer.outcome is DnsOutcome.FOUND and answer.mx:
            return self._ordered(answer.mx)
        if answer.outcome is DnsOutcome.NXDOMAIN:
            return NO_DOMAIN
        if answer.outcome is DnsOutcome.FAILED:
            return _failed(answer)
        return await self._implicit(name)

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint] | Status:
        """Addresses of one host, or why there are none."""
        if address := literal(host):
            return (Endpoint(address, port),)
        answer = await self._resolver.addresses(host)
        if answer.outcome is DnsOutcome.FOUND and answer.records:
            return [Endpoint(address, port) for address in answer.records[:MAX_ADDRESSES]]
        if answer.outcome is DnsOutcome.FAILED:
            return _failed(answer)
        return HOSTS_UNKNOWN

    async def _implicit(self, name: str) -> Sequence[str] | Status:
        """No MX records: the domain is its own host, where it has an address."""
        answer = await self._resolver.addresses(name)
        if answer.outcome is DnsOutcome.FOUND:
            return (name,)
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


def _preference(record: MxRecord) -> int:
    return record.preference


def _failed(answer: DnsAnswer) -> Status:
    return DNS_FAILED.because(answer.detail or DNS_FAILED.cause)
