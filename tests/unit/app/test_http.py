"""The HTTP listener: what a client may cost, how it is told no, how it ends. Time is what `tick` is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from postroad.adapters.net.listen import Doorman
from postroad.adapters.net.webtls import WebTls
from postroad.app import http_connection
from postroad.app.http import HttpServer
from postroad.app.http_connection import LINGER, MAX_PIPELINED
from postroad.config.schema import Http
from postroad.ports.net import Endpoint
from postroad.testing.network import write_certificate
from postroad.testing.site import trusting
from postroad.web.wire import Receive, Scope, Send, read_body, respond

SMALL = Http(
    header_timeout=10, body_timeout=20, write_timeout=30, max_header_size=4096, max_header_fields=20, idle_timeout=60
)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what was asked, and how long the body was."""
    body = await read_body(receive)
    await respond(send, 200, f"{scope['method']} {scope['path']} {len(body)}\n".encode())


async def deaf(_: Scope, __: Receive, send: Send) -> None:
    """Answers without reading the body."""
    await respond(send, 413, b"no\n")


@asynccontextmanager
async def serving(
    app: Callable[..., Awaitable[None]] = echo, *, where: str = "127.0.0.1", **options: Any
) -> AsyncIterator[HttpServer]:
    server = HttpServer(app, Endpoint(where, 0), **{"limits": SMALL, **options})
    await server.start()
    try:
        yield server
    finally:
        await server.close()


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def answer(self) -> tuple[int, bytes]:
        """(status, body) of the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """All until the connection ends; a reset is an end too."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def seen(self, server: HttpServer) -> None:
        """What was sent has reached the server's parser."""
        await self.writer.drain()
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def connected(server: HttpServer, tls: ssl.SSLContext | None = None, name: str = "") -> AsyncIterator[Client]:
    where = server.endpoint
    if not where.port:
        reader, writer = await asyncio.open_unix_connection(where.host)
    else:
        reader, writer = await asyncio.open_connection(where.host, where.port, ssl=tls, server_hostname=name or None)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


def post(length: int, *fields: str) -> bytes:
    lines = ["POST /x HTTP/1.1", "Host: x", f"Content-Length: {length}", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


# --- answering --------------------------------------------------------------------------------------------------------


async def test_requests_follow_one_another_on_one_connection() -> None:
    async with serving() as server, connected(server) as client:
        client.send(GET)
        assert await client.answer() == (200, b"GET / 0\n")
        client.send(post(5), b"hello")
        assert await client.answer() == (200, b"POST /x 5\n")
        client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = await client.rest()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-length: 9\r\n" in head
        assert head.endswith(b"connection: close\r\n\r\n")


async def test_pipelined_requests_are_answered_in_order_up_to_a_bound() -> None:
    async with serving() as server, connected(server) as client:
        client.send(*[b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(MAX_PIPELINED)])
        for number in range(MAX_PIPELINED):
            assert await client.answer() == (200, b"GET /%d 0\n" % number)
        client.send(GET * (MAX_PIPELINED + 5))
        assert (await client.rest()).count(b"200 OK") <= MAX_PIPELINED + 2


async def test_an_upgrade_is_answered_as_if_it_had_not_been_offered() -> None:
    async with serving() as server, connected(server) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert await client.answer() == (200, b"GET / 0\n")


async def test_small_answers_are_sent_at_once(tmp_path: Path) -> None:
    tls = WebTls(*write_certificate(tmp_path, "127.0.0.1"))
    for options, context in (({}, None), ({"tls": tls}, trusting())):
        async with serving(**options) as server, connected(server, context, "127.0.0.1" if context else "") as client:
            client.send(GET)
            await client.answer()
            (connection,) = server.state.connections
            taken = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_unix_socket_serves_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "http"
    async with serving(where=str(path)) as server, connected(server) as client:
        client.send(GET)
        assert await client.answer() == (200, b"GET / 0\n")
    assert not path.exists()


@pytest.mark.parametrize(
    "nonsense",
    [b"\x16\x03\x01\x02\x00\x01", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
     b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"],
)  # fmt: skip
async def test_what_is_no_request_gets_400_and_the_end(nonsense: bytes) -> None:
    async with serving() as server, connected(server) as client:
        client.send(nonsense)
        assert (await client.rest()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHOST: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    ],
)
async def test_a_request_names_one_host(head: bytes, status: int) -> None:
    async with serving() as server, connected(server) as client:
        client.send(head)
        assert (await client.answer())[0] == status


async def test_nonsense_behind_a_good_request_does_not_take_its_answer() -> None:
    async with serving() as server, connected(server) as client:
        client.send(GET, b"nonsense\r\n\r\n")
        said = await client.rest()
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"GET / 0\n" in said


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"x" * 4000 + b" HTTP/1.0\r\n\r\n", 200),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.0\r\n\r\n", 414),
        (b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 20 + b"\r\n", 200),
        (b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 21 + b"\r\n", 431),
        (b"GET / HTTP/1.0\r\na: " + b"x" * 4090 + b"\r\n\r\n", 200),
        (b"GET / HTTP/1.0\r\na: " + b"x" * 4096 + b"\r\n\r\n", 431),
    ],
)
async def test_the_head_is_bounded_on_both_sides_of_the_edge(head: bytes, status: int) -> None:
    async with serving() as server, connected(server) as client:
        client.send(head)
        assert (await client.answer())[0] == status


async def test_an_endless_field_is_noticed_before_it_ends() -> None:
    async with serving() as server, connected(server) as client:
        client.send(b"GET / HTTP/1.1\r\na: ")
        for _ in range(4):
            client.send(b"x" * 2000)
            await client.seen(server)
        assert (await client.answer())[0] == 431


async def test_fields_behind_a_chunked_body_count_and_mean_nothing() -> None:
    async def fields(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await respond(send, 200, b" ".join(name for name, _ in scope["headers"]))

    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    async with serving(fields) as server:
        async with connected(server) as client:
            client.send(head, b"more: 7\r\n\r\n")
            assert await client.answer() == (200, b"host transfer-encoding")
        async with connected(server) as client:
            client.send(head, b"a: b\r\n" * 30, b"\r\n")
            assert (await client.answer())[0] == 431


async def test_the_doorman_turns_away_and_lets_in_again() -> None:
    doorman = Doorman(total=1, per_client=1)
    async with serving(doorman=doorman) as server:
        async with connected(server) as first:
            first.send(GET)
            await first.answer()
            async with connected(server) as second:
                assert (await second.rest()).startswith(b"HTTP/1.1 503 ")
            assert doorman.count == 1
            first.writer.close()
            await first.rest()
        async with connected(server) as third:
            third.send(GET)
            assert (await third.answer())[0] == 200
    assert doorman.count == 0


# --- answers before the body ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [(), ("Connection: close",)])
async def test_an_early_answer_reaches_a_client_that_still_sends(fields: tuple[str, ...]) -> None:
    size = 8 * 1024 * 1024
    async with serving(deaf) as server, connected(server) as client:
        client.send(post(size, *fields))
        client.send(b"x" * size)
        assert await client.answer() == (413, b"no\n")
        await client.writer.drain()
        if fields:
            assert await client.rest() == b""
        else:
            client.send(GET)
            assert await client.answer() == (413, b"no\n")


async def test_a_body_that_nobody_wants_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(deaf) as server:
        async with connected(server) as client:
            client.send(post(1000), b"some")
            await client.answer()
            server.tick(LINGER - 1)
            client.send(b"more")
            await client.seen(server)
            assert server.state.connections
            server.tick(LINGER + 1)
            assert await client.rest() == b""
        monkeypatch.setattr(http_connection, "LINGER_BYTES", 1000)
        async with connected(server) as client:
            client.send(post(1 << 20), b"x" * 5000)
            await client.answer()
            client.send(b"x" * 5000)
            assert await client.rest() == b""


async def test_who_waits_for_100_continue_gets_it_or_the_refusal() -> None:
    async with serving() as server, connected(server) as client:
        client.send(post(5, "Expect: 100-continue"))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        assert await client.answer() == (200, b"POST /x 5\n")
    async with serving(deaf) as server, connected(server) as client:
        client.send(post(5, "Expect: 100-continue"))
        assert await client.answer() == (413, b"no\n")
        server.tick(LINGER + 1)
        assert await client.rest() == b""


# --- slow clients -----------------------------------------------------------------------------------------------------


async def test_a_slow_head_gets_408_and_silence_just_the_end() -> None:
    async with serving() as server, connected(server) as slow, connected(server) as silent:
        slow.send(b"GET / HTTP/1.1\r\nHost:")
        await slow.seen(server)
        server.tick(SMALL.header_timeout - 1)
        slow.send(b" x")
        await slow.seen(server)
        server.tick(SMALL.header_timeout + 1)
        assert (await slow.rest()).startswith(b"HTTP/1.1 408 ")
        assert await silent.rest() == b""


async def test_empty_lines_do_not_keep_a_connection() -> None:
    async with serving() as server, connected(server) as client:
        client.send(GET)
        await client.answer()
        client.send(b"\r\n")
        await client.seen(server)
        server.tick(SMALL.header_timeout + 1)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_a_resting_connection_ends_by_itself() -> None:
    async with serving(limits=Http(idle_timeout=0.01)) as server, connected(server) as client:
        client.send(GET)
        await client.answer()
        assert await client.rest() == b""


async def test_a_slow_body_gets_408_unless_much_of_it_came() -> None:
    async with serving() as server, connected(server) as slow, connected(server) as busy:
        slow.send(post(100_000), b"x" * 10)
        busy.send(post(100_000), b"x" * 50_000)
        await slow.seen(server)
        await busy.seen(server)
        server.tick(SMALL.body_timeout + 1)
        assert (await slow.rest()).startswith(b"HTTP/1.1 408 ")
        busy.send(b"x" * 50_000)
        assert await busy.answer() == (200, b"POST /x 100000\n")


async def test_a_body_that_we_let_wait_is_not_slow() -> None:
    go = asyncio.Event()

    async def later(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with serving(later) as server, connected(server) as client:
        client.send(post(300_000), b"x" * 200_000)
        while not any(connection.flow.read_paused for connection in server.state.connections):  # type: ignore[union-attr]
            await asyncio.sleep(0)
        server.tick(1000)
        go.set()
        client.send(b"x" * 100_000)
        assert await client.answer() == (200, b"POST /x 300000\n")


async def test_a_client_that_does_not_read_is_cut() -> None:
    async def flood(_: Scope, __: Receive, send: Send) -> None:
        await respond(send, 200, b"x" * (64 << 20))

    async with serving(flood) as server, connected(server) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(GET)
        while not any(connection.flow.write_paused for connection in server.state.connections):  # type: ignore[union-attr]
            await asyncio.sleep(0)
        server.tick(SMALL.write_timeout - 1)
        assert server.state.connections
        server.tick(SMALL.write_timeout + 1)
        while server.state.connections:
            await asyncio.sleep(0)


async def test_nobody_looks_at_the_clock_while_nobody_calls() -> None:
    async with serving() as server:
        assert server._timer is None
        async with connected(server) as client:
            client.send(GET)
            await client.answer()
            assert server._timer
            client.writer.close()
        while server.state.connections:
            await asyncio.sleep(0)
        server.tick()
        assert server._timer is None


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_closing_lets_an_answer_finish_and_ends_what_hangs() -> None:
    begun, go, cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await (go.wait() if scope["path"] == "/" else asyncio.Event().wait())
        except asyncio.CancelledError:
            cancelled.set()
            raise
        await echo(scope, receive, send)

    server = HttpServer(slow, Endpoint("127.0.0.1", 0), limits=SMALL)
    await server.start()
    async with connected(server) as client, connected(server) as hanging, connected(server) as resting:
        hanging.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        begun.clear()
        client.send(GET)
        await begun.wait()
        closing = asyncio.create_task(server.close(grace=0.05))
        assert await resting.rest() == b""
        go.set()
        assert await client.answer() == (200, b"GET / 0\n")
        await closing
        assert cancelled.is_set()
        await hanging.rest()
    assert not server.state.connections


# --- TLS --------------------------------------------------------------------------------------------------------------


def certificate_of(client: Client) -> bytes:
    found: bytes = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return found


async def test_tls_is_modern_and_reloads_for_new_connections(tmp_path: Path) -> None:
    old = write_certificate(tmp_path, "127.0.0.1", "mail.example.test")
    (tmp_path / "new").mkdir()
    new = write_certificate(tmp_path / "new", "mail.example.test", "127.0.0.1")
    tls = WebTls(*old)
    async with serving(tls=tls) as server:
        async with connected(server, trusting(), "127.0.0.1") as client:
            before = certificate_of(client)
            tls.reload(*new)
            client.send(GET)
            assert (await client.answer())[0] == 200
        for name in ("127.0.0.1", "mail.example.test"):  # without a server name in the ClientHello, and with one
            async with connected(server, trusting(), name) as client:
                assert certificate_of(client) != before
                assert client.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        with pytest.raises(ValueError, match=r"cert\.pem"):
            tls.reload(old[1], old[0])
        async with connected(server, trusting(), "127.0.0.1") as client:
            client.send(GET)
            assert (await client.answer())[0] == 200


async def test_an_old_tls_is_refused(tmp_path: Path) -> None:
    tls = WebTls(*write_certificate(tmp_path, "127.0.0.1"))
    ancient = trusting()
    ancient.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        ancient.minimum_version = ancient.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(tls=tls) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connected(server, ancient, "127.0.0.1"):
                pass


async def test_a_handshake_that_does_not_come_is_bounded(tmp_path: Path) -> None:
    tls = WebTls(*write_certificate(tmp_path, "127.0.0.1"))
    doorman = Doorman(total=2, per_client=2)
    async with serving(tls=tls, doorman=doorman, limits=Http(header_timeout=0.05)) as server:
        async with connected(server) as silent, connected(server) as wrong:
            wrong.send(b"GET / HTTP/1.1\r\n\r\n")
            await wrong.rest()
            assert await silent.rest() == b""
        while doorman.count:
            await asyncio.sleep(0)
        async with connected(server, trusting(), "127.0.0.1") as client:
            client.send(GET)
            assert (await client.answer())[0] == 200


async def test_the_doorman_is_asked_before_the_handshake(tmp_path: Path) -> None:
    tls = WebTls(*write_certificate(tmp_path, "127.0.0.1"))
    async with serving(tls=tls, doorman=Doorman(total=0, per_client=0)) as server:
        async with connected(server) as client:
            assert await client.rest() == b""
