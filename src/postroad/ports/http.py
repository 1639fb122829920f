"""The HTTP port: one request, one answer, as a client. Scanners, webhooks and policies are asked through it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from typing import Protocol

from msgspec import Struct


class HttpFailed(OSError):  # noqa: N818 - it names what happened
    """There was no whole answer: nobody there, too slow, too long, or no HTTP; the text says which."""


class HttpAnswer(Struct, frozen=True):
    """What a server answered. Names of header fields are in lower case; of repeated ones the last counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient(Protocol):
    """One for a process; connections are kept and used again. Redirects are answers like any other."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | list[tuple[str, str]] = ...,
        body: bytes | AsyncIterable[bytes] = ...,
        timeout: float,
        connect_timeout: float = ...,
        max_answer: int = ...,
    ) -> HttpAnswer:
        """Ask, within `timeout` seconds in all; an answer of more than `max_answer` octets is none. A body in pieces
        wants a Content-Length among the headers where its length is known. Raises HttpFailed."""

    async def close(self) -> None:
        """End what is kept. Nobody may be waiting."""
