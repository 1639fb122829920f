"""A message's way as a picture: where its time went, from the first octet to the last word. Pure.

Bars are drawn on the server, as SVG with classes and plain attributes, for the page's policy allows no style in it.
What they show is said in words too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from markupsafe import Markup

from postroad.events.model import FINAL_KIND, EventKind
from postroad.ports.store import Attempt
from postroad.reports.story import Story
from postroad.web.console.wording import duration

PHASES = {
    "connect": ("Connect", "the connection is made"),
    "tls": ("TLS", "encryption is agreed on"),
    "ehlo": ("EHLO", "both say who they are and what they can"),
    "mail": ("MAIL", "the sender is named"),
    "rcpt": ("RCPT", "the recipients are named"),
    "data": ("DATA", "the message is sent, until the last answer"),
    "rest": ("Other", "between those"),
}
WIDTH, HEIGHT = 1000.0, 20.0
_SLIVER = 4.0  # the least that a part takes, so that it can be seen at all
_FINAL = frozenset(FINAL_KIND.values())


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of an attempt, or of a message's life. `kind` is its colour."""

    kind: str
    words: str
    seconds: float

    @property
    def text(self) -> str:
        return f"{self.words} {duration(self.seconds)}"


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt as the picture shows it."""

    attempt: Attempt
    began: datetime  # before the connection was made
    seconds: float
    phases: tuple[Phase, ...]

    @property
    def is_reused(self) -> bool:
        """The connection stood already."""
        return "connect" not in self.attempt.timings

    @property
    def words(self) -> str:
        """All of it for those who do not see the bar."""
        parts = ", ".join(phase.text for phase in self.phases)
        return (
            f"Attempt with {self.attempt.host or 'no host'}, {duration(self.seconds)}{': ' + parts if parts else ''}."
        )


def tried(attempt: Attempt) -> Tried:
    """The phases of an attempt; those that were not reached are left out."""
    known = [(kind, attempt.timings[kind]) for kind in PHASES if attempt.timings.get(kind, 0.0) > 0.0]
    told = sum(seconds for _, seconds in known)
    whole = max((attempt.ended - attempt.started).total_seconds(), told, 0.0)
    rest = whole - told
    if rest > max(0.001, whole * 0.02):
        known.append(("rest", rest))
    phases = tuple(Phase(kind, PHASES[kind][0], seconds) for kind, seconds in known)
    return Tried(attempt, attempt.ended - timedelta(seconds=whole), whole, phases)


def life(story: Story, tries: Sequence[Tried], now: datetime) -> tuple[Phase, ...]:
    """A message's time until now, or until the last recipient was settled: taken, waiting, under way. Attempts at the
    same time count once."""
    begin, end = story.message.created, _end(story, tries, now)
    parts: list[Phase] = []
    at = begin
    for one in sorted(tries, key=lambda one: one.began):
        start, stop = max(one.began, at), one.attempt.ended
        if stop <= at:
            continue
        if start > at:
            parts.append(Phase("taken" if not parts else "wait", _waiting(parts), (start - at).total_seconds()))
        parts.append(Phase("try", "being sent", (stop - start).total_seconds()))
        at = stop
    if end > at:
        parts.append(Phase("wait" if parts else "taken", _waiting(parts), (end - at).total_seconds()))
    return tuple(parts)


def _waiting(parts: Sequence[Phase]) -> str:
    return "waiting" if parts else "taken in and queued"


def _end(story: Story, tries: Sequence[Tried], now: datetime) -> datetime:
    if not story.is_finished:
        return now
    ends = [event.at for event in story.events if event.kind in _FINAL]
    return max([*ends, *(one.attempt.ended for one in tries)], default=story.message.created)


def bar(phases: Sequence[Phase], *, words: str, of: float = 0.0) -> Markup:
    """Phases side by side, their widths their shares of `of` seconds (else of all they take together)."""
    whole = max(of, sum(phase.seconds for phase in phases)) or 1.0
    pieces = Markup("").join(
        Markup('<rect class="ph-{}" x="{:.1f}" width="{:.1f}" height="{:g}"><title>{}</title></rect>').format(
            phase.kind, x, width, HEIGHT, phase.text
        )
        for phase, x, width in _placed(phases, whole)
    )
    return Markup(
        '<svg class="phases" viewBox="0 0 {:g} {:g}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, words, pieces)


def _placed(phases: Sequence[Phase], whole: float) -> Iterator[tuple[Phase, float, float]]:
    """Each with its place and width. Slivers get their least width, the others share what is left."""
    wide = [max(phase.seconds / whole * WIDTH, _SLIVER) for phase in phases]
    scale = min(1.0, WIDTH / (sum(wide) or 1.0))
    x = 0.0
    for phase, width in zip(phases, wide, strict=True):
        yield phase, x, width * scale
        x += width * scale


def waits(story: Story) -> Mapping[int, timedelta]:
    """How long nothing happened before each line of the story, where that is long enough to be told."""
    lines = story.lines()
    gaps = {at: later.at - earlier.at for at, (earlier, later) in enumerate(pairwise(lines), 1)}
    return {at: gap for at, gap in gaps.items() if gap >= timedelta(seconds=1)}


STEPS = {
    EventKind.RECEIVED: ("in", "note"),
    EventKind.QUEUED: ("queue", "quiet"),
    EventKind.DEFERRED: ("clock", "warn"),
    EventKind.DELIVERED: ("check", "good"),
    EventKind.BOUNCED: ("cross", "bad"),
    EventKind.EXPIRED: ("hourglass", "bad"),
    EventKind.CANCELLED: ("minus", "quiet"),
    EventKind.HELD: ("pause", "held"),
    EventKind.RELEASED: ("play", "note"),
    EventKind.RETRY_ASKED: ("retry", "note"),
    EventKind.REPORT_SENT: ("out", "quiet"),
    EventKind.REPORT_WITHHELD: ("info", "quiet"),
    EventKind.REPEAT: ("retry", "quiet"),
}
TRYING = ("out", "note")
