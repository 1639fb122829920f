"""Outgoing connections: dial an address (names are resolved by `delivery.mx`), couple machine and session."""

from __future__ import annotations

import asyncio

from postroad.adapters.net.driver import Driver
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.tls import ClientContexts
from postroad.ports.net import ClientTls, Connection, Endpoint, Session
from postroad.proto.wire import Machine


class NetDialer:
    """Implements ports.net.Dialer over TCP and Unix sockets."""

    __slots__ = ("_contexts", "_hub")

    def __init__(self, hub: Hub, contexts: ClientContexts | None = None) -> None:
        self._hub = hub
        self._contexts = contexts or ClientContexts()

    async def connect(
        self,
        endpoint: Endpoint,
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
        opened: asyncio.Future[None] = self._hub.loop.create_future()
        driver = Driver(self._hub, machine, session, make_filter=self._contexts.filter, client=tls, opened=opened)
        dialling = asyncio.ensure_future(self._dial(driver, endpoint, source, opened))
        late = self._hub.timers.call_later(timeout, dialling.cancel)
        try:
            await asyncio.wait([dialling])
        except asyncio.CancelledError:
            dialling.cancel()
            raise
        finally:
            late.cancel()
        if dialling.cancelled():
            driver.abort()
            raise TimeoutError(f"no connection to {endpoint} in {timeout:g} seconds")
        dialling.result()
        return driver

    async def _dial(self, driver: Driver, endpoint: Endpoint, source: str | None, opened: asyncio.Future[None]) -> None:
        loop = self._hub.loop
        if endpoint.host.startswith("/"):
            await loop.create_unix_connection(lambda: driver, endpoint.host)
        else:
            local = (source, 0) if source else None
            await loop.create_connection(lambda: driver, endpoint.host, endpoint.port, local_addr=local)
        await opened
