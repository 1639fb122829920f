"""Figures on their way to pictures: tiles with a small line each, and the numbers that the large one is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from markupsafe import Markup

from postroad.ports.queueing import QueueSample
from postroad.reports.statistics import Series, Span, StatKind

SPANS = {Span.HOUR: "Hour", Span.DAY: "Day", Span.MONTH: "Month"}
IN_WORDS = {Span.HOUR: "last hour", Span.DAY: "last 24 hours", Span.MONTH: "last 30 days"}
POINTS = 30  # of a small line; more would be noise


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of a span."""

    kind: StatKind
    label: str
    icon: str
    tone: str
    total: int
    under: str
    line: Markup


_TILES = (  # kind, label, icon, tone, what it counts
    (StatKind.IN, "In", "in", "note", "messages accepted"),
    (StatKind.OUT, "Out", "out", "quiet", "recipients elsewhere"),
    (StatKind.DELIVERED, "Delivered", "check", "good", "recipients reached"),
    (StatKind.DEFERRED, "Deferred", "clock", "warn", "tries to be repeated"),
    (StatKind.BOUNCED, "Bounced", "cross", "bad", "recipients refused"),
)


def tiles(series: Series) -> list[Tile]:
    """In the order in which mail meets them."""
    totals = series.totals
    ended = totals[StatKind.DELIVERED] + totals[StatKind.BOUNCED]
    shares = {kind: share(totals[kind], ended, word) for kind, word in _ENDS.items()}
    return [
        Tile(kind, label, icon, tone, totals[kind], shares.get(kind) or under, spark(series.counts[kind]))
        for kind, label, icon, tone, under in _TILES
    ]


_ENDS = {StatKind.DELIVERED: "reached", StatKind.BOUNCED: "refused"}


def share(part: int, whole: int, word: str) -> str:
    """`98.4% reached`; never 100% or 0% where that is not the whole truth."""
    if not whole:
        return ""
    percent = 100 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f}".removesuffix(".0") + f"% {word}"


def spark(values: Sequence[int], *, width: int = 120, height: int = 34) -> Markup:
    """A line over a soft ground; decoration beside the figure itself."""
    coarse = thinned(values)
    top, step = max(coarse, default=0) or 1, width / max(len(coarse) - 1, 1)
    points = " ".join(
        f"{at * step:.1f},{height - 2 - value / top * (height - 5):.1f}" for at, value in enumerate(coarse)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" preserveAspectRatio="none" aria-hidden="true">'
        '<polygon points="0,{h} {p} {w},{h}"/><polyline points="{p}"/></svg>'
    ).format(w=width, h=height, p=points)


@dataclass(frozen=True, slots=True)
class OverTime:
    """How much waited when: a line, and the same in words."""

    line: Markup
    words: str


def over_time(samples: Sequence[QueueSample], now_waiting: int) -> OverTime | None:
    """None while there is too little to see."""
    if len(samples) < 2:
        return None
    most = max(samples, key=lambda sample: sample.queued + sample.held)
    peak = most.queued + most.held
    words = f"{now_waiting:,} wait now; the most were {peak:,}, at {most.at:%H:%M} UTC."
    return OverTime(spark([sample.queued + sample.held for sample in samples], width=600, height=64), words)


def thinned(values: Sequence[int]) -> list[int]:
    """At most POINTS sums of neighbours; the youngest values always share one point with as many others."""
    width = -(-len(values) // POINTS)
    first = len(values) % width
    head = [sum(values[:first])] if first else []
    return head + [sum(values[at : at + width]) for at in range(first, len(values), width)]


def drawing(series: Mapping[Span, Series]) -> str:
    """JSON for the large picture: by span the beginning, the step in seconds, and the counts."""
    return msgspec.json.encode(
        {
            span.value: {
                "start": int(one.start.timestamp()),
                "step": int(one.step.total_seconds()),
                **{kind.value: counts for kind, counts in one.counts.items()},
            }
            for span, one in series.items()
        }
    ).decode()


def in_words(series: Series, span: Span) -> str:
    """The picture for those who do not see it."""
    totals = series.totals
    figures = ", ".join(f"{totals[kind]:,} {kind.value}" for kind in (*_DECIDED, StatKind.IN))
    return f"Mail over the {IN_WORDS[span]}: {figures}."


_DECIDED = (StatKind.DELIVERED, StatKind.DEFERRED, StatKind.BOUNCED)
