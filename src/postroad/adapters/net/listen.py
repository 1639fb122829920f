"""Listeners: a socket, a factory of machine and session, TLS if any, and the door-keeper who counts connections."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from postroad.adapters.net.driver import Driver, endpoint_of
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.proxied import ProxiedConnection
from postroad.config.networks import NOBODY, Networks
from postroad.observe.metrics import COUNTERS
from postroad.ports.net import Endpoint, Session
from postroad.proto.wire import Machine

if TYPE_CHECKING:
    from postroad.adapters.net.tls import ServerTls

Factory = Callable[[], tuple[Machine, Session]]
BACKLOG = 1024
ACCEPTED_AT_ONCE = 8  # connections of one listener in one round of the loop
UNIX_MODE = 0o666  # who may reach a Unix socket is said by its folder


class Guest(Protocol):
    """Who wants to come in."""

    @property
    def peer(self) -> Endpoint: ...


class Doorman:
    """Counts connections, in all and for each client; the exempt are counted but never turned away for their own."""

    __slots__ = ("_counts", "_exempt", "_per_client", "_total", "count")

    def __init__(self, *, total: int, per_client: int, exempt: Iterable[str] = ()) -> None:
        self._total = total
        self._per_client = per_client
        self._exempt = [ipaddress.ip_network(net) for net in exempt]
        self._counts: dict[str, int] = {}
        self.count = 0

    def admit(self, guest: Guest) -> Callable[[], None] | None:
        """Let a peer in and return what to call when it leaves; None turns it away."""
        client = guest.peer.host
        have = self._counts.get(client, 0)
        if self.count >= self._total or (have >= self._per_client and not self.exempts(client)):
            COUNTERS.turned_away += 1
            return None
        self.count += 1
        self._counts[client] = have + 1
        return lambda: self._leave(client)

    def exempts(self, client: str) -> bool:
        """Spared from limits for one client. A Unix socket's peer is local, so it is."""
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return True
        return any(address in network for network in self._exempt)

    def _leave(self, client: str) -> None:
        self.count -= 1
        left = self._counts[client] - 1
        if left:
            self._counts[client] = left
        else:
            del self._counts[client]


class Listener:
    """One listening socket. `endpoint` is where it really listens."""

    __slots__ = ("_servers", "endpoint")

    def __init__(self, servers: Iterable[asyncio.AbstractServer], endpoint: Endpoint) -> None:
        self._servers = tuple(servers)
        self.endpoint = endpoint

    def close(self) -> None:
        """Take no more connections. Those that stand are the hub's."""
        for server in self._servers:
            server.close()
        if not self.endpoint.port:
            Path(self.endpoint.host).unlink(missing_ok=True)


async def listen(
    hub: Hub,
    endpoint: Endpoint,
    factory: Factory,
    *,
    tls: ServerTls | None = None,
    implicit: bool = False,
    doorman: Doorman | None = None,
    service: str = "",
    proxies: Networks = NOBODY,
    proxy_timeout: float = 5.0,
) -> Listener:
    """Listen at `endpoint` (port 0: a free one; a path with port 0: a Unix socket).

    With `tls` a session may call `start_tls`; with `implicit` each connection begins with the handshake.
    `service` is the name that connections are counted under. Connections from `proxies` begin with a PROXY header.
    """
    make_filter = tls.filter if tls is not None else None
    counts = COUNTERS.connections
    admit = doorman.admit if doorman is not None else None

    def accept() -> Driver:
        counts[service] = counts.get(service, 0) + 1
        machine, session = factory()
        return Driver(hub, machine, session, make_filter=make_filter, implicit=implicit, admit=admit)

    def accept_proxied() -> ProxiedConnection:
        return ProxiedConnection(hub, accept, proxies, seconds=proxy_timeout)

    make = accept_proxied if proxies else accept
    server = await _bind(hub.loop, endpoint, make)
    name = server.sockets[0].getsockname()
    others = await _accept_faster(hub.loop, server.sockets[0], make)
    return Listener([server, *others], endpoint if endpoint.host.startswith("/") else endpoint_of(name))


async def _accept_faster(
    loop: asyncio.AbstractEventLoop, bound: socket.socket, accept: Callable[[], asyncio.BaseProtocol]
) -> list[asyncio.AbstractServer]:
    """libuv takes one connection from a socket in each round of the loop: a busy server, with long rounds, would let
    few in, and everybody wait behind those who come again and again. So it is given the socket several times."""
    if isinstance(loop, asyncio.BaseEventLoop):  # takes all at once
        return []
    copies = (socket.fromfd(bound.fileno(), bound.family, bound.type) for _ in range(ACCEPTED_AT_ONCE - 1))
    return [await loop.create_server(accept, sock=copy, backlog=BACKLOG) for copy in copies]


async def _bind(
    loop: asyncio.AbstractEventLoop, endpoint: Endpoint, accept: Callable[[], asyncio.BaseProtocol]
) -> asyncio.Server:
    if endpoint.host.startswith("/"):
        server = await loop.create_unix_server(accept, endpoint.host, backlog=BACKLOG)
        os.chmod(endpoint.host, UNIX_MODE)  # noqa: PTH101 - a call of microseconds, and the path is no Path
        return server
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    return await loop.create_server(
        accept, endpoint.host, endpoint.port, family=family, backlog=BACKLOG, reuse_address=True
    )
