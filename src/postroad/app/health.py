"""The `metrics` listener: /healthz/live, /healthz/ready, /metrics. starlette and uvicorn, inside our loop.

Both are imported when such a listener starts, so that a node without one does not carry them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from postroad.observe.metrics import Gauge, render
from postroad.ports.net import Endpoint

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

Ready = Callable[[], Awaitable[str]]  # an empty text, or why not
Gauges = Callable[[], Awaitable[Sequence[Gauge]]]
PATIENCE = 5.0  # seconds for a figure to be read


class HealthServer:
    """One HTTP listener. `close` ends it."""

    def __init__(self, endpoint: Endpoint, *, ready: Ready, gauges: Gauges) -> None:
        self._socket = _bind(endpoint)
        host, port, *_ = self._socket.getsockname()
        self.endpoint = Endpoint(host, port)
        self._app = _application(ready, gauges)
        self._task: asyncio.Task[None] | None = None
        self._stop: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Returns when it answers."""
        import uvicorn

        class Server(uvicorn.Server):
            @contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield  # signals belong to the lifecycle

        config = uvicorn.Config(
            self._app,
            lifespan="off",
            log_config=None,
            access_log=False,
            http="h11",
            ws="none",
            server_header=False,
            timeout_keep_alive=30,
        )
        server = Server(config)
        self._task = asyncio.create_task(server.serve(sockets=[self._socket]), name="metrics")
        while not server.started and not self._task.done():
            await asyncio.sleep(0.005)

        def stop() -> None:
            server.should_exit = True

        self._stop = stop

    async def close(self) -> None:
        self._stop()
        if self._task:
            await self._task
        self._socket.close()


def _bind(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((endpoint.host, endpoint.port))
    except BaseException:
        listening.close()
        raise
    return listening


def _application(ready: Ready, gauges: Gauges) -> Starlette:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    async def live(_: Request) -> Response:
        return PlainTextResponse("live\n")

    async def is_ready(_: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                reason = await ready()
        except TimeoutError:
            reason = "the store does not answer"
        return PlainTextResponse(f"not ready: {reason}\n", 503) if reason else PlainTextResponse("ready\n")

    async def metrics(_: Request) -> Response:
        async with asyncio.timeout(PATIENCE):
            page, content_type = render(await gauges())
        return Response(page, media_type=content_type)

    return Starlette(
        routes=[Route("/healthz/live", live), Route("/healthz/ready", is_ready), Route("/metrics", metrics)]
    )
