"""MTA-STS as a sender keeps it (RFC 8461 §3, §5): policies are found, fetched, kept over restarts and renewed.

A policy that is there is kept to until it ends, whatever DNS or the policy's host say meanwhile: that is what protects
against whoever controls them for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct

from postroad.mailauth.mtasts import BadPolicy, StsMode, StsPolicy, policy_id, policy_url, read_policy, record_name
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.dns import DnsOutcome, Resolver
from postroad.ports.http import HttpClient, HttpFailed
from postroad.ports.store import Lane, Store, StoreUnavailable
from postroad.ports.tls import StsRecord

REST = 300.0  # seconds that a policy that could not be fetched is left alone (§3.3)
KEPT = 10_000  # domains whose policy, or lack of one, is in memory
LOOK_EVERY = 60.0  # seconds: whether DNS tells of a newer one than we have
RENEW_EVERY = 3600.0  # seconds
FRESH = timedelta(hours=20)  # renewed about daily, and in any case before it ends (§10.2)
PAGE = 100
AT_ONCE = 100  # look-ups for newer ones

_log = log.get("sts")


class StsFound(Struct, frozen=True):
    """A policy, or why there is none although one was announced."""

    policy: StsPolicy | None
    kind: str = ""  # a result type of RFC 8460 §4.3
    error: str = ""


class StsSource(Protocol):
    async def find(self, domain: str) -> StsFound | None:
        """None: the domain has none, or one that asks for nothing."""


class _Kept(Struct):
    record: StsRecord | None
    policy: StsPolicy | None
    failure: StsFound | None = None  # the last fetch
    rests_until: float = 0.0
    tried: str = ""  # the id that the last fetch was for
    looked_until: float = 0.0  # that nobody need look whether there is a newer one


class StsPolicies:
    """Implements StsSource. One for a process."""

    def __init__(
        self,
        resolver: Resolver,
        http: HttpClient,
        store: Store,
        clock: Clock,
        *,
        port: int = 443,
        timeout: float = 60.0,
        max_size: int = 65536,
        keep: bool = True,
    ) -> None:
        """Without `keep` nothing is written to the store."""
        self._resolver = resolver
        self._http = http
        self._store = store
        self._clock = clock
        self._port = port
        self._timeout = timeout
        self._max_size = max_size
        self._keep = keep
        self._kept: dict[str, _Kept] = {}
        self._finding: dict[str, asyncio.Task[StsFound | None]] = {}
        self._renewing: set[asyncio.Task[None]] = set()

    async def find(self, domain: str) -> StsFound | None:
        kept = self._kept.get(domain)
        if kept is not None and self._is_valid(kept):
            self._look_again(domain, kept)
            return _found(kept)
        if kept is not None and domain not in self._finding:
            announced = await self._announced(domain)
            if domain not in self._finding and (not announced or self._rests(kept, announced)):
                return kept.failure if announced else None
        task = self._finding.get(domain)
        if task is None:
            task = self._finding[domain] = asyncio.create_task(self._find(domain))
            task.add_done_callback(lambda _: self._finding.pop(domain, None))
        return await asyncio.shield(task)

    def _is_valid(self, kept: _Kept) -> bool:
        return kept.record is not None and kept.record.expires > self._clock.now()

    def _rests(self, kept: _Kept, announced: str) -> bool:
        """The same policy could not be had a moment ago."""
        return kept.tried == announced and self._clock.monotonic() < kept.rests_until

    async def _find(self, domain: str) -> StsFound | None:
        kept = await self._known(domain)
        if self._is_valid(kept):
            self._look_again(domain, kept)
            return _found(kept)
        kept.record = kept.policy = kept.failure = None  # it has ended
        if announced := await self._announced(domain):
            await self._fetch(domain, kept, announced)
        return _found(kept)

    def _look_again(self, domain: str, kept: _Kept) -> None:
        """Whether there is a newer one: beside the delivery, which goes by the one that is there (§3.3)."""
        now = self._clock.monotonic()
        if now >= kept.looked_until and len(self._renewing) < AT_ONCE:
            kept.looked_until = now + LOOK_EVERY
            self._spawn(self._compare(domain, kept))

    async def _compare(self, domain: str, kept: _Kept) -> None:
        announced = await self._announced(domain)
        if announced and (kept.record is None or announced != kept.record.id):
            await self._fetch(domain, kept, announced)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._renewing.add(task)
        task.add_done_callback(self._renewing.discard)

    async def _known(self, domain: str) -> _Kept:
        """What memory or the store has. Raises StoreUnavailable: without knowing, nothing is sent."""
        kept = self._kept.get(domain)
        if kept is None:
            record = await self._store.read(lambda tx: tx.tls.policy(domain))
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[domain] = _Kept(record, _policy_of(record))
        return kept

    async def _announced(self, domain: str) -> str:
        """The id of the policy that DNS tells of; empty for none, or none that can be known now (§3.1)."""
        answer = await self._resolver.txt(record_name(domain))
        return policy_id(answer.records) if answer.outcome is DnsOutcome.FOUND else ""

    async def _fetch(self, domain: str, kept: _Kept, announced: str) -> None:
        """Get the policy; after a failure what is there is kept, and nobody asks again for a while."""
        if self._rests(kept, announced):
            return
        kept.tried, kept.rests_until = announced, self._clock.monotonic() + REST
        try:
            text = await self._ask(domain)
            policy = read_policy(text)
        except BadPolicy as error:
            kept.failure = StsFound(None, "sts-policy-invalid", str(error))
        except HttpFailed as error:
            kept.failure = StsFound(None, _kind(error), str(error))
        else:
            now = self._clock.now()
            kept.record = StsRecord(domain, announced, text, now, now + timedelta(seconds=policy.max_age))
            kept.policy, kept.failure = policy, None
            await self._save(kept.record)
            return
        _log.info("a policy of MTA-STS could not be had", domain=domain, cause=kept.failure.error)

    async def _ask(self, domain: str) -> str:
        """Over HTTPS with a certificate that proves the name, and no redirect is followed (§3.3)."""
        answer = await self._http.request(
            "GET", policy_url(domain, self._port), timeout=self._timeout, max_answer=self._max_size
        )
        if answer.status != 200:
            raise HttpFailed(f"the answer was {answer.status}")
        if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/plain":
            raise BadPolicy("it is not text/plain")
        try:
            return answer.body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadPolicy("it is no text") from error

    async def _save(self, record: StsRecord) -> None:
        if not self._keep:
            return
        try:
            await self._store.write(lambda tx: tx.tls.put_policy(record), lane=Lane.LOW)
        except StoreUnavailable as error:
            _log.warning("a policy of MTA-STS cannot be written", domain=record.domain, cause=str(error))

    # -- in the background -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Renew what would else grow old, until cancelled."""
        while True:
            await self._clock.sleep(RENEW_EVERY)
            try:
                await self.renew()
            except StoreUnavailable as error:
                _log.warning("policies of MTA-STS cannot be renewed", cause=str(error))

    async def renew(self) -> None:
        """Once over all that are kept: what has ended goes, what is a day old is fetched anew."""
        after = ""
        while page := await self._store.read(lambda tx, after=after: tx.tls.policies(after, PAGE)):  # type: ignore[misc]
            after = page[-1].domain
            now = self._clock.now()
            await self._drop(record.domain for record in page if record.expires <= now)
            for record in page:
                if record.expires > now and _is_old(record, now):
                    kept = await self._known(record.domain)
                    kept.rests_until = 0.0
                    await self._fetch(record.domain, kept, await self._announced(record.domain) or record.id)

    async def _drop(self, domains: Iterable[str]) -> None:
        for domain in domains:
            self._kept.pop(domain, None)
            await self._store.write(lambda tx, domain=domain: tx.tls.drop_policy(domain), lane=Lane.LOW)  # type: ignore[misc]

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = [*self._finding.values(), *self._renewing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _found(kept: _Kept) -> StsFound | None:
    if kept.policy is not None:
        return None if kept.policy.mode is StsMode.NONE else StsFound(kept.policy)
    return kept.failure


def _policy_of(record: StsRecord | None) -> StsPolicy | None:
    try:
        return read_policy(record.text) if record is not None else None
    except BadPolicy:  # by the rules of a newer program
        return None


def _is_old(record: StsRecord, now: datetime) -> bool:
    return now - record.fetched >= min(FRESH, (record.expires - record.fetched) / 2)


def _kind(error: HttpFailed) -> str:
    return "sts-webpki-invalid" if "certificate" in str(error).lower() else "sts-policy-fetch-error"
