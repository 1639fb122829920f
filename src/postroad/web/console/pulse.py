"""The overview as it changes: its parts are rendered once a snapshot, for all who watch, and sent where they differ."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from postroad.ports.search import FoundMessage
from postroad.ports.store import DeliveryState
from postroad.reports.live import Overview
from postroad.web.console import charts
from postroad.web.console.chosen import dest_words
from postroad.web.console.guard import session_secret
from postroad.web.console.render import Renderer
from postroad.web.console.verdict import verdict

if TYPE_CHECKING:
    from postroad.web.services import WebServices

PARTS = ("verdict", "tiles", "waiting", "troubles", "recent")  # blocks of overview.html, live-NAME in the page
BEAT = 5  # snapshots after which something is sent in any case: the page must notice when nothing comes any more
TEMPLATE = "overview.html"

_GRAVITY = (  # which state a message with several recipients shows: what needs eyes first
    DeliveryState.BOUNCED,
    DeliveryState.EXPIRED,
    DeliveryState.HELD,
    DeliveryState.QUEUED,
    DeliveryState.CANCELLED,
    DeliveryState.DELIVERED,
)


class Pulse:
    """One for the console."""

    def __init__(self, services: WebServices, renderer: Renderer) -> None:
        self._services = services
        self._renderer = renderer
        self._looked: Overview | None = None  # what was rendered last, to the minute
        self._parts: dict[str, str] = {}

    async def events(self, request: Request) -> AsyncIterator[str]:
        """What one browser is sent, until it goes or its session ends."""
        secret, sent, silent = session_secret(request), dict[str, str](), 0
        async with aclosing(self._services.live.watch()) as snapshots:
            async for seen in snapshots:
                if await self._services.admins.session(secret) is None:
                    return
                parts = self._rendered(seen)
                changed = {name: text for name, text in parts.items() if sent.get(name) != text}
                silent += 1
                if changed or silent >= BEAT:
                    sent, silent = parts, 0
                    yield f"data: {json.dumps(changed)}\n\n"

    def _rendered(self, seen: Overview) -> dict[str, str]:
        """By name; the same texts for everybody, times in UTC (the page puts them into the reader's zone)."""
        minute = seen.at.replace(second=0, microsecond=0)  # words for times shall not change every second
        looked = replace(seen, at=minute)
        if self._looked != looked:
            context = {**live_context(seen), "zone": UTC, "now": minute}
            self._parts = {name: self._renderer.text(TEMPLATE, context, fragment=name) for name in PARTS}
            self._parts["series"] = charts.drawing(seen.series)
            self._looked = looked
        return self._parts


def live_context(seen: Overview) -> dict[str, Any]:
    """What the parts that change are made of."""
    return {
        "seen": seen,
        "verdict": verdict(seen),
        "spans": [(span, label, charts.tiles(seen.series[span])) for span, label in charts.SPANS.items()],
        "dest_words": dest_words,
        "state_of": state_of,
    }


def state_of(found: FoundMessage) -> str:
    """The one state that a line shows of a message."""
    states: Mapping[DeliveryState, int] = found.states
    state = next((state for state in _GRAVITY if states.get(state)), DeliveryState.QUEUED)
    tried = any(delivery.tries and delivery.state is DeliveryState.QUEUED for delivery in found.deliveries)
    return "deferred" if state is DeliveryState.QUEUED and tried else state.value
