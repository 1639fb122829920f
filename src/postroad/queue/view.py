"""What console, API and command line read of the queue."""

from __future__ import annotations

from dataclasses import dataclass

from postroad.mail.status import Status
from postroad.ports.ids import DeliveryId, MessageId
from postroad.ports.store import Attempt, Delivery, Event, Message, QueueEntry, QueueFilter, QueueSummary, Store, Tx

PAGE = 50


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message with all that is known of its way."""

    message: Message
    deliveries: list[Delivery]
    attempts: list[tuple[Attempt, dict[DeliveryId, Status]]]
    events: list[Event]


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


async def summary(store: Store) -> list[QueueSummary]:
    """By destination."""
    return await store.read(lambda tx: tx.deliveries.summary())
