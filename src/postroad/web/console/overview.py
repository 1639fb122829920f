"""The overview: does mail flow, what waits and where, what came last, how the server stands. Live, without reload."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from postroad.observe.metrics import Gauge
from postroad.ports.store import DomainRecord
from postroad.reports.dnscheck import CheckedRecord, Standing, check_domain
from postroad.reports.statistics import Span, StatKind
from postroad.web.console import charts
from postroad.web.console.pulse import TEMPLATE, Pulse, live_context
from postroad.web.console.render import page

if TYPE_CHECKING:
    from postroad.web.services import WebServices

_SPAN_COOKIE = "postroad-span"
DNS_PATIENCE = 12.0  # seconds for the look-ups of all domains
DNS_KEPT = 300.0  # seconds
MAX_DOMAINS = 200  # looked up for the overview
_AT_ONCE = 10
_SOON = 14 * 86_400  # seconds that a certificate should still last
_TIGHT = 0.1  # of the disk


async def show(request: Request) -> Response:
    seen = await _services(request).live.now()
    return page(
        request,
        TEMPLATE,
        **live_context(seen),
        **await _health(request),
        labels=charts.SPANS,
        span=_span(request),
        drawing=charts.drawing(seen.series),
        words={span: charts.in_words(seen.series[span], span) for span in charts.SPANS},
    )


def _span(request: Request) -> Span:
    """What the reader chose, now or before."""
    wanted = (request.query_params.get("span"), request.cookies.get(_SPAN_COOKIE))
    return next((span for text in wanted for span in Span if span == text), Span.HOUR)


async def events(request: Request) -> Response:
    """What changes, as it changes."""
    pulse: Pulse = request.app.state.pulse
    headers = {"x-accel-buffering": "no"}  # nginx would gather it
    return StreamingResponse(pulse.events(request), media_type="text/event-stream", headers=headers)


async def figures(request: Request) -> Response:
    """The picture as a table."""
    span = _span(request)
    series = await _services(request).statistics.series(span)
    rows = zip(series.times, *(series.counts[kind] for kind in StatKind), strict=True)
    return page(
        request,
        "figures.html",
        span=span,
        labels=charts.SPANS,
        in_words=charts.IN_WORDS[span],
        kinds=[kind.value.capitalize() for kind in StatKind],
        totals=[series.totals[kind] for kind in StatKind],
        rows=[row for row in rows if any(row[1:])][::-1],
    )


# --- how the machine stands -------------------------------------------------------------------------------------------


async def machine(request: Request) -> Response:
    """Disk, certificate and lists, asked for anew every minute."""
    return page(request, "machine.html", **await _health(request))


@dataclass(frozen=True, slots=True)
class Disk:
    free: int
    size: int

    @property
    def used(self) -> int:
        """Of a hundred."""
        return round(100 * (1 - self.free / self.size)) if self.size else 0

    @property
    def is_tight(self) -> bool:
        return self.free < self.size * _TIGHT


@dataclass(frozen=True, slots=True)
class Certificate:
    seconds_left: float

    @property
    def kind(self) -> str:
        return "bad" if self.seconds_left <= 0 else "warn" if self.seconds_left < _SOON else "good"

    @property
    def days(self) -> int:
        return int(self.seconds_left // 86_400)


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of clients in DNS that the front door asks."""

    used: int
    off: tuple[str, ...]  # their names: those that failed their test

    @classmethod
    def of(cls, gauges: Sequence[Gauge]) -> Lists:
        states = {gauge.labels["zone"]: bool(gauge.value) for gauge in gauges if gauge.name == "dns_list_on"}
        return cls(sum(states.values()), tuple(sorted(zone for zone, is_on in states.items() if not is_on)))


async def _health(request: Request) -> dict[str, Any]:
    """From the figures that monitoring reads too."""
    found = await _services(request).gauges()
    gauges = {gauge.name: gauge.value for gauge in found}
    left = gauges.get("certificate_seconds_left")
    return {
        "disk": Disk(int(gauges["disk_free_bytes"]), int(gauges["disk_size_bytes"])),
        "certificate": None if left is None else Certificate(left),
        "lists": Lists.of(found),
    }


# --- DNS --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DnsGlance:
    """Domains with records to mend, and how many have none; `unknown`: DNS did not answer for so many."""

    domains: int = 0
    good: int = 0
    unknown: int = 0
    wrong: tuple[tuple[str, str], ...] = ()  # the domain, and its first trouble in words


class DnsWatch:
    """One for the console: asks at most every few minutes, however many look."""

    def __init__(self, services: WebServices) -> None:
        self._services = services
        self._turn = asyncio.Lock()
        self._names: frozenset[str] = frozenset()
        self._until = float("-inf")
        self._glance = DnsGlance()

    async def look(self) -> DnsGlance:
        """May take some seconds; what was found is kept."""
        records = await self._services.administration.domains()
        async with self._turn:
            names, now = frozenset(record.name for record in records), self._services.clock.monotonic()
            if names != self._names or now >= self._until:
                self._glance = await self._check(records[:MAX_DOMAINS])
                self._names, self._until = names, now + DNS_KEPT
        return self._glance

    async def _check(self, records: Sequence[DomainRecord]) -> DnsGlance:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def check(record: DomainRecord) -> list[CheckedRecord]:
            services = self._services
            async with slots:
                return await check_domain(services.resolver, record.name, services.hostname, record.kind)

        try:
            async with asyncio.timeout(DNS_PATIENCE):
                checked = await asyncio.gather(*(check(record) for record in records))
        except TimeoutError:
            return DnsGlance(len(records), unknown=len(records))
        return judged([record.name for record in records], checked)


def judged(names: Sequence[str], checked: Sequence[Sequence[CheckedRecord]]) -> DnsGlance:
    """What the records of all domains come to."""
    wrong, good, unknown = [], 0, 0
    for name, records in zip(names, checked, strict=True):
        bad = [record for record in records if record.standing in (Standing.MISSING, Standing.DIFFERENT)]
        if bad:
            wrong.append((name, bad[0].text))
        elif any(record.standing is Standing.UNKNOWN for record in records):
            unknown += 1
        else:
            good += 1
    return DnsGlance(len(names), good, unknown, tuple(wrong))


async def dns(request: Request) -> Response:
    """Asked for by the page once it stands: look-ups take their time."""
    watch: DnsWatch = request.app.state.dns_watch
    return page(request, "dns_glance.html", dns=await watch.look())


def _services(request: Request) -> WebServices:
    services: WebServices = request.app.state.services
    return services


ROUTES = [
    Route("/", show),
    Route("/overview/events", events),
    Route("/overview/machine", machine),
    Route("/overview/dns", dns),
    Route("/overview/figures", figures),
]
