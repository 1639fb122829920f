"""The HTTP client for policies of MTA-STS: names by our own resolver, certificates by the settings' authorities."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from postroad.adapters.http import AioHttpClient
from postroad.ports.dns import DnsOutcome, Resolver

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from aiohttp.abc import AbstractResolver

CONNECTIONS = 20
_VERSIONS: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 6}


class PolicyHttp(AioHttpClient):
    """Implements ports.http.HttpClient. `trusted` is a file of authorities in place of the system's."""

    def __init__(self, resolver: Resolver, trusted: Path | None = None) -> None:
        super().__init__(connections=CONNECTIONS)
        self._resolver = resolver
        self._trusted = trusted

    def _open(self) -> ClientSession:
        if self._session is None:
            import ssl

            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            context = ssl.create_default_context(cafile=str(self._trusted) if self._trusted else None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8461 §3.3
            connector = TCPConnector(
                limit=CONNECTIONS, ssl=context, resolver=_names(self._resolver), use_dns_cache=False, force_close=True
            )
            self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)
        return self._session


def _names(resolver: Resolver) -> AbstractResolver:
    """aiohttp's view of our resolver."""
    from aiohttp.abc import AbstractResolver

    class Names(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[Any]:
            answer = await resolver.addresses(host, _VERSIONS.get(family, 0))
            if answer.outcome is not DnsOutcome.FOUND:
                raise OSError(f"{host}: {answer.outcome.value}")
            return [_address(host, address, port) for address in answer.records]

        async def close(self) -> None:
            """The resolver is not ours."""

    return Names()


def _address(host: str, address: str, port: int) -> dict[str, Any]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}
