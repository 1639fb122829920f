"""Outgoing connections: dial an address (names are resolved by `delivery.mx`), couple machine and session.

Of several addresses each gets a head start before the next is tried beside it, and the first that answers is taken
(RFC 8305 §5): a host that is dead over one family costs a quarter of a second, not a time-out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from postroad.adapters.net.driver import Driver
from postroad.adapters.net.hub import Hub
from postroad.ports.net import ClientTls, Connection, Endpoint, Session
from postroad.proto.wire import Machine

if TYPE_CHECKING:
    from postroad.adapters.net.tls import ClientContexts, TlsFilter

HEAD_START = 0.25  # seconds, RFC 8305 §8


class NetDialer:
    """Implements ports.net.Dialer over TCP and Unix sockets."""

    __slots__ = ("_contexts", "_hub", "_roots")

    def __init__(self, hub: Hub, *, roots: Path | None = None) -> None:
        """`roots`: a file of authorities that certificates have to lead to, in place of the system's."""
        self._hub = hub
        self._roots = roots
        self._contexts: ClientContexts | None = None

    async def connect(
        self,
        endpoint: Endpoint | Sequence[Endpoint],
        machine: Machine,
        session: Session,
        *,
        timeout: float,
        tls: ClientTls | None = None,
        source: str | None = None,
    ) -> Connection:
        """Connect and couple. `session.connected` has been called when this returns.

        A peer that cannot be reached, or (with `tls`) fails the handshake: OSError; too slow: TimeoutError; then the
        session hears nothing.
        """
        opened = self._hub.loop.create_future() if tls is not None else None
        driver = Driver(self._hub, machine, session, make_filter=self._filter, client=tls, opened=opened)
        try:
            async with asyncio.timeout(timeout):
                await self._dial(driver, endpoint, source)
                if opened is not None:
                    await opened
        except TimeoutError:
            driver.abort()
            raise TimeoutError(f"no connection to {_named(endpoint)} in {timeout:g} seconds") from None
        except BaseException:
            driver.abort()
            raise
        return driver

    def _filter(self, client: ClientTls | None) -> TlsFilter:
        """Contexts are made, and the library is loaded, when the first peer offers TLS."""
        if self._contexts is None:
            from postroad.adapters.net.tls import ClientContexts

            self._contexts = ClientContexts(self._roots)
        return self._contexts.filter(client)

    async def _dial(self, driver: Driver, endpoint: Endpoint | Sequence[Endpoint], source: str | None) -> None:
        loop = self._hub.loop
        if not isinstance(endpoint, Endpoint):
            if len(endpoint) > 1:
                sock = await self._first_of(endpoint, source)
                await loop.create_connection(lambda: driver, sock=sock)
                return
            endpoint = endpoint[0]
        if endpoint.host.startswith("/"):
            await loop.create_unix_connection(lambda: driver, endpoint.host)
        else:
            local = (source, 0) if source else None
            await loop.create_connection(lambda: driver, endpoint.host, endpoint.port, local_addr=local)

    async def _first_of(self, endpoints: Sequence[Endpoint], source: str | None) -> socket.socket:
        """A socket that is connected to one of them. Raises the last one's OSError."""
        racing: dict[asyncio.Task[socket.socket], Endpoint] = {}
        waiting = list(endpoints)
        error: OSError = OSError("no address to connect to")
        try:
            while waiting or racing:
                if waiting:
                    endpoint = waiting.pop(0)
                    racing[self._hub.loop.create_task(self._socket_to(endpoint, source))] = endpoint
                patience = HEAD_START if waiting else None
                done, _ = await asyncio.wait(racing, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del racing[task]
                    failure = task.exception()
                    if failure is None:
                        _close_all(done - {task})
                        return task.result()
                    if not isinstance(failure, OSError):
                        raise failure
                    error = failure
            raise error
        finally:
            for task in racing:
                task.add_done_callback(_close)
                task.cancel()

    async def _socket_to(self, endpoint: Endpoint, source: str | None) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if source:
                sock.bind((source, 0))
            await self._hub.loop.sock_connect(sock, (endpoint.host, endpoint.port))
        except BaseException:
            sock.close()
            raise
        return sock


def _named(endpoint: Endpoint | Sequence[Endpoint]) -> str:
    return str(endpoint) if isinstance(endpoint, Endpoint) else ", ".join(map(str, endpoint))


def _close_all(tasks: set[asyncio.Task[socket.socket]]) -> None:
    for task in tasks:
        _close(task)


def _close(task: asyncio.Task[socket.socket]) -> None:
    """Connected too late: another address has won."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
