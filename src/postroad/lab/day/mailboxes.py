"""What people do with their mail: read it, answer it, keep what they sent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from postroad.lab.day.ground import Ground
from postroad.mailbox.append import Appender, AppendOrder
from postroad.mailbox.names import INBOX
from postroad.mailbox.service import MailboxService
from postroad.ports.ids import AccountId
from postroad.ports.store import SystemFlag, Tx

SENT = "Sent"
UNREAD_SINCE = timedelta(hours=2)  # what is younger nobody has looked at yet


class Mailboxes:
    """Everybody's, as their mail programs leave them."""

    def __init__(self, ground: Ground) -> None:
        base = ground.base
        self._ground = ground
        self._service = MailboxService(base.store, base.signals, ground.ids)
        self._appender = Appender(
            base.store, base.blobs, signals=base.signals, clock=ground.clock, ids=ground.ids, workers=base.workers
        )

    async def prepare(self, owners: Iterable[str]) -> None:
        """A mailbox for what they send."""
        for address in owners:
            account = await self._account(address)
            if all(record.name != SENT for record in await self._service.mailboxes(account)):
                await self._service.create(account, SENT)

    async def keep(self, address: str, content: bytes) -> None:
        """A copy of what was sent, seen."""
        mailbox = await self._service.find(await self._account(address), SENT)
        order = AppendOrder(mailbox, len(content), int(SystemFlag.SEEN), internal_date=self._ground.clock.now())
        appending = self._appender.open(order)
        appending.write(content)
        await appending.finish()

    async def read(self, owners: Iterable[str], answered: set[str]) -> None:
        """Everything but the youngest has been read; what was answered (by Message-ID) is marked so."""
        before = self._ground.clock.now() - UNREAD_SINCE
        for address in owners:
            account = await self._account(address)
            await self._ground.base.store.write(lambda tx, account=account: _mark(tx, account, before, answered))  # type: ignore[misc]

    async def _account(self, address: str) -> AccountId:
        record = await self._ground.base.store.read(lambda tx: tx.accounts.by_address(address))
        assert record, f"{address} has an account"
        return record.id


def _mark(tx: Tx, account: AccountId, before: datetime, answered: set[str]) -> None:
    inbox = tx.mailboxes.by_name(account, INBOX)
    assert inbox, "every account has an INBOX"
    rows = [row for row in tx.mailbox_messages.page(inbox.id) if row.internal_date < before]
    contents = tx.mailbox_messages.contents([row.blob for row in rows])
    replied = [row.uid for row in rows if contents[row.blob].message_id in answered]
    tx.mailbox_messages.store(inbox.id, [row.uid for row in rows], add=int(SystemFlag.SEEN))
    tx.mailbox_messages.store(inbox.id, replied, add=int(SystemFlag.ANSWERED))
