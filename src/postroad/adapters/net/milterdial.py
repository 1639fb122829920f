"""Connections with milters, over Unix sockets and TCP; a host's name is looked up by the system, hosts file and all."""

from __future__ import annotations

import asyncio
import socket

from postroad.adapters.net.dial import NetDialer
from postroad.intake.milters import MilterLink
from postroad.ports.net import Connection, Endpoint
from postroad.proto.milter import MilterClient


class MilterSockets:
    """Implements intake.milters.MilterDialer."""

    def __init__(self, dialer: NetDialer, where: str) -> None:
        """`where`: `unix:/path` or `host:port`, as in the settings behind `milter:`."""
        self._dialer = dialer
        self._where = where

    async def dial(self, machine: MilterClient, session: MilterLink, *, timeout: float) -> Connection:
        """The first address that answers. Raises OSError or TimeoutError."""
        refused: OSError = OSError(f"{self._where} has no address")
        for endpoint in await self._endpoints():
            try:
                return await self._dialer.connect(endpoint, machine, session, timeout=timeout)
            except OSError as error:
                refused = error
        raise refused

    async def _endpoints(self) -> list[Endpoint]:
        if self._where.startswith("unix:"):
            return [Endpoint(self._where.removeprefix("unix:"), 0)]
        host, _, port = self._where.rpartition(":")
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        return list(dict.fromkeys(Endpoint(str(address[0]), int(port)) for *_, address in found))
