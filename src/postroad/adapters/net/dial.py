"""Outgoing connections: dial an address (names are resolved by `delivery.mx`), couple machine and session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from postroad.adapters.net.driver import Driver
from postroad.adapters.net.hub import Hub
from postroad.ports.net import ClientTls, Connection, Endpoint, Session
from postroad.proto.wire import Machine

if TYPE_CHECKING:
    from postroad.adapters.net.tls import ClientContexts, TlsFilter


class NetDialer:
    """Implements ports.net.Dialer over TCP and Unix sockets."""

    __slots__ = ("_contexts", "_hub")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._contexts: ClientContexts | None = None

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
        opened = self._hub.loop.create_future() if tls is not None else None
        driver = Driver(self._hub, machine, session, make_filter=self._filter, client=tls, opened=opened)
        try:
            async with asyncio.timeout(timeout):
                await self._dial(driver, endpoint, source)
                if opened is not None:
                    await opened
        except TimeoutError:
            driver.abort()
            raise TimeoutError(f"no connection to {endpoint} in {timeout:g} seconds") from None
        except BaseException:
            driver.abort()
            raise
        return driver

    def _filter(self, client: ClientTls | None) -> TlsFilter:
        """Contexts are made, and the library is loaded, when the first peer offers TLS."""
        if self._contexts is None:
            from postroad.adapters.net.tls import ClientContexts

            self._contexts = ClientContexts()
        return self._contexts.filter(client)

    async def _dial(self, driver: Driver, endpoint: Endpoint, source: str | None) -> None:
        loop = self._hub.loop
        if endpoint.host.startswith("/"):
            await loop.create_unix_connection(lambda: driver, endpoint.host)
        else:
            local = (source, 0) if source else None
            await loop.create_connection(lambda: driver, endpoint.host, endpoint.port, local_addr=local)
