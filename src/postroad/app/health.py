"""What the `metrics` listener answers: /healthz/live, /healthz/ready, /metrics. `http.py` serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from postroad.observe.metrics import Gauge, render

Ready = Callable[[], Awaitable[str]]  # an empty text, or why not
Gauges = Callable[[], Awaitable[Sequence[Gauge]]]
PATIENCE = 5.0  # seconds for a figure to be read


def application(ready: Ready, gauges: Gauges) -> Starlette:
    """Of one node."""

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
