"""Before any front end: which one answers, security fields, bodies that are too long, mistakes of ours, the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from postroad.adapters.ids import NodeIds
from postroad.app.http import HttpServer
from postroad.config.schema import Http
from postroad.ports.net import Endpoint
from postroad.web.app import SECURITY, WebApplication
from postroad.web.fronts import Failure, Front, page, plain, postmark, problem
from postroad.web.wire import Receive, Scope, Send, read_body, respond

HTTP = Http(max_body_size=1000, max_email_size=1_000_000, body_memory=2_000_000)
SCRIPT = b"default-src 'none'; script-src 'self'"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive)
    await respond(send, 200, f"{scope['path']} {len(body)} {scope['scheme']} {scope['client'][0]}".encode())


def saying(word: str) -> Any:
    async def say(_: Scope, __: Receive, send: Send) -> None:
        await respond(send, 200, word.encode(), fields=((b"content-security-policy", SCRIPT),))

    return say


def application(rest: Any = echo, console: Any = None, http: Http = HTTP) -> WebApplication:
    fronts = {
        "api": Front(saying("api"), problem, 1000),
        "console": Front(console or saying("console"), page, 1000, overrides=True),
    }
    return WebApplication(
        fronts, Front(rest, postmark, 1000, {"/email": http.max_email_size}), http=http, ids=NodeIds(1)
    )


@asynccontextmanager
async def client_of(app: WebApplication, base: str = "http://x.test", peer: str = "192.0.2.1") -> AsyncIterator[Any]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield client


class TestWhoAnswers:
    async def test_the_first_word_decides(self) -> None:
        async with client_of(application()) as client:
            for path, said in (
                ("/api", "api"),
                ("/API/v1/domains", "api"),
                ("/console/", "console"),
                ("/console", "console"),
                ("/consoles", "/consoles"),
                ("http://x.test//email", "//email"),
                ("/email/console", "/email/console"),
                ("/", "/"),
            ):
                assert (await client.get(path)).text.split(" ")[0] == said, path

    async def test_browsers_are_sent_to_the_console(self) -> None:
        async with client_of(application()) as client:
            answer = await client.get("/", headers={"accept": "text/html,*/*"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
            assert (await client.get("/", headers={"accept": "application/json"})).status_code == 200


class TestSecurityFields:
    async def test_every_answer_has_them(self) -> None:
        async with client_of(application()) as client:
            for path in ("/email", "/console/", "/"):
                answer = await client.get(path)
                assert {name.decode() for name, _ in SECURITY} <= set(answer.headers)

    async def test_the_console_s_own_win_and_others_add_none(self) -> None:
        async with client_of(application()) as client:
            assert (await client.get("/console/")).headers["content-security-policy"] == SCRIPT.decode()
            assert "default-src 'none'; frame-ancestors 'none'" in (await client.get("/api")).headers[
                "content-security-policy"
            ].split(", ")

    async def test_hsts_where_it_is_asked_for_and_on_https_alone(self) -> None:
        app = application(http=Http(hsts=3600))
        for base, has in (("http://x.test", False), ("https://x.test", True)):
            async with client_of(app, base) as client:
                assert ("strict-transport-security" in (await client.get("/api")).headers) is has


class TestBodies:
    @pytest.mark.parametrize(
        ("path", "size", "status"),
        [
            ("/any", 1000, 200),
            ("/email", 1_000_000, 200),
            ("/EMAIL/", 1_000_000, 200),
            ("http://x.test//email", 1_000_000, 200),
            ("/any", 1001, 413),
            ("/email", 1_000_001, 413),
            ("/any", 300_000, 413),
        ],
    )
    async def test_both_sides_of_the_edge(self, path: str, size: int, status: int) -> None:
        async with client_of(application()) as client:
            answer = await client.post(path, content=b"x" * size)
            assert answer.status_code == status
            chunked = await client.post(path, content=pieces(size))
            assert chunked.status_code == status

    async def test_refused_in_the_front_end_s_own_shape(self) -> None:
        body = b"x" * 1_500_000
        async with client_of(application()) as client:
            assert "ErrorCode" in (await client.post("/email", content=body)).json()
            answer = await client.post("/api/v1/domains", content=body)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == 413
            assert "<h1>" in (await client.post("/console/", content=body)).text

    async def test_a_starlette_form_is_bounded_too(self) -> None:
        async def form(request: Request) -> Response:
            await request.form()
            return PlainTextResponse("taken")

        console = Starlette(routes=[Route("/console/", form, methods=["POST"])])
        async with client_of(application(console=console)) as client:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            assert (await client.post("/console/", content=pieces(500), headers=headers)).text == "taken"
            assert (await client.post("/console/", content=pieces(5000), headers=headers)).status_code == 413

    async def test_large_bodies_take_turns_and_the_last_is_told_to_come_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go = asyncio.Event()
        inside = 0

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal inside
            await read_body(receive)
            inside += 1
            await go.wait()
            await echo(scope, _nothing_more, send)

        app = application(slow)
        async with client_of(app) as client:
            requests = [asyncio.create_task(client.post("/email", content=b"x" * 900_000)) for _ in range(3)]
            while inside < 2:
                await asyncio.sleep(0)
            for _ in range(50):
                await asyncio.sleep(0)
            assert inside == 2
            monkeypatch.setattr(app._room, "_patience", 0.01)
            busy = await client.post("/email", content=b"x" * 900_000)
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "10")
            go.set()
            assert [(await request).status_code for request in requests] == [200, 200, 200]
        assert app._room._free == HTTP.body_memory

    async def test_a_body_is_in_memory_once(self) -> None:
        """50 MB by a real connection: the body itself, and the pieces that are on their way."""
        size, peak = 50 << 20, 0

        async def weigh(_: Scope, receive: Receive, send: Send) -> None:
            nonlocal peak
            body = await read_body(receive)
            peak = tracemalloc.get_traced_memory()[1] // len(body)
            await respond(send, 200, b"%d" % len(body))

        http = Http(max_email_size=size)
        server = HttpServer(application(weigh, http=http), Endpoint("127.0.0.1", 0), limits=http)
        await server.start()
        reader, writer = await asyncio.open_connection(server.endpoint.host, server.endpoint.port)
        piece = b"x" * 65536
        tracemalloc.start()
        try:
            writer.write(b"POST /email HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(piece)):
                writer.write(piece)
                await writer.drain()
            answer = await reader.readuntil(b"%d" % size)
        finally:
            tracemalloc.stop()
            writer.close()
            await server.close()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert peak < 2


class TestMistakes:
    @pytest.mark.parametrize(("path", "shape"), [("/any", "ErrorCode"), ("/console/", "<h1>")])
    async def test_a_bug_is_a_clean_500_and_one_line_in_the_log(
        self, path: str, shape: str, lines: list[dict[str, Any]]
    ) -> None:
        async def broken(*_: Any) -> None:
            raise RuntimeError("oops")

        async with client_of(application(broken, console=broken)) as client:
            answer = await client.get(path)
        assert answer.status_code == 500
        assert shape in answer.text
        assert "oops" not in answer.text
        (line,) = lines
        assert line["reference"] in answer.text
        assert line["path"] == path

    async def test_starlette_s_own_500_gives_way(self, lines: list[dict[str, Any]]) -> None:
        async def broken(_: Request) -> Response:
            raise RuntimeError("oops")

        async with client_of(application(console=Starlette(routes=[Route("/console/", broken)]))) as client:
            answer = await client.get("/console/")
        assert "<h1>Internal Server Error</h1>" in answer.text
        assert len(lines) == 1

    async def test_a_500_that_was_meant_stays(self) -> None:
        async def meant(_: Scope, __: Receive, send: Send) -> None:
            await respond(send, 500, b"meant")

        async with client_of(application(meant)) as client:
            assert (await client.get("/any")).text == "meant"

    async def test_an_answer_that_has_begun_breaks_off(self, lines: list[dict[str, Any]]) -> None:
        async def half(_: Scope, __: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
            raise RuntimeError("oops")

        server = HttpServer(application(half), Endpoint("127.0.0.1", 0))
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://{server.endpoint}") as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get("/any")
        await server.close()
        assert len(lines) == 1

    async def test_a_client_that_leaves_is_no_mistake(self, lines: list[dict[str, Any]]) -> None:
        async def gone() -> dict[str, str]:
            return {"type": "http.disconnect"}

        sent: list[Any] = []
        scope = {"type": "http", "method": "POST", "path": "/x", "scheme": "http", "client": ("::1", 1), "headers": []}
        await application()(scope, gone, sent.append)  # type: ignore[arg-type]
        assert sent == lines == []


async def test_streams_of_events_end_with_the_node() -> None:
    async def events(_: Request) -> Response:
        async def endless() -> AsyncIterator[str]:
            yield "data: one\n\n"
            await asyncio.Event().wait()

        return StreamingResponse(endless(), media_type="text/event-stream")

    app = application(console=Starlette(routes=[Route("/console/live", events)]))
    server = HttpServer(app, Endpoint("127.0.0.1", 0))
    await server.start()
    reader, writer = await asyncio.open_connection(server.endpoint.host, server.endpoint.port)
    writer.write(b"GET /console/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"text/event-stream" in await reader.readuntil(b"one\n\n")
    app.close()
    await server.close(grace=60)
    assert (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()


class TestProxies:
    @pytest.mark.parametrize(
        ("peer", "said", "client", "scheme"),
        [
            ("10.0.0.1", "203.0.113.9", "203.0.113.9", "https"),
            ("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.7", "203.0.113.9", "https"),
            ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9", "https"),
            ("10.0.0.1", "[2001:db8::9]:4711", "2001:db8::9", "https"),
            ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1", "https"),
            ("192.0.2.1", "203.0.113.9", "192.0.2.1", "http"),
        ],
    )
    async def test_known_ones_are_believed(self, peer: str, said: str, client: str, scheme: str) -> None:
        app = application(http=Http(trusted_proxies=("10.0.0.0/8",)))
        headers = {"x-forwarded-for": said, "x-forwarded-proto": "https"}
        async with client_of(app, peer=peer) as asking:
            assert (await asking.get("/x", headers=headers)).text.split(" ")[2:] == [scheme, client]

    async def test_nobody_is_where_none_is_named(self) -> None:
        async with client_of(application(), peer="127.0.0.1") as client:
            answer = await client.get("/x", headers={"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"})
            assert answer.text.split(" ")[2:] == ["http", "127.0.0.1"]


async def test_a_unix_socket_s_peer_has_an_empty_address() -> None:
    async with client_of(application(), peer="") as client:
        client._transport.client = None
        assert (await client.get("/x")).text.split(" ")[2:] == ["http", ""]
        assert (await client.get("/x", headers={"x-forwarded-for": "203.0.113.9"})).text.endswith("203.0.113.9")


def test_metrics_alone_bring_no_templates() -> None:
    check = "import sys, postroad.app.web; sys.exit(bool({'jinja2', 'webauthn', 'nh3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_shapes_say_the_reference() -> None:
    shapes: list[Callable[[int, str], Failure]] = [plain, problem, postmark, page]
    for shape in shapes:
        assert b"03fbgd4de0400" in shape(500, "03fbgd4de0400").body


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A body in chunks, of no announced length."""
    for start in range(0, size, 65536):
        yield b"x" * min(65536, size - start)


async def _nothing_more() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}
