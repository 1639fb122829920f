"""Mail that waited here for a mailbox here: put into its INBOX when it comes due.

What is delivered at once never comes this way (`intake.commit` writes its rows with the message). A second run finds
what the first one wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postroad.intake.rendering import INLINE_LIMIT, content_record
from postroad.mail.render import Rendering, render
from postroad.mail.status import Status, status
from postroad.mail.trace import delivered_to, return_path
from postroad.ports.blobs import BlobPlace, BlobStore
from postroad.ports.clock import Clock
from postroad.ports.ids import MailboxId
from postroad.ports.signals import Signals
from postroad.ports.store import Content, Delivery, Message, NewMailboxMessage, Store, StoreUnavailable, Tx
from postroad.ports.workers import Workers

DELIVERED = status(250, "2.0.0", "delivered to the mailbox")
GONE = status(550, "5.1.1", "the mailbox is no longer here")
_LATER = status(451, "4.3.0", "the mailbox cannot be written now")

Outcome = list[tuple[Delivery, Status]]


@dataclass(frozen=True, slots=True)
class MailboxAgent:
    """One for a process."""

    store: Store
    blobs: BlobStore
    clock: Clock
    signals: Signals
    workers: Workers | None = None  # none: large messages are rendered on the loop

    async def deliver(
        self, message: Message, deliveries: Sequence[Delivery], content: bytes | None, place: BlobPlace | None
    ) -> Outcome:
        """One status for each."""
        try:
            rendering = await self._render(message, content, place)
            row = content_record(rendering, message.blob, message.size)
            found = await self.store.write(lambda tx: self._enter(tx, message, deliveries, row))
        except (StoreUnavailable, LookupError, OSError) as error:
            return [(delivery, _LATER.because(str(error))) for delivery in deliveries]
        for _, mailbox in found:
            if mailbox is not None:
                self.signals.publish(f"mailbox:{mailbox}")
        return [(delivery, GONE if mailbox is None else DELIVERED) for delivery, mailbox in found]

    async def _render(self, message: Message, content: bytes | None, place: BlobPlace | None) -> Rendering:
        if content is None:
            place = place or await self.store.read(lambda tx: tx.messages.place(message.blob))
            if place is None:
                raise LookupError("no content is known for the message")
            content = await self.blobs.read(place)
        whole = content
        if self.workers is None or len(whole) <= INLINE_LIMIT:
            return render(whole)
        return await self.workers.run(lambda: render(whole))

    def _enter(
        self, tx: Tx, message: Message, deliveries: Sequence[Delivery], row: Content
    ) -> list[tuple[Delivery, MailboxId | None]]:
        """Rows in each recipient's INBOX; None for who has gone meanwhile."""
        found: list[tuple[Delivery, MailboxId | None]] = []
        trace, now = return_path(message.reverse_path), self.clock.now()
        for delivery in deliveries:
            account = tx.accounts.by_address(delivery.forward_path)
            inbox = tx.mailboxes.by_name(account.id, "INBOX") if account else None
            found.append((delivery, inbox.id if inbox else None))
            if inbox is None:
                continue
            prefix = trace + delivered_to(delivery.forward_path)
            size = len(prefix) + message.size
            new = NewMailboxMessage(
                inbox.id, message.blob, size, now, prefix=prefix, delivery=delivery.id, message=message.id
            )
            tx.mailbox_messages.put_content(row)
            tx.mailbox_messages.add([new])
        return found
