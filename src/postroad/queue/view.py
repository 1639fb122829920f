"""What console, API and command line read of the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from postroad.mail.status import Status
from postroad.ports.ids import DeliveryId, MessageId
from postroad.ports.queueing import QueueTally
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
