"""The page that Prometheus reads."""

from __future__ import annotations

from dataclasses import fields

from postroad.observe.metrics import _HELP, _LABELLED, Counters, Gauge, render


def test_counters_and_gauges_stand_on_the_page_under_our_prefix() -> None:
    counters = Counters(accepted=3, connections={"mx": 2}, door={"helo": 3})
    gauges = [
        Gauge("queue_deliveries", "Recipients in the queue", 4, {"state": "queued"}),
        Gauge("queue_deliveries", "Recipients in the queue", 1, {"state": "held"}),
        Gauge("log_dropped_lines", "Log lines dropped", 0),
    ]
    page, content_type = render(gauges, counters)
    lines = page.decode().splitlines()
    assert content_type.startswith("text/plain")
    assert "postroad_accepted_total 3.0" in lines
    assert 'postroad_connections_total{service="mx"} 2.0' in lines
    assert 'postroad_door_total{step="helo"} 3.0' in lines
    assert 'postroad_queue_deliveries{state="queued"} 4.0' in lines
    assert 'postroad_queue_deliveries{state="held"} 1.0' in lines
    assert lines.count("# TYPE postroad_queue_deliveries gauge") == 1


def test_every_counter_is_explained() -> None:
    assert {field.name for field in fields(Counters)} == set(_HELP) | set(_LABELLED)
