"""The HTTP client against a server of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from postroad.adapters.http import AioHttpClient
from postroad.ports.http import HttpFailed

OK = b"HTTP/1.1 200 OK\r\nX-Said: Yes\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers every request by the same octets; notes what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0
                )
                self.asked.append(head + await reader.readexactly(length))
                if not self.answer:
                    await reader.read()
                    return
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/x"


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[tuple[Server, AioHttpClient]]:
    server, client = Server(answer), AioHttpClient()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server, client
    finally:
        await client.close()
        listening.close()
        await listening.wait_closed()


async def test_a_question_and_its_answer():
    async with serving(OK) as (server, client):
        answer = await client.request("POST", server.url, headers=[("A", "1"), ("A", "2")], body=b"text", timeout=5)
        assert (answer.status, answer.headers["x-said"], answer.body) == (200, "Yes", b"hi")
        assert server.asked[0].startswith(b"POST /x HTTP/1.1\r\n")
        assert b"A: 1\r\nA: 2\r\n" in server.asked[0]
        assert server.asked[0].endswith(b"\r\n\r\ntext")
        await client.request("GET", server.url, timeout=5)
        assert server.connections == 1


async def test_a_body_in_pieces():
    async def pieces() -> AsyncIterator[bytes]:
        yield b"te"
        yield b"xt"

    async with serving(OK) as (server, client):
        await client.request("POST", server.url, headers={"Content-Length": "4"}, body=pieces(), timeout=5)
        assert server.asked[0].endswith(b"\r\n\r\ntext")


async def test_a_redirect_is_an_answer():
    async with serving(b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n") as (server, client):
        assert (await client.request("GET", server.url, timeout=5)).status == 302
        assert len(server.asked) == 1


@pytest.mark.parametrize(("size", "is_fine"), [(2, True), (1, False)])
async def test_a_long_answer_is_none(size: int, is_fine: bool):
    async with serving(OK) as (server, client):
        asking = client.request("GET", server.url, timeout=5, max_answer=size)
        if is_fine:
            assert (await asking).body == b"hi"
        else:
            with pytest.raises(HttpFailed, match="longer than 1 octets"):
                await asking


@pytest.mark.parametrize(("answer", "words"), [(b"", "no answer within"), (b"no HTTP\r\n\r\n", "HTTP|status")])
async def test_what_is_no_answer(answer: bytes, words: str):
    async with serving(answer) as (server, client):
        with pytest.raises(HttpFailed, match=words):
            await client.request("GET", server.url, timeout=0.2)


async def test_nobody_there():
    client = AioHttpClient()
    with pytest.raises(HttpFailed):
        await client.request("GET", "http://127.0.0.1:1/", timeout=5)
    await client.close()


async def test_no_address():
    client = AioHttpClient()
    with pytest.raises(HttpFailed):
        await client.request("GET", "ftp:nowhere", timeout=5)
    await client.close()
