"""ASGI by hand: the little that the front ends share. No framework stands between uvicorn and a cheap answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Fields = Iterable[tuple[bytes, bytes]]

JSON = b"application/json; charset=utf-8"
SMALL = 256 * 1024  # a body up to this size asks nobody for room


class ClientGone(Exception):  # noqa: N818
    """The client went away in the middle of its body; nobody is there to be answered."""


def field(scope: Scope, name: bytes) -> bytes:
    """The first header field called `name` (lower case), or nothing."""
    for key, value in scope["headers"]:
        if key == name:
            found: bytes = value
            return found
    return b""


async def respond(send: Send, status: int, body: bytes = b"", content_type: bytes = JSON, fields: Fields = ()) -> None:
    """One whole answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *fields],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes | bytearray:
    """The whole body. `web.app` has bounded it. Raises ClientGone."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        found: bytes = message.get("body", b"")
        return found
    body = bytearray()
    while message["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body
        message = await receive()
    raise ClientGone
