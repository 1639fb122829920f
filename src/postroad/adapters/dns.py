"""Look-ups through the recursive servers of the settings (or the system's), with a cache of our own.

NXDOMAIN, no data and failure are told apart; answers are kept for their TTL, negative ones for the zone's negative TTL
(RFC 2308), failures for a moment (RFC 9520). Look-ups of one name at the same time are one query. That an answer was
validated (DNSSEC) we take from the server's AD bit, and only where `trust_ad` says so. `dnswire` builds and reads the
messages, `dnsask` sends them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from postroad.adapters import dnswire
from postroad.adapters.dnsask import ask
from postroad.adapters.dnswire import Reply
from postroad.ports.dns import DnsAnswer, DnsOutcome

FOUND, NO_DATA, NXDOMAIN, FAILED = DnsOutcome.FOUND, DnsOutcome.NO_DATA, DnsOutcome.NXDOMAIN, DnsOutcome.FAILED

MAX_TTL = 86400
MAX_NEGATIVE_TTL = 3600  # RFC 2308 §5 wants a bound of one to three hours
NEGATIVE_TTL = 60  # where the answer brought no SOA
FAILURE_TTL = 5  # RFC 9520 §3.2: at least one second, so that a broken zone is not asked in a storm
MAX_CNAMES = 8
MAX_OCTETS = 16 * 1024 * 1024  # of answers in the cache
_RECORD = 100  # octets that a record takes beside its text
ROUNDS = 2  # how often each server is asked

_Key = tuple[str, str]


class Nameserver(NamedTuple):
    host: str
    port: int

    @property
    def is_local(self) -> bool:
        """Nobody stands between it and us who could set its AD bit."""
        return ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class CachingResolver:
    """Implements ports.dns.Resolver."""

    __slots__ = (
        "_asking", "_cache", "_max_entries", "_monotonic", "_octets", "_timeout", "_trust_ad", "queries", "servers",
    )  # fmt: skip

    def __init__(
        self,
        nameservers: Iterable[str] = (),
        *,
        timeout: float = 5.0,
        trust_ad: bool = False,
        max_entries: int = 20_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """With `trust_ad` the servers are believed when they say that they have validated an answer (RFC 6840 §5.8)."""
        self.servers = tuple(nameserver(text) for text in nameservers) or system_nameservers()
        self.queries = 0  # messages sent
        self._timeout = timeout
        self._trust_ad = trust_ad
        self._max_entries = max_entries
        self._monotonic = monotonic
        self._cache: dict[_Key, tuple[float, DnsAnswer]] = {}
        self._octets = 0  # of all answers that are kept
        self._asking: dict[_Key, asyncio.Task[DnsAnswer]] = {}

    async def mx(self, name: str) -> DnsAnswer:
        return await self._find(name, "MX")

    async def txt(self, name: str) -> DnsAnswer:
        return await self._find(name, "TXT")

    async def ptr(self, address: str) -> DnsAnswer:
        return await self._find(ip_address(address).reverse_pointer, "PTR")

    async def cname(self, name: str) -> DnsAnswer:
        return await self._find(name, "CNAME")

    async def tlsa(self, name: str) -> DnsAnswer:
        return await self._find(name, "TLSA")

    async def addresses(self, name: str, family: int = 0) -> DnsAnswer:
        if family:
            return await self._find(name, "AAAA" if family == 6 else "A")
        return both(*await asyncio.gather(self._find(name, "AAAA"), self._find(name, "A")))

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()
        self._octets = 0

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in list(self._asking.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _find(self, name: str, kind: str) -> DnsAnswer:
        key = (name.rstrip(".").lower(), kind)
        kept = self._cache.get(key)
        if kept is not None and kept[0] > self._monotonic():
            return kept[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._look_up(key))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(task)  # one who gives up does not take the answer from the others

    async def _look_up(self, key: _Key) -> DnsAnswer:
        name, kind = key
        target, ttl, authenticated = name, MAX_TTL, True
        for _ in range(MAX_CNAMES):
            answer, canonical = await self._query(target, kind)
            ttl = min(ttl, answer.ttl)
            authenticated = authenticated and answer.authenticated
            if answer.outcome is not NO_DATA or canonical == target:
                break
            target = canonical  # an alias whose target the server did not send along
        else:
            answer = DnsAnswer(FAILED, ttl=FAILURE_TTL, detail=f"{name}: more than {MAX_CNAMES} aliases")
            ttl = FAILURE_TTL
        alias = canonical if canonical != name and kind != "CNAME" else ""
        answer = replace(answer, ttl=ttl, authenticated=authenticated and self._trust_ad, canonical=alias)
        self._keep(key, answer)
        return answer

    def _keep(self, key: _Key, answer: DnsAnswer) -> None:
        """Whose names are looked up strangers decide, and how much their servers answer too."""
        self._drop([key])
        while len(self._cache) >= self._max_entries or (self._cache and self._octets > MAX_OCTETS):
            self._drop(list(self._cache)[: max(1, len(self._cache) // 10)])
        self._octets += _size(answer)
        self._cache[key] = (self._monotonic() + answer.ttl, answer)

    def _drop(self, keys: Iterable[_Key]) -> None:
        for key in keys:
            kept = self._cache.pop(key, None)
            self._octets -= _size(kept[1]) if kept is not None else 0

    async def _query(self, name: str, kind: str) -> tuple[DnsAnswer, str]:
        """Ask server after server; the answer, and the name that aliases led to."""
        try:
            query = dnswire.query(name, kind)
        except dnswire.BadName as error:  # a label over 63 octets, an empty label: it cannot exist
            return DnsAnswer(NXDOMAIN, ttl=MAX_NEGATIVE_TTL, detail=f"{name!r}: {error}"), name
        deadline = self._monotonic() + self._timeout
        detail = "no nameserver"
        for server in self.servers * ROUNDS:
            left = deadline - self._monotonic()
            if left <= 0:
                break
            self.queries += 1
            try:
                reply = await ask(server.host, server.port, query, min(left, self._timeout / 2))
            except (dnswire.Malformed, OSError, EOFError) as error:
                detail = f"{server}: {type(error).__name__} {error}".strip()
                continue
            outcome = _OUTCOMES.get(reply.rcode)
            if outcome is not None:
                return _read(reply, server, kind, outcome), reply.canonical
            detail = f"{server}: {reply.outcome}"
        return DnsAnswer(FAILED, ttl=FAILURE_TTL, detail=f"{name} {kind}: {detail}"), name


_OUTCOMES = {0: FOUND, 3: NXDOMAIN}  # NOERROR, NXDOMAIN; all others: the next server


def _read(reply: Reply, server: Nameserver, kind: str, outcome: DnsOutcome) -> DnsAnswer:
    values, validated, detail = reply.values, reply.validated, str(server)
    if outcome is NXDOMAIN or not values:
        empty = NXDOMAIN if outcome is NXDOMAIN else NO_DATA
        known = min(reply.ttl, MAX_NEGATIVE_TTL) if reply.has_soa else NEGATIVE_TTL
        return DnsAnswer(empty, ttl=known, authenticated=validated, detail=detail)
    ttl = min(reply.ttl, MAX_TTL)
    if kind == "MX":
        mx = tuple(sorted(values, key=lambda record: (record.preference, record.host)))
        return DnsAnswer(FOUND, mx=mx, ttl=ttl, authenticated=validated, detail=detail)
    if kind == "TLSA":
        return DnsAnswer(FOUND, tlsa=values, ttl=ttl, authenticated=validated, detail=detail)
    return DnsAnswer(FOUND, values, ttl=ttl, authenticated=validated, detail=detail)


def both(aaaa: DnsAnswer, a: DnsAnswer) -> DnsAnswer:
    """One answer for both families: what was found; FAILED only when nothing was found and one failed."""
    found = [answer for answer in (aaaa, a) if answer.outcome is FOUND]
    if found:
        return DnsAnswer(
            FOUND,
            tuple(record for answer in found for record in answer.records),
            ttl=min(answer.ttl for answer in found),
            authenticated=all(answer.authenticated for answer in found),
            detail=found[0].detail,
            canonical=found[0].canonical,
        )
    for outcome in (FAILED, NXDOMAIN):
        for answer in (aaaa, a):
            if answer.outcome is outcome:
                return answer
    return a


def _size(answer: DnsAnswer) -> int:
    """About what it takes in memory."""
    texts = sum(len(text) + _RECORD for text in answer.records)
    texts += sum(len(record.data) + 2 * _RECORD for record in answer.tlsa)
    return texts + sum(len(record.host) + 2 * _RECORD for record in answer.mx) + len(answer.detail) + 4 * _RECORD


def nameserver(text: str) -> Nameserver:
    """`127.0.0.1:53`, `[::1]:53`, or an address alone (port 53)."""
    host, colon, port = text.rpartition(":")
    if colon and (host.startswith("[") or ":" not in host):
        return Nameserver(str(ip_address(host.strip("[]"))), int(port))
    return Nameserver(str(ip_address(text.strip("[]"))), 53)


def system_nameservers(path: Path = Path("/etc/resolv.conf")) -> tuple[Nameserver, ...]:
    """The servers that the system asks; none named: the one on this machine (resolv.conf(5))."""
    servers: list[Nameserver] = []
    with suppress(OSError):
        for line in path.read_text("ascii", "replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver":
                with suppress(ValueError):
                    servers.append(Nameserver(str(ip_address(words[1])), 53))
    return tuple(servers) or (Nameserver("127.0.0.1", 53),)
