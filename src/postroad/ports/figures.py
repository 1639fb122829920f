"""The figures port: counts of what happened to mail, by server, stream and time. See events/stats.py for their meaning.

Figures count events by the time in their ids, so that a stretch of time is a stretch of the table and can be counted
again at any time with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from postroad.ports.ids import ServerId

MINUTE = 60  # seconds; buckets of this width are kept for two days
HOUR = 3600  # these as long as events

NO_SERVER = 0  # in rows: mail of no sending project


class Count(NamedTuple):
    """How many events of one kind fell into one minute."""

    server: int
    stream: str
    kind: str  # of event
    minute: int  # its beginning, in seconds since 1970
    n: int


class Figure(NamedTuple):
    """The same as it is kept: a figure in a bucket."""

    server: int
    stream: str
    kind: str  # of figure
    bucket: int
    n: int


class Sum(NamedTuple):
    """Over servers and streams. `kind` is of figure or of event, as it was asked."""

    kind: str
    bucket: int
    n: int


class Trouble(NamedTuple):
    """A destination to which mail does not get through at present."""

    dest: str
    queued: int  # recipients that wait after a failed try
    oldest: datetime  # when the oldest of them was accepted
    next_due: datetime | None
    last_reply: str


class Figures(Protocol):
    """`tx.figures`. Minutes and hours begin where those of UTC do."""

    def count(self, start: datetime, end: datetime) -> list[Count]:
        """From the events, by minute."""

    def fresh(
        self, start: datetime, end: datetime, *, server: ServerId | None = None, stream: str | None = None
    ) -> list[Sum]:
        """The same over servers and streams, or of one alone: by kind of event."""

    def put(self, width: int, start: datetime, end: datetime, figures: Sequence[Figure]) -> None:
        """Make these the buckets of that width from `start` to `end`. Hours follow their minutes."""

    def sums(
        self, width: int, start: datetime, end: datetime, *, server: ServerId | None = None, stream: str | None = None
    ) -> list[Sum]:
        """What is kept, in buckets of that width: by kind of figure."""

    def events(self, start: datetime, end: datetime) -> int:
        """How many events there are of any kind: much cheaper than `count`."""

    def first_event(self, since: datetime) -> datetime | None:
        """When the first event since then was recorded."""

    def event_behind(self, since: datetime, others: int) -> datetime | None:
        """When the event was recorded that is so many behind the first; None when there are fewer."""

    def trim(self, minutes: datetime, hours: datetime, limit: int = 500) -> int:
        """Delete one slice of buckets before then; 0 means done."""

    def troubles(self, limit: int) -> list[Trouble]:
        """The destinations with most mail that waits after a failed try."""
