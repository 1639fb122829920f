"""One HTTP connection: uvicorn's protocol (httptools parses, ASGI answers) with our door, limits and patience around.

Time is looked at once a second by the server's `tick`, not by a timer for each request: a request costs two
assignments, and a slow client (slowloris) is still found within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from postroad.config.schema import Http
from postroad.ports.net import Endpoint

if TYPE_CHECKING:
    from postroad.app.http import HttpServer

LINGER = 5.0  # seconds in which a body that nobody wants is read away
LINGER_BYTES = 64 * 1024 * 1024
BODY_RATE = 4096  # octets that earn one more second
MAX_PIPELINED = 32  # requests sent before their turn; browsers and clients send none


class Phase(Enum):
    """What the client is to do next."""

    HEAD = 0  # send a request's line and fields
    BODY = 1  # send the rest of its body
    DONE = 2  # wait for our answer, or rest


class Unacceptable(Exception):  # noqa: N818
    """Raised inside a parser's callback: the request goes over a limit."""


class HttpConnection(HttpToolsProtocol):
    """Made by its server, which is asked to admit it when it begins (with TLS: before)."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server.config, server.state, {}, server.loop)
        self._limits: Http = server.limits
        self._server = server
        self._leave: Callable[[], None] | None = None
        self.peer = Endpoint("", 0)
        self._phase = Phase.HEAD
        self._since = 0.0  # when the phase began
        self._received = 0  # of the body
        self._fields = self._head_size = self._hosts = 0
        self._steps = self._quiet = 0  # parser callbacks; octets since the last of them
        self._stuck = self._closing = 0.0  # since when: the client does not read; the transport is closing
        self._refusal = 400
        self._is_deaf = self._is_last = False

    # -- the transport -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self.peer = Endpoint(*self.client) if self.client else Endpoint("unix", 0)
        self._since = self._server.taken()
        if self._leave is None:
            leave = self._server.admit(self)
            if leave is None:
                self._end_with(503)
            else:
                self.let_in(leave)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.leave()
        self._server.left()

    def let_in(self, leave: Callable[[], None]) -> None:
        """Admitted: `leave` is to be called at the end."""
        self._leave = leave

    def leave(self) -> None:
        """Tell the doorman, once."""
        leave, self._leave = self._leave, None
        if leave:
            leave()

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._drain(len(data))
            return
        if self._phase is Phase.DONE:  # bytes of the next request, or empty lines before it
            self._phase, self._since = Phase.HEAD, self._server.now
        before = self._steps
        super().data_received(data)
        if self._steps != before:
            self._quiet = 0
            return
        self._quiet += len(data)  # one endless field, in the head or behind a chunked body
        if self._quiet > self._limits.max_header_size:
            self._refuse(431)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self._server.now

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck = 0.0

    # -- the parser --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._steps += 1
        self._phase, self._since = Phase.HEAD, self._server.now
        self._fields = self._head_size = self._hosts = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head_size += len(url)
        if self._head_size > self._limits.max_header_size:
            self._over(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._steps += 1
        self._fields += 1
        self._head_size += len(name) + len(value)
        if self._fields > self._limits.max_header_fields or self._head_size > self._limits.max_header_size:
            self._over(431)
        self._hosts += name.lower() == b"host"
        if self._phase is Phase.HEAD:  # fields behind a chunked body come too late to mean anything
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._steps += 1
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            self._over(400)  # RFC 9112 §3.2: two readers might take two different ones
        self._phase, self._since, self._received = Phase.BODY, self._server.now, 0
        super().on_headers_complete()
        if self.expect_100_continue:  # whether the body follows an early answer is the client's secret
            self.cycle.keep_alive = False
        if not self.cycle.keep_alive:
            self.cycle.transport = cast(asyncio.Transport, _LastAnswer(self))
        if len(self.pipeline) > MAX_PIPELINED:
            self._over(429)

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        self._received += len(body)
        if self.cycle.response_complete:
            self._drain(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._steps += 1
        self._phase = Phase.DONE
        super().on_message_complete()
        if self._is_last:
            self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._phase is Phase.BODY and not self.transport.is_closing():
            self._since, self._received = self._server.now, 0  # from here on it is only read away

    @property
    def _asked(self) -> RequestResponseCycle | None:
        """The latest request, if there was one; uvicorn's own annotation does not say that there may be none."""
        return self.cycle

    # -- saying no ---------------------------------------------------------------------------------------------

    def _over(self, status: int) -> None:
        """Inside a callback: stop the parser, which then has `send_400_response` called."""
        self._refusal = status
        raise Unacceptable

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - our own words
        self._refuse(self._refusal)

    def _refuse(self, status: int) -> None:
        """The request that is arriving cannot be taken; those before it still get their answers."""
        cycle = self._asked
        is_current = self._phase is Phase.BODY and not self.pipeline
        if cycle is None or cycle.response_complete or (is_current and not cycle.response_started):
            self._end_with(status)
        elif self._phase is Phase.HEAD:
            cycle.keep_alive = False
            self._is_deaf = True
        else:
            self.transport.abort()

    def _end_with(self, status: int) -> None:
        """An answer without asking the application; then the connection ends, when the client has had time to read."""
        if self.transport.is_closing():
            return
        text = f"{status} {HTTPStatus(status).phrase}\n".encode()
        head = [b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())]
        fields = (*self.server_state.default_headers, *_PLAIN, (b"content-length", b"%d" % len(text)))
        head += [b"%s: %s\r\n" % field for field in fields]
        self.transport.write(b"".join([*head, b"\r\n", text]))
        self._is_deaf, self._phase, self._since = True, Phase.DONE, self._server.now
        cycle = self._asked
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _drain(self, octets: int) -> None:
        self._received += octets
        if self._received > LINGER_BYTES:
            self.transport.abort()

    def finish(self) -> None:
        """The last answer is written: close, but not over a body that the client is still sending. That would reset
        the connection and take the answer from it (RFC 9112 §9.6)."""
        if self._phase is Phase.BODY and not self.transport.is_closing():
            self._is_last = True
        else:
            self.transport.close()

    # -- time --------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Once a second: has the client had its time?"""
        if self.transport.is_closing():
            self._closing = self._closing or now
            if now - self._closing > self._limits.write_timeout:
                self.transport.abort()
        elif (self._stuck and now - self._stuck > self._limits.write_timeout) or (
            self._is_deaf and now - self._since > LINGER
        ):
            self.transport.abort()
        elif self._phase is Phase.HEAD:
            self._tick_head(now)
        elif self._phase is Phase.BODY:
            self._tick_body(now)

    def _tick_head(self, now: float) -> None:
        if self._asked is not None and not self._asked.response_complete:
            return  # sent before its turn: its time begins with the turn
        if now - self._since <= self._limits.header_timeout:
            return
        if self._steps:
            self._end_with(408)
        else:
            self.transport.close()

    def _tick_body(self, now: float) -> None:
        if self.flow.read_paused:  # it is we who let it wait
            self._since = now
        elif self.cycle.response_complete:
            if now - self._since > LINGER:
                self.transport.abort()
        elif now - self._since > self._limits.body_timeout + self._received / BODY_RATE:
            self._refuse(408)


class _LastAnswer:
    """The transport as a connection's last request sees it: closing may have to wait."""

    __slots__ = ("_connection",)

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def close(self) -> None:
        self._connection.finish()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)


_PLAIN = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
    (b"connection", b"close"),
)
