"""The HTTP front ends in tests: over a whole node with real sockets, or in memory over a node that does not listen.

`bare_web` is the cheap one: its client calls the application itself. `web_node` is what a browser or a foreign client
needs. Both clients know where they are: `client.get("/api/v1/domains")`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from postroad.app import lock
from postroad.app.build import Node
from postroad.app.services import open_services
from postroad.app.web import web_services
from postroad.config.load import load
from postroad.testing.network import write_certificate
from postroad.testing.server import HOSTNAME, running_node, write_configuration
from postroad.testing.site import trusting
from postroad.web.app import WebApplication, application
from postroad.web.services import WebServices

ORIGIN = f"http://{HOSTNAME}"
NOBODY = "127.0.0.1:1"  # a nameserver that is not there: look-ups fail at once


@dataclass(frozen=True, slots=True)
class Web:
    """What a test works with. `client` follows no redirect and raises no exception of the server's."""

    client: httpx.AsyncClient
    services: WebServices
    node: Node
    application: WebApplication

    def another(self, **headers: str) -> httpx.AsyncClient:
        """A client of its own (cookies, header fields) for the same application."""
        return _client(self.application, headers)


@asynccontextmanager
async def bare_web(
    folder: Path, *, extra: str = "", make: Callable[[WebServices], WebApplication] = application
) -> AsyncIterator[Web]:
    """The application over a store in `folder`, called in memory: no listener, no sender, nothing in the background.
    `extra` is more configuration, as TOML; `make` makes another application, of a single front end."""
    settings = load(write_configuration(folder, (), extra=extra), {})
    if not settings.dns.nameservers:
        settings = replace(settings, dns=replace(settings.dns, nameservers=(NOBODY,)))  # no test asks the world
    with lock.held(settings.data_dir):
        async with open_services(settings) as beneath:
            node = Node(beneath, asyncio.TaskGroup(), lambda: None)  # never started, so nothing enters the group
            services = web_services(node)
            app = make(services)
            try:
                async with _client(app, {}) as client:
                    yield Web(client, services, node, app)
            finally:
                await services.live.close()
                app.close()
                await node.stop()


def _client(app: WebApplication, headers: Mapping[str, str]) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("192.0.2.1", 40000))
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=dict(headers))


@asynccontextmanager
async def web_node(
    folder: Path, services: Sequence[str] = ("http",), *, extra: str = ""
) -> AsyncIterator[tuple[Node, httpx.AsyncClient]]:
    """A whole node that listens, and a client for its http (or https, which it then trusts)."""
    certificate, key = _certified(folder)
    async with running_node(folder, services, certificate=certificate, key=key, extra=extra) as node:
        name = "http" if "http" in services else "https"
        base = f"{name}://{node.endpoints[name][0]}"
        async with httpx.AsyncClient(base_url=base, verify=trusting()) as client:
            yield node, client


def _certified(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return write_certificate(folder, "127.0.0.1", HOSTNAME)
