"""Figures: what happened to mail over the last hour, day or month."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from postroad.ports.ids import ServerId
from postroad.reports.statistics import Span
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import Text, Time


class Period(Struct, forbid_unknown_fields=True):
    """How far back, and whose mail."""

    span: Span = Span.DAY
    server: Annotated[int, Meta(ge=0, le=2**31 - 1, description="Only mail of this server; 0: all.")] = 0
    stream: Annotated[Text, Meta(description="Only mail of this stream; empty: all.")] = ""


class Figures(Struct):
    """`counts[kind][n]` is what happened from `start` + n × `step` seconds on, for one step; the last step is not over
    yet. `complete` is false while mail from before is still being counted."""

    start: Time
    step: int
    totals: dict[str, int]
    counts: dict[str, list[int]]
    complete: bool


async def get_statistics(call: Call, *, query: Period) -> Figures:
    """Mail in, out, delivered, deferred and bounced, over time."""
    server = ServerId(query.server) if query.server else None
    series = await call.services.statistics.series(query.span, server, query.stream or None)
    return Figures(
        series.start,
        int(series.step.total_seconds()),
        {kind.value: count for kind, count in series.totals.items()},
        {kind.value: list(counts) for kind, counts in series.counts.items()},
        series.is_complete,
    )


ROUTES = (Route("GET", "/statistics", "statistics:read", get_statistics),)
