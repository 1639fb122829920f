"""The queue in figures: records that a census or a preview is made of. See ports/store.py for the queue itself."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from postroad.ports.ids import DeliveryId, NodeId
from postroad.ports.store import DeliveryState, Record


class CensusPlace(NamedTuple):
    """How far a census has come: rows of this owner (None: of nobody) up to this id are counted."""

    owner: NodeId | None
    after: DeliveryId


class QueueCell(Record, frozen=True):
    """Recipients that are alike in all that a census asks."""

    dest: str
    cause: str  # of the last reply, as content.causes says it; "" before the first
    band: int  # of age: how many of the given times lie before it was accepted
    state: DeliveryState
    count: int
    oldest: datetime  # when the first of them was accepted
    next_due: datetime | None = None  # QUEUED: the first of them to be tried


class CensusPart(Record, frozen=True):
    """One slice of the queue, counted. `place` is where the next one begins; None: that was all."""

    cells: tuple[QueueCell, ...]
    place: CensusPlace | None


class QueueTally(Record, frozen=True):
    """What a filter means, counted up to a limit: `more` says that there are more than were counted."""

    recipients: int
    messages: int
    senders: tuple[tuple[str, int], ...]  # reverse-path and recipients, most first
    dests: tuple[tuple[str, int], ...]  # the same by destination
    more: bool = False


class QueueShare(Record, frozen=True):
    """Recipients that share a domain, a tenant or a cause."""

    key: str
    queued: int
    held: int
    oldest: datetime


class QueueShares(Record, frozen=True):
    """One slice of the queue by one of these. `place` is where the next one begins; None: that was all."""

    shares: tuple[QueueShare, ...]
    place: CensusPlace | None


class QueueSample(Record, frozen=True):
    """How much waited at one moment."""

    at: datetime
    queued: int
    held: int
    oldest: datetime | None = None
