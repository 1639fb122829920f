"""HTTP listeners: uvicorn's protocol inside the node's own loop. No signals, no threads, no timer while nobody calls.

`HttpServer` owns its socket and connections, `http_connection` what one client may cost. Import this module only where
there is something to serve: uvicorn comes with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.server import ServerState

from postroad.adapters.net.driver import endpoint_of
from postroad.adapters.net.listen import BACKLOG, Doorman
from postroad.app.http_connection import LINGER, HttpConnection
from postroad.config.schema import Http
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.net import Endpoint

if TYPE_CHECKING:
    from postroad.adapters.net.webtls import WebTls

Asgi = Callable[..., Any]  # the three-argument application that uvicorn runs
TICK = 1.0  # seconds between two looks at the clients' patience

_log = log.get("http")


class HttpServer:
    """One HTTP or HTTPS listener: `start`, then `close`. `endpoint` is where it really listens."""

    def __init__(
        self,
        app: Asgi,
        endpoint: Endpoint,
        *,
        limits: Http | None = None,
        tls: WebTls | None = None,
        doorman: Doorman | None = None,
        service: str = "http",
    ) -> None:
        self.endpoint = endpoint
        self.limits = limits or Http()
        self.config = _configuration(app, self.limits)
        self.state = ServerState()
        self.now = 0.0  # the loop's time, at most a tick old
        self.loop = asyncio.get_running_loop()
        self._tls = tls
        self._doorman = doorman
        self._service = service
        self._server: asyncio.AbstractServer | None = None
        self._socket: socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()  # taking connections, shaking hands
        self._timer: asyncio.TimerHandle | None = None
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def start(self) -> None:
        """Returns when it answers. Raises OSError."""
        path = self.endpoint.host
        if path.startswith("/"):
            self._server = await self.loop.create_unix_server(self._connection, path, backlog=BACKLOG)
            return
        listening = _bind(self.endpoint)
        self.endpoint = endpoint_of(listening.getsockname())
        if self._tls is None:
            self._server = await self.loop.create_server(self._connection, sock=listening, backlog=BACKLOG)
            return
        listening.listen(BACKLOG)
        self._socket = listening
        self._run(self._take_connections(listening))

    async def close(self, grace: float = LINGER) -> None:
        """Take no more connections, answer what was asked, end the rest after `grace` seconds."""
        await self._stop_listening()
        for connection in self._connections():
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(self.state.tasks, timeout=grace)
        for task in list(self.state.tasks):
            task.cancel()
        if self.state.tasks:
            await asyncio.wait(self.state.tasks)
        for connection in self._connections():
            connection.transport.close()
        await self._emptied()
        if self._timer:
            self._timer.cancel()

    async def _emptied(self) -> None:
        """Until the last connection is gone; whoever does not take its last bytes soon is cut."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._is_empty.wait()
        for connection in self._connections():
            connection.transport.abort()

    async def _stop_listening(self) -> None:
        if self._server:
            self._server.close()
            self._unlink()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._socket:
            self._socket.close()

    def _unlink(self) -> None:
        if not self.endpoint.port:
            Path(self.endpoint.host).unlink(missing_ok=True)

    # -- connections -------------------------------------------------------------------------------------------

    def _connection(self) -> HttpConnection:
        return HttpConnection(self)

    def admit(self, connection: HttpConnection) -> Callable[[], None] | None:
        """Ask the doorman; what to call at the end, or None to turn the client away."""
        COUNTERS.connections[self._service] = COUNTERS.connections.get(self._service, 0) + 1
        return self._doorman.admit(connection) if self._doorman else _nothing

    def taken(self) -> float:
        """A connection stands: from now on somebody must look at the clock, which reads what is returned."""
        self._is_empty.clear()
        if self._timer is None:
            self._look_at_the_clock(0.0)
        return self.now

    def tick(self, ahead: float = 0.0) -> None:
        """Once a second while there are connections; a test may look `ahead`."""
        self._look_at_the_clock(ahead)
        for connection in self._connections():
            connection.tick(self.now)

    def left(self) -> None:
        """A connection is gone."""
        if not self.state.connections:
            self._is_empty.set()

    def _connections(self) -> list[HttpConnection]:
        return cast("list[HttpConnection]", list(self.state.connections))

    def _look_at_the_clock(self, ahead: float) -> None:
        self.now = self.loop.time() + ahead
        self.state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(TICK, self.tick) if self.state.connections else None

    # -- TLS: the doorman is asked before the handshake, which is what an attacker would make us pay for -------------

    async def _take_connections(self, listening: socket) -> None:
        while True:
            try:
                taken, name = await self.loop.sock_accept(listening)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    _log.error("cannot take a connection", service=self._service, error=str(error))
                    await asyncio.sleep(TICK)
                continue
            connection = HttpConnection(self)
            connection.peer = endpoint_of(name)
            leave = self.admit(connection)
            if leave is None:
                taken.close()
                continue
            connection.let_in(leave)
            self._run(self._shake_hands(connection, taken))

    async def _shake_hands(self, connection: HttpConnection, taken: socket) -> None:
        assert self._tls
        try:
            await self.loop.connect_accepted_socket(
                lambda: connection,
                taken,
                ssl=self._tls.context,
                ssl_handshake_timeout=self.limits.header_timeout,
                ssl_shutdown_timeout=LINGER,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError) as error:
            connection.leave()
            with contextlib.suppress(OSError):
                taken.close()
            if isinstance(error, asyncio.CancelledError):
                raise

    def _run(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _configuration(app: Asgi, limits: Http) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        log_level="critical",  # what strangers send wrong is no news, and our own bugs are told by `web.app`
        access_log=False,
        http=HttpConnection,
        ws="none",
        interface="asgi3",
        proxy_headers=False,  # `web.proxies` decides whom to believe
        server_header=False,
        timeout_keep_alive=cast(int, limits.idle_timeout),  # a float does as well
    )
    config.load()
    return config


def _bind(endpoint: Endpoint) -> socket:
    family = AF_INET6 if ":" in endpoint.host else AF_INET
    listening = socket(family, SOCK_STREAM, IPPROTO_TCP)  # asyncio sets TCP_NODELAY where it sees that it is TCP
    try:
        listening.setblocking(False)
        listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listening.bind((endpoint.host, endpoint.port))
    except BaseException:
        listening.close()
        raise
    return listening


def _nothing() -> None:
    pass
