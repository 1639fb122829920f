"""The HTTP listeners of a node: one application behind http and https, and another behind metrics.

Import it only where there is one: uvicorn and starlette come with it, and with http and https the front ends.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from postroad.adapters.net.listen import Doorman
from postroad.app.certificates import pairs
from postroad.app.health import application as health_application
from postroad.app.http import HttpServer
from postroad.app.roles import METRICS
from postroad.config.problems import ConfigError, Problem
from postroad.config.schema import Settings
from postroad.ports.net import Endpoint
from postroad.queue.census import Census
from postroad.reports.live import Live
from postroad.reports.search import Search
from postroad.reports.statistics import Statistics
from postroad.web.services import WebServices

if TYPE_CHECKING:
    from postroad.adapters.net.webtls import WebTls
    from postroad.app.build import Node
    from postroad.web.app import WebApplication


class WebFronts:
    """Starts HTTP listeners and ends them."""

    def __init__(self, node: Node, doorman: Doorman) -> None:
        self._node = node
        self._doorman = doorman
        self._servers: list[HttpServer] = []
        self._application: WebApplication | None = None
        self._services: WebServices | None = None
        self._tls: WebTls | None = None

    async def listen(self, service: str, endpoint: Endpoint) -> Endpoint:
        """Where it really listens. Raises OSError, ConfigError."""
        server = self._server(service, endpoint)
        await server.start()
        self._servers.append(server)
        return server.endpoint

    def _server(self, service: str, endpoint: Endpoint) -> HttpServer:
        node, limits = self._node, self._node.settings.http
        if service == METRICS.service:
            return HttpServer(health_application(node.not_ready, node.gauges), endpoint, limits=limits, service=service)
        if self._application is None:
            from postroad.web.app import application  # templates and all: not for metrics alone

            self._services = web_services(node)
            self._application = application(self._services)
        tls = self._certificate() if service == "https" else None
        return HttpServer(self._application, endpoint, limits=limits, tls=tls, doorman=self._doorman, service=service)

    def _certificate(self) -> WebTls:
        if self._tls is None:
            self._tls = _web_tls(self._node.settings)
        return self._tls

    def reload(self, settings: Settings) -> None:
        """The certificate for new connections. Raises OSError or ValueError, leaving what was."""
        if self._tls and settings.tls.certificate and settings.tls.key:
            first, *others = pairs(settings.tls)
            self._tls.reload(*first, others)

    async def close(self, grace: float) -> None:
        if self._application and self._services:
            await self._services.live.close()
            self._application.close()
        await asyncio.gather(*(server.close(grace) for server in self._servers))


def web_services(node: Node) -> WebServices:
    """What the front ends work with. Whoever asks closes `live`."""
    services = node.services
    store, clock = services.store, services.clock
    search, statistics = Search(store, clock, node.index), Statistics(store, clock)
    return WebServices(
        settings=node.settings,
        store=store,
        blobs=services.blobs,
        intake=node.intake,
        resolver=node.resolver,
        credentials=services.credentials,
        administration=services.administration,
        sending=services.sending,
        tokens=services.tokens,
        app_passwords=services.app_passwords,
        admins=services.admins,
        throttle=services.throttle,
        audit=services.audit,
        actions=services.actions,
        senders=services.senders,
        guesses=services.guesses,
        census=Census(store, clock),
        search=search,
        statistics=statistics,
        live=Live(store, search, statistics, clock),
        clock=clock,
        ids=services.ids,
        random=services.random,
        workers=services.workers,
        signals=services.signals,
        not_ready=node.not_ready,
        gauges=node.gauges,
    )


def _web_tls(settings: Settings) -> WebTls:
    from postroad.adapters.net.webtls import WebTls

    first, *others = pairs(settings.tls)  # there is one: checked with the settings
    try:
        return WebTls(*first, others)
    except (OSError, ValueError) as error:
        raise ConfigError([Problem("tls", f"the certificate cannot be used: {error}")]) from error
