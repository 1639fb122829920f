"""Counters and gauges, and the page that Prometheus reads.

The hot path adds to plain integers of `COUNTERS`; nothing is rendered until somebody asks. Gauges are read by the node
when asked (`app.health`), since most of them stand in rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX = "postroad_"


@dataclass(slots=True)
class Counters:
    """What happened since the process started. Written on the loop's thread only."""

    accepted: int = 0  # messages made ours
    repeated: int = 0  # messages that a client sent again and that we knew
    refused: int = 0  # commands, recipients and messages refused
    delivered: int = 0  # recipients
    deferred: int = 0
    bounced: int = 0
    expired: int = 0
    cancelled: int = 0
    attempts: int = 0  # SMTP transactions with remote hosts
    reports: int = 0  # DSNs sent
    logins: int = 0
    logins_refused: int = 0
    turned_away: int = 0  # connections over a limit
    connections: dict[str, int] = field(default_factory=dict)  # by service
    door: dict[str, int] = field(default_factory=dict)  # refused or put off by the front door, by step
    scans: dict[str, int] = field(default_factory=dict)  # messages that a scanner has seen, by scanner
    scan_refusals: dict[str, int] = field(default_factory=dict)
    scan_failures: dict[str, int] = field(default_factory=dict)
    scan_seconds: dict[str, float] = field(default_factory=dict)
    returned: dict[str, int] = field(default_factory=dict)  # what came back, by kind, and what it was no use for


COUNTERS = Counters()

_HELP = {
    "accepted": "Messages accepted",
    "repeated": "Messages sent again by a client that had missed our answer",
    "refused": "Commands, recipients and messages refused",
    "delivered": "Recipients delivered",
    "deferred": "Attempts that will be repeated",
    "bounced": "Recipients that failed for good",
    "expired": "Recipients given up after their time",
    "cancelled": "Recipients cancelled by hand",
    "attempts": "SMTP transactions with remote hosts",
    "reports": "Delivery reports sent",
    "logins": "Successful logins",
    "logins_refused": "Refused logins",
    "turned_away": "Connections turned away by a limit",
}

_LABELLED = {
    "connections": ("service", "Connections taken"),
    "returned": ("kind", "Bounces, complaints and robots' answers that came back; forged and old return addresses"),
    "door": ("step", "Connections, messages and recipients that the front door refused or put off"),
    "scans": ("scanner", "Messages that a scanner has seen"),
    "scan_refusals": ("scanner", "Clients, recipients and messages that a scanner has refused or put off"),
    "scan_failures": ("scanner", "Times that a scanner could not be asked, or did not answer"),
    "scan_seconds": ("scanner", "Time that messages have waited for a scanner"),
}


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure of now; `labels` tell several of one name apart."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def render(gauges: Iterable[Gauge], counters: Counters = COUNTERS) -> tuple[bytes, str]:
    """The page in Prometheus' text format, and its content type."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry()
    registry.register(_Collector(tuple(gauges), counters))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    """What prometheus_client asks at each scrape."""

    def __init__(self, gauges: tuple[Gauge, ...], counters: Counters) -> None:
        self._gauges = gauges
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        yield from self._counted()
        yield from self._gauged()

    def _counted(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        for name, text in _HELP.items():
            yield CounterMetricFamily(PREFIX + name, text, value=getattr(self._counters, name))
        for name, (label, text) in _LABELLED.items():
            family = CounterMetricFamily(PREFIX + name, text, labels=[label])
            for value, number in sorted(getattr(self._counters, name).items()):
                family.add_metric([value], number)
            yield family

    def _gauged(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        families: dict[str, Any] = {}
        for gauge in self._gauges:
            family = families.get(gauge.name)
            if family is None:
                family = GaugeMetricFamily(PREFIX + gauge.name, gauge.text, labels=list(gauge.labels))
                families[gauge.name] = family
            family.add_metric(list(gauge.labels.values()), gauge.value)
        yield from families.values()
