"""The one HTTP client of a process, by aiohttp, which is loaded when the first request is made.

It follows no redirect, keeps no cookie and heeds no proxy in the environment: whoever asks has named whom to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping
from typing import TYPE_CHECKING, Any

from postroad.ports.http import HttpAnswer, HttpFailed

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

MAX_ANSWER = 4 * 1024 * 1024
CONNECT_TIMEOUT = 10.0
CONNECTIONS = 100
_PIECE = 64 * 1024


class AioHttpClient:
    """Implements ports.http.HttpClient."""

    def __init__(self, *, connections: int = CONNECTIONS) -> None:
        self._connections = connections
        self._session: ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | list[tuple[str, str]] = (),  # type: ignore[assignment]
        body: bytes | AsyncIterable[bytes] = b"",
        timeout: float,
        connect_timeout: float = CONNECT_TIMEOUT,
        max_answer: int = MAX_ANSWER,
    ) -> HttpAnswer:
        """In a task of its own: whoever waits may be none."""
        asked = {"headers": headers, "data": body or None, "allow_redirects": False}
        return await asyncio.create_task(self._ask(method, url, asked, timeout, connect_timeout, max_answer))

    async def _ask(self, method: str, url: str, asked: Mapping[str, Any], /, *limits: float) -> HttpAnswer:
        from aiohttp import ClientError, ClientTimeout

        timeout, connect_timeout, most = limits
        patience = ClientTimeout(total=timeout, sock_connect=connect_timeout)
        try:
            async with self._open().request(method, url, timeout=patience, **asked) as response:
                content = await _read(response, int(most))
        except TimeoutError as error:
            raise HttpFailed(f"no answer within {timeout:g} seconds") from error
        except (ClientError, OSError, ValueError) as error:
            raise HttpFailed(str(error) or type(error).__name__) from error
        return HttpAnswer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)

    def _open(self) -> ClientSession:
        if self._session is None:
            from aiohttp import ClientSession, DummyCookieJar, TCPConnector

            connector = TCPConnector(limit=self._connections)
            self._session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=False)
        return self._session

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read(response: ClientResponse, most: int) -> bytes:
    """The answer's body, unless it is longer than that."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_chunked(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise HttpFailed(f"the answer is longer than {most} octets")
    return b"".join(pieces)
