"""What console, API and command line read of the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from postroad.mail.status import Status
from postroad.ports.ids import DeliveryId, MessageId
from postroad.ports.queueing import CensusPlace, QueueShares, QueueTally
from postroad.ports.store import Attempt, Delivery, Event, Message, QueueEntry, QueueFilter, QueueSummary, Store, Tx

PAGE = 50
COUNTED = 50_000  # recipients that a preview counts; counting them takes a fraction of a second
EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message with all that is known of its way."""

    message: Message
    deliveries: list[Delivery]
    attempts: list[tuple[Attempt, dict[DeliveryId, Status]]]
    events: list[Event]


@dataclass(slots=True)
class Preview:
    """Whom an action would reach, before it is done. `more`: there are more than were counted."""

    recipients: int = 0
    messages: int = 0
    senders: Counter[str] = field(default_factory=Counter)
    dests: Counter[str] = field(default_factory=Counter)
    more: bool = False
    examples: list[QueueEntry] = field(default_factory=list)

    def add(self, tally: QueueTally) -> None:
        self.recipients += tally.recipients
        self.messages += tally.messages
        self.senders.update(dict(tally.senders))
        self.dests.update(dict(tally.dests))
        self.more = self.more or tally.more


async def list_queue(
    store: Store, where: QueueFilter, *, after: DeliveryId | None = None, limit: int = PAGE
) -> list[QueueEntry]:
    """One page, by id; `after` is the last id of the page before."""
    return await store.read(lambda tx: tx.deliveries.queue(where, after=after, limit=limit))


async def show(store: Store, number: int) -> MessageView | None:
    """The message with this id, or the one that the delivery with this id belongs to."""

    def read(tx: Tx) -> MessageView | None:
        delivery = tx.deliveries.get(DeliveryId(number))
        message = tx.messages.get(delivery.message if delivery else MessageId(number))
        if message is None:
            return None
        return MessageView(
            message,
            tx.deliveries.of_message(message.id),
            tx.messages.attempts(message.id),
            tx.events.of_message(message.id),
        )

    return await store.read(read)


async def preview(store: Store, filters: Sequence[QueueFilter]) -> Preview:
    """What would be meant: counted up to `COUNTED` recipients for each filter, the first few by name."""

    def read(tx: Tx) -> Preview:
        found = Preview()
        for where in filters:
            found.add(tx.deliveries.tally(where, COUNTED))
            if len(found.examples) < EXAMPLES:
                found.examples += tx.deliveries.queue(where, limit=EXAMPLES - len(found.examples))
        return found

    return await store.read(read)


async def summary(store: Store) -> list[QueueSummary]:
    """By destination."""
    return await store.read(lambda tx: tx.deliveries.summary())


KEYS = ("dest", "provider", "age", "domain", "tenant", "cause")
BANDS = {"5 minutes": 300, "30 minutes": 1800, "2 hours": 7200, "8 hours": 28800, "1 day": 86400, "3 days": 259200}
SLICE = 20_000


@dataclass(slots=True)
class Share:
    """Recipients that have one key in common."""

    key: str
    queued: int = 0
    held: int = 0
    oldest: datetime | None = None
    last_text: str = ""

    def add(self, queued: int, held: int, oldest: datetime | None) -> None:
        self.queued += queued
        self.held += held
        if oldest is not None:
            self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)


def by_provider(rows: Sequence[QueueSummary]) -> list[Share]:
    """Destinations put together by who takes their mail; largest first. Pure."""
    found: dict[str, Share] = {}
    for row in rows:
        share = found.setdefault(row.provider or row.dest, Share(row.provider or row.dest, last_text=row.last_text))
        share.add(row.queued, row.held, row.oldest)
    return largest_first(found)


def by_age(tx: Tx, now: datetime, made_at: Callable[[DeliveryId], datetime]) -> list[Share]:
    """Youngest first."""
    found = tx.deliveries.ages([now - timedelta(seconds=span) for span in BANDS.values()])
    names = [*(f"up to {name}" for name in BANDS), "older"]
    return [
        Share(name, count, 0, None if oldest is None else made_at(oldest))
        for name, (count, oldest) in zip(names, found, strict=True)
        if count
    ]


def slice_of(by: str, place: CensusPlace | None) -> Callable[[Tx], QueueShares]:
    """Reads one slice by `domain`, `tenant` or `cause`."""
    return lambda tx: tx.deliveries.shares(by, place, SLICE)


def add_up(found: dict[str, Share], part: QueueShares) -> int:
    """Put a slice to those before it; how many recipients it held."""
    for share in part.shares:
        found.setdefault(share.key, Share(share.key)).add(share.queued, share.held, share.oldest)
    return sum(share.queued + share.held for share in part.shares)


def largest_first(shares: dict[str, Share]) -> list[Share]:
    return sorted(shares.values(), key=lambda share: (-share.queued - share.held, share.key))
