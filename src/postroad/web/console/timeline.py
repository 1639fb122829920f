"""A message's way as a picture: where its time went, from the first octet to the last word. Pure.

Bars are drawn on the server, as SVG with classes and plain attributes, for the page's policy allows no style in it.
What they show is said in words too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from markupsafe import Markup

from postroad.events.model import FINAL_KIND, EventKind
from postroad.ports.store import Attempt
from postroad.reports.story import FRONT_DOOR, SCANNED, Line, Story
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
    recipients: int
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


def tried(attempt: Attempt, recipients: int = 1) -> Tried:
    """The phases of an attempt; those that were not reached are left out."""
    known = [(kind, attempt.timings[kind]) for kind in PHASES if attempt.timings.get(kind, 0.0) > 0.0]
    told = sum(seconds for _, seconds in known)
    whole = max((attempt.ended - attempt.started).total_seconds(), told, 0.0)
    rest = whole - told
    if rest > max(0.001, whole * 0.02):
        known.append(("rest", rest))
    phases = tuple(Phase(kind, PHASES[kind][0], seconds) for kind, seconds in known)
    return Tried(attempt, recipients, attempt.ended - timedelta(seconds=whole), whole, phases)


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


def summed(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """Phases of one kind as one: what a legend tells."""
    first = {phase.kind: phase.words for phase in reversed(phases)}
    kinds = dict.fromkeys(phase.kind for phase in phases)
    return tuple(Phase(kind, first[kind], sum(one.seconds for one in phases if one.kind == kind)) for kind in kinds)


def _placed(phases: Sequence[Phase], whole: float) -> Iterator[tuple[Phase, float, float]]:
    """Each with its place and width. Slivers get their least width, the others share what is left."""
    wide = [max(phase.seconds / whole * WIDTH, _SLIVER) for phase in phases]
    scale = min(1.0, WIDTH / (sum(wide) or 1.0))
    x = 0.0
    for phase, width in zip(phases, wide, strict=True):
        yield phase, x, width * scale
        x += width * scale


# --- the steps --------------------------------------------------------------------------------------------------------

FIRST, LAST = 40, 80  # steps of a long story that are shown
_TOGETHER = timedelta(seconds=1)  # steps of one kind within this are one, of several recipients
_GAP = timedelta(seconds=1)  # a wait that is told


@dataclass(frozen=True, slots=True)
class Step:
    """One or several lines of the story that say the same."""

    line: Line
    icon: str
    tone: str
    whom: tuple[str, ...]
    since: float  # seconds after the message was taken
    wait: float = 0.0  # seconds in which nothing happened before
    tried: Tried | None = None
    skipped: int = 0  # steps left out before this one

    @property
    def what(self) -> str:
        """The words, as the beginning of a line where no recipient stands before them."""
        return self.line.what if self.whom else self.line.what[:1].upper() + self.line.what[1:]


def steps(story: Story, tries: Sequence[Tried]) -> list[Step]:
    """The story step by step, with the waits between; of a very long one its beginning and its end."""
    by_id = {one.attempt.id: one for one in tries}
    begin = before = story.message.created
    made: list[Step] = []
    for lines in _together(story.lines()):
        line = lines[0]
        one = by_id.get(line.attempt) if line.attempt else None
        icon, tone = STEPS.get(line.kind, TRYING)
        wait = line.at - before if line.at - before >= _GAP else timedelta()
        whom = () if one else tuple(dict.fromkeys(each.whom for each in lines if each.whom))
        made.append(Step(line, icon, tone, whom, (line.at - begin).total_seconds(), wait.total_seconds(), one))
        before = max(before, one.attempt.ended if one else lines[-1].at)
    skipped = len(made) - FIRST - LAST
    if skipped <= 0:
        return made
    return [*made[:FIRST], replace(made[FIRST + skipped], skipped=skipped), *made[FIRST + skipped + 1 :]]


def _together(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Neighbours that say the same of several recipients."""
    some: list[Line] = []
    for line in lines:
        if some and not (
            (line.kind, line.what, line.next) == (some[0].kind, some[0].what, some[0].next)
            and line.whom and line.at - some[0].at < _TOGETHER
        ):  # fmt: skip
            yield some
            some = []
        some.append(line)
    if some:
        yield some


STEPS: dict[str, tuple[str, str]] = {
    EventKind.RECEIVED: ("in", "note"),
    FRONT_DOOR: ("admins", "quiet"),
    SCANNED: ("admins", "quiet"),
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
    EventKind.RETURNED: ("cross", "bad"),
    EventKind.COMPLAINED: ("cross", "bad"),
    EventKind.AUTO_REPLIED: ("in", "quiet"),
    EventKind.CHALLENGED: ("in", "warn"),
    EventKind.SUPPRESSED: ("minus", "bad"),
    EventKind.REPEAT: ("retry", "quiet"),
}
TRYING = ("out", "note")
