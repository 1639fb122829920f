"""A web server for policies of MTA-STS: HTTPS on loopback, one answer for each host."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from pathlib import Path
from typing import NamedTuple

MAX_REQUEST = 8192
PATH = "/.well-known/mta-sts.txt"


class Page(NamedTuple):
    """An answer."""

    body: str
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    location: str = ""


class PolicyServer:
    """`pages` by host name. Whoever asks for another gets 404."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: Counter[str] = Counter()
        self.port = 0
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._server: asyncio.Server | None = None

    async def start(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self._server = await asyncio.start_server(self._answer, address, port, ssl=self._context, limit=MAX_REQUEST)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            writer.write(self._response(request))
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    def _response(self, request: str) -> bytes:
        line, *fields = request.split("\r\n")
        hosts = [field.partition(":")[2].strip() for field in fields if field.lower().startswith("host:")]
        host = hosts[0].partition(":")[0] if hosts else ""
        self.asked[host] += 1
        page = self.pages.get(host) if line.split(" ")[1:2] == [PATH] else None
        page = page or Page("not here", 404)
        body = page.body.encode()
        head = f"HTTP/1.1 {page.status} -\r\nContent-Type: {page.content_type}\r\nContent-Length: {len(body)}\r\n"
        head += f"Location: {page.location}\r\n" if page.location else ""
        return head.encode() + b"Connection: close\r\n\r\n" + body


def policy(mode: str, *mx: str, max_age: int = 86400) -> str:
    """The text of one."""
    return "".join(
        ("version: STSv1\r\n", f"mode: {mode}\r\n", *(f"mx: {one}\r\n" for one in mx), f"max_age: {max_age}\r\n")
    )
