"""The first words of the overview: does mail flow? Pure; decided from one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from postroad.ports.figures import Trouble
from postroad.reports.live import Overview
from postroad.reports.statistics import Span, StatKind
from postroad.web.console.chosen import dest_words
from postroad.web.console.render import url

LASTING = timedelta(minutes=15)  # a destination that defers for less is nothing to speak of: greylisting does that
MANY_BOUNCES = 0.05  # of what ended in the last hour
FEW = 20  # recipients: of fewer no share is told
NAMED = 3  # destinations


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is a tone: good, warn, bad, note, quiet."""

    kind: str
    icon: str
    title: str
    text: str
    href: str = ""
    label: str = ""
    is_first: bool = False  # nothing ever happened: say how to begin


def verdict(seen: Overview) -> Verdict:
    """The worst that is true."""
    hour = seen.totals[Span.HOUR]
    lasting = [trouble for trouble in seen.troubles if seen.at - trouble.oldest >= LASTING]
    ended = hour[StatKind.DELIVERED] + hour[StatKind.BOUNCED]
    if lasting and not hour[StatKind.DELIVERED]:
        return _stuck(seen, lasting)
    if lasting:
        return _partly(lasting)
    if ended >= FEW and hour[StatKind.BOUNCED] > MANY_BOUNCES * ended:
        return _bouncing(hour[StatKind.BOUNCED], ended)
    if ended or hour[StatKind.IN]:
        text = f"{people(hour[StatKind.DELIVERED])} reached in the last hour. {_waiting(seen.queued)}"
        return Verdict("good", "check", "Mail is flowing", text)
    if not any(seen.totals[Span.MONTH].values()):
        text = "None has come or gone in the last thirty days."
        return Verdict("note", "messages", "Ready for mail", text, is_first=True)
    return Verdict("quiet", "moon", "All quiet", f"No mail in the last hour. {_waiting(seen.queued)}")


def _stuck(seen: Overview, lasting: Sequence[Trouble]) -> Verdict:
    text = f"Nobody was reached in the last hour, and {people(seen.queued)} wait. {_named(lasting)}"
    return Verdict("bad", "warning", "Mail is not getting through", text, url("queue"), "Look at the queue")


def _partly(lasting: Sequence[Trouble]) -> Verdict:
    text = f"{_named(lasting)} What waits is tried again by itself."
    return Verdict("warn", "warning", "Mail flows, but not everywhere", text, url("queue"), "Look at the queue")


def _bouncing(bounced: int, ended: int) -> Verdict:
    text = f"{bounced:,} of {ended:,} recipients in the last hour were refused for good."
    href = url("messages", q="state:bounced since:1h")
    return Verdict("warn", "warning", "More mail bounces than should", text, href, "See what bounced")


def _named(troubles: Sequence[Trouble]) -> str:
    names = [dest_words(trouble.dest) for trouble in troubles[:NAMED]]
    more = len(troubles) - len(names)
    listed = ", ".join(names) + (f" and {more} more" if more else "")
    return f"No mail gets through to {listed} at present." if more or len(names) > 1 else f"{listed} takes no mail now."


def _waiting(queued: int) -> str:
    return f"{people(queued)} wait." if queued > 1 else "One recipient waits." if queued else "Nothing waits."


def people(count: int) -> str:
    return "One recipient" if count == 1 else f"{count:,} recipients" if count else "No recipient"
