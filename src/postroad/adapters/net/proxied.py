"""Connections that a balancer passes on: a PROXY header first, which says who the client is, then the conversation.

A listed peer must send the header, in time; nobody else is asked for one, and what looks like one from him is a wrong
command. When it has been read the driver takes the transport over as if the client had connected itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from postroad.adapters.net.driver import Driver, endpoint_of
from postroad.adapters.net.hub import SMALL_READ, Hub
from postroad.adapters.net.patience import Timer
from postroad.config.networks import Networks
from postroad.mail.envelope import TlsInfo
from postroad.observe import log
from postroad.ports.net import PORT_UNKNOWN, Endpoint
from postroad.proto.proxy import MAX_V2, ProxyFault, ProxyHeader, read
from postroad.proto.wire import Interruption

PATIENCE = 5.0  # seconds for the header; §2 asks for 3 at least

assert MAX_V2 <= SMALL_READ
_log = log.get("net")


class ProxiedConnection(asyncio.BufferedProtocol):
    """One connection, until it is known whose it is. `make` makes the driver that goes on with it."""

    __slots__ = ("_came", "_hub", "_listed", "_make", "_peer", "_seconds", "_timer", "_transport")

    def __init__(self, hub: Hub, make: Callable[[], Driver], listed: Networks, *, seconds: float = PATIENCE) -> None:
        self._hub = hub
        self._make = make
        self._listed = listed
        self._seconds = seconds
        self._came = b""
        self._peer = Endpoint("", 0)
        self._timer: Timer | None = None
        self._transport = cast(asyncio.Transport, None)

    # -- what the transport calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        self._peer = endpoint_of(transport.get_extra_info("peername"))
        if self._peer.host in self._listed:
            self._hub.enter(self)
            self._timer = self._hub.timers.call_later(self._seconds, self._drop, "no PROXY header in time")
        else:
            self._hand_over(self._make(), b"")

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - as in the driver
        return self._hub.window(SMALL_READ)

    def buffer_updated(self, nbytes: int) -> None:
        self._came += bytes(self._hub.window(SMALL_READ)[:nbytes])
        try:
            found = read(self._came)
        except ProxyFault as fault:
            self._drop(str(fault))
            return
        if found is not None:
            header, length = found
            self._leave()
            self._hand_over(self._introduced(header), self._came[length:])

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was, nobody was there yet
        self._leave()

    # -- what the hub calls ------------------------------------------------------------------------------------

    def interrupt(self, reason: Interruption) -> None:  # noqa: ARG002 - there is nobody to whom it could be said
        self.abort()

    def abort(self) -> None:
        self._transport.abort()

    # -- handing over ------------------------------------------------------------------------------------------

    def _introduced(self, header: ProxyHeader) -> Driver:
        driver = self._make()
        if not header.is_own:
            tls = TlsInfo(header.tls_version, header.tls_cipher) if header.tls_version else None
            driver.introduce(
                _endpoint(header.client, header.client_port), _endpoint(header.local, header.local_port), tls
            )
        return driver

    def _hand_over(self, driver: Driver, came: bytes) -> None:
        self._transport.set_protocol(driver)
        driver.connection_made(self._transport)
        if came:
            driver.get_buffer(-1)[: len(came)] = came
            driver.buffer_updated(len(came))

    def _drop(self, why: str) -> None:
        """Nobody knows whose connection it is."""
        _log.warning("dropped a connection of a listed balancer", peer=str(self._peer), cause=why)
        self._leave()
        self.abort()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._hub.leave(self)


def _endpoint(host: str, port: int) -> Endpoint:
    return Endpoint(host, port or PORT_UNKNOWN)
