"""What a step of the front door says of a client or a message, and how it is kept with the message.

A note alone refuses nobody: notes are weighed together (`visit.py`). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from postroad.mail.status import Status

SCANNER = "scanner "  # before a scanner's name; other steps have no blank in theirs
Kept = tuple[tuple[str, str, float, str], ...]  # what the `received` event says: step, kind, weight, reason


class Kind(StrEnum):
    """What a step wants done."""

    PASS = "pass"  # noqa: S105 - nothing to say against it
    NOTE = "note"  # worth its weight, which may be negative, and no more
    REFUSE = "refuse"  # whatever the others say
    DELAY = "delay"  # our next words wait
    DEFER = "defer"  # not now: the client is to try again
    HOLD = "hold"  # ours, and kept back until somebody releases it
    DISCARD = "discard"  # ours, and for nobody


class Verdict(Struct, frozen=True, gc=False):
    """What one step says, and why. `reason` is for the operator; `status` is the answer of REFUSE and DEFER.

    `public` says the same to the client where the note helps to refuse it; empty: it is not told.
    """

    step: str
    kind: Kind
    reason: str
    weight: float = 0.0
    status: Status | None = None
    public: str = ""

    @property
    def is_unsure(self) -> bool:
        """Something could not be found out: not worth keeping for long."""
        return self.kind is Kind.NOTE and not self.weight


def passed(step: str, reason: str) -> Verdict:
    return Verdict(step, Kind.PASS, reason)


def noted(step: str, reason: str, weight: float, public: str = "") -> Verdict:
    return Verdict(step, Kind.NOTE, reason, weight, None, public)


def refused(step: str, reason: str, status: Status) -> Verdict:
    return Verdict(step, Kind.REFUSE, reason, 0.0, status.because(f"{step}: {reason}"))


def deferred(step: str, reason: str, status: Status) -> Verdict:
    return Verdict(step, Kind.DEFER, reason, 0.0, status.because(f"{step}: {reason}"))


def kept(verdicts: Iterable[Verdict]) -> Kept:
    """As compact as the event's detail wants it."""
    return tuple((each.step, each.kind.value, each.weight, each.reason) for each in verdicts)


def in_words(verdicts: Kept) -> str:
    """`rdns: 192.0.2.7 has no name (+2); helo: mail.example`: for a line of a story, and beside a refusal."""
    return "; ".join(f"{step}: {reason}{_weight(kind, weight)}" for step, kind, weight, reason in verdicts)


def _weight(kind: str, weight: float) -> str:
    if weight:
        return f" ({weight:+g})"
    return "" if kind in (Kind.PASS, Kind.NOTE) else f" ({kind})"
