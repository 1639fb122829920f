"""What recipients and domains come to, kept in memory so that RCPT is answered at once.

Bounded caches, dropped whenever tenants change (signal `config`). A miss is an awaitable read. Whoever has a quota is
kept for a few seconds only, and not beyond the next delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from functools import partial
from math import inf
from typing import Generic, TypeVar

from postroad.mail.address import ForwardPath
from postroad.ports.clock import Clock
from postroad.ports.signals import Signals
from postroad.ports.store import DomainKind, DomainRecord, Store, Tx
from postroad.routing.aliases import Resolution, Rules, Target, expand, expand_elsewhere
from postroad.routing.returns import ReturnAddresses
from postroad.routing.routes import Transport, transport

METERED_SECONDS = 5.0  # how old a quota's use may be
MAX_ADDRESSES = 8_192  # strangers choose what is looked up, so this is memory that they can fill: 700 octets each
MAX_DOMAINS = 16_384
LEARNED_AT_ONCE = 500  # recipients that one transaction reads

V = TypeVar("V")


class RecentCache(Generic[V]):
    """At most `size` entries, recently used ones kept: two generations, the older dropped when the newer is full."""

    __slots__ = ("_half", "_new", "_old")

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._new: dict[str, V] = {}
        self._old: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        value = self._new.get(key)
        if value is None and self._old:
            value = self._old.pop(key, None)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: str, value: V) -> None:
        if len(self._new) >= self._half:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def drop(self, key: str) -> None:
        self._new.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        self._new, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)


class _Found:
    """A domain's row, or the knowledge that there is none."""

    __slots__ = ("record",)

    def __init__(self, record: DomainRecord | None) -> None:
        self.record = record


def key_of(path: ForwardPath) -> str:
    return f"{path.local_part}@{path.domain.ascii}" if path.domain else path.local_part


def _has_addresses(record: DomainRecord | None) -> bool:
    return record is not None and record.kind is not DomainKind.RELAY


class Directory:
    """One for a process."""

    def __init__(self, store: Store, signals: Signals, clock: Clock, rules: Rules) -> None:
        self._store = store
        self._clock = clock
        self.rules = rules
        self.returns: ReturnAddresses | None = None  # whose addresses are ours too, whatever their domain
        self._addresses: RecentCache[Resolution] = RecentCache(MAX_ADDRESSES)
        self._domains: RecentCache[_Found] = RecentCache(MAX_DOMAINS)
        self._metered: dict[str, float] = {}  # keys of `_addresses` that have a quota, and until when they hold
        self._reading: dict[str, asyncio.Future[Resolution]] = {}
        self._generation = 0
        signals.listen("config", self.forget)

    def resolve(self, path: ForwardPath) -> Resolution | Awaitable[Resolution]:
        """What a recipient comes to: at once when it or its foreign domain is known, else an awaitable."""
        key = key_of(path)
        known = self._addresses.get(key)
        if known is None:
            if self.returns is not None and (found := self.returns.resolve(path, self.resolve)) is not None:
                return found
            return self._elsewhere(path) or self._read_once(path, key)
        if self._metered and self._metered.get(key, inf) < self._clock.monotonic():
            return self._read_once(path, key)
        return known

    def _elsewhere(self, path: ForwardPath) -> Resolution | None:
        """Recipients in domains whose mailboxes are not ours need no row of their own."""
        address = path.address
        known = self._domains.get(address.domain.ascii) if address else None
        if address is None or known is None or _has_addresses(known.record):
            return None
        return expand_elsewhere(address, known.record, self.rules)

    def _read_once(self, path: ForwardPath, key: str) -> Awaitable[Resolution]:
        """One read serves all who ask for the same address meanwhile: a crowd of clients costs no crowd of reads."""
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.ensure_future(self._read(path, key))
            reading.add_done_callback(partial(self._has_read, key))
        return asyncio.shield(reading)

    def _has_read(self, key: str, reading: asyncio.Future[Resolution]) -> None:
        if self._reading.get(key) is reading:
            del self._reading[key]

    async def _read(self, path: ForwardPath, key: str) -> Resolution:
        generation = self._generation
        resolution, record = await self._store.read(lambda tx: self._look_up(tx, path))
        if generation == self._generation:  # else tenants changed while we read: do not keep what may be old
            self._keep(path, key, resolution, record)
        return resolution

    def _look_up(self, tx: Tx, path: ForwardPath) -> tuple[Resolution, DomainRecord | None]:
        return expand(tx, path, self.rules), tx.domains.get(path.domain.ascii) if path.domain else None

    def _keep(self, path: ForwardPath, key: str, resolution: Resolution, record: DomainRecord | None) -> None:
        if path.domain:
            self._domains.put(path.domain.ascii, _Found(record))
        if not path.domain or _has_addresses(record):
            self._addresses.put(key, resolution)
            self._meter(key, resolution)

    async def learn(self, paths: Iterable[ForwardPath]) -> None:
        """Read many at once, so that `resolve` knows them for the next moment. Raises StoreUnavailable."""
        unknown = {key_of(path): path for path in paths if not self._knows(path)}
        wanted = list(unknown.items())
        for start in range(0, len(wanted), LEARNED_AT_ONCE):
            some = wanted[start : start + LEARNED_AT_ONCE]
            generation = self._generation
            found = await self._store.read(partial(self._look_up_all, paths=[path for _, path in some]))
            for (key, path), (resolution, record) in zip(some, found, strict=True):
                if generation == self._generation:
                    self._keep(path, key, resolution, record)

    def _look_up_all(self, tx: Tx, paths: list[ForwardPath]) -> list[tuple[Resolution, DomainRecord | None]]:
        return [self._look_up(tx, path) for path in paths]

    def _knows(self, path: ForwardPath) -> bool:
        key = key_of(path)
        if self._addresses.get(key) is None:
            return self._elsewhere(path) is not None
        return self._metered.get(key, inf) >= self._clock.monotonic()

    def is_ours(self, domain: str) -> bool | Awaitable[bool]:
        """Whether a domain (A-labels) is one of this server's: local, relayed, or another name of one."""
        known = self._domains.get(domain)
        return self._read_is_ours(domain) if known is None else known.record is not None

    async def _read_is_ours(self, domain: str) -> bool:
        generation = self._generation
        record = await self._store.read(lambda tx: tx.domains.get(domain))
        if generation == self._generation:
            self._domains.put(domain, _Found(record))
        return record is not None

    def _meter(self, key: str, resolution: Resolution) -> None:
        self._metered.pop(key, None)
        if resolution.is_metered:
            if len(self._metered) >= MAX_ADDRESSES:
                self._drop_metered()
            self._metered[key] = self._clock.monotonic() + METERED_SECONDS

    def delivered(self, targets: Iterable[Target]) -> None:
        """Mail has entered these mailboxes: what was known of their quotas is no longer true."""
        if self._metered and any(target.quota_bytes for target in targets):
            self._drop_metered()

    def _drop_metered(self) -> None:
        for key in self._metered:
            self._addresses.drop(key)
        self._metered.clear()

    def route(self, domain: str, *, direct: bool = False) -> Transport | Awaitable[Transport]:
        """The next hop for a domain (A-labels or an address literal), by today's rows and settings."""
        known = self._domains.get(domain)
        if known is None:
            return self._read_route(domain, direct)
        return transport(domain, known.record, self.rules.routes, direct=direct)

    async def _read_route(self, domain: str, direct: bool) -> Transport:
        generation = self._generation
        record = await self._store.read(lambda tx: tx.domains.get(domain))
        if generation == self._generation:
            self._domains.put(domain, _Found(record))
        return transport(domain, record, self.rules.routes, direct=direct)

    def forget(self) -> None:
        """Tenants have changed."""
        self._generation += 1
        self._reading.clear()  # whoever asks from now on gets the new rows
        self._addresses.clear()
        self._domains.clear()
        self._metered.clear()
