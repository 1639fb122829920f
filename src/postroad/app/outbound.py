"""What the way out knows of others' TLS, put together from the settings: rules, policies of MTA-STS, results by day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address

from postroad.adapters.policyhttp import PolicyHttp
from postroad.config.schema import Settings
from postroad.config.values import split_address
from postroad.delivery.policy import Policies, TlsLevel, TlsRules
from postroad.delivery.sts import StsPolicies
from postroad.delivery.tlsresults import TlsResults
from postroad.ports.clock import Clock
from postroad.ports.dns import Resolver
from postroad.ports.net import Endpoint
from postroad.ports.store import Store

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - looked for, not bound


class OutboundTls:
    """One for a process that sends: `run` in the background, `close` at the end."""

    def __init__(self, settings: Settings, store: Store, resolver: Resolver, clock: Clock) -> None:
        delivery = settings.delivery
        self._http = PolicyHttp(resolver, settings.tls.trusted)
        self._sts = StsPolicies(
            resolver,
            self._http,
            store,
            clock,
            port=delivery.sts_port,
            timeout=delivery.sts_timeout,
            max_size=delivery.sts_max_size,
        )
        self.policies = Policies(resolver, tls_rules(settings), self._sts if delivery.mta_sts else None)
        self.results = TlsResults(store, clock, keep=timedelta(days=settings.retention.events))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sts.run())
            group.create_task(self.results.run())

    async def close(self) -> None:
        """The store must still be there."""
        await self._sts.close()
        await self._http.close()
        await self.results.flush()


def tls_rules(settings: Settings) -> TlsRules:
    domains = {row.domain: TlsLevel(row.tls) for row in settings.tls_policy}
    return TlsRules(TlsLevel(settings.delivery.tls), domains)


def own_places(settings: Settings) -> Callable[[Endpoint], bool]:
    """Whether mail that is sent to an address would come to this server's own `mx` listener."""
    bound = [split_address(one.address) for one in settings.listen if one.service == "mx" and _has_port(one.address)]
    if not settings.listen:
        bound = [(host, 25) for host in _EVERYWHERE]
    public = set(settings.front_door.own_addresses)
    ports = {port for _, port in bound} | {25}

    def is_own(endpoint: Endpoint) -> bool:
        if endpoint.port not in ports:
            return False
        if endpoint.host in public or (endpoint.host, endpoint.port) in bound:
            return True
        everywhere = any(host in _EVERYWHERE and port == endpoint.port for host, port in bound)
        return everywhere and ip_address(endpoint.host).is_loopback

    return is_own


def _has_port(address: str) -> bool:
    return not address.startswith("unix:") and not address.endswith(":0")
