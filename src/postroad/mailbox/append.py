"""A message on its way into a mailbox by APPEND: in memory up to 256 KiB, in a file of its own beyond.

What an APPEND writes is not a message of the queue: it has no delivery and no event, only content and a row.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from postroad.mailbox import names, quota
from postroad.mailbox.reading import rendered, to_content
from postroad.mailbox.service import topic
from postroad.ports.blobs import BlobPlace, BlobStore, BlobWriteFailed, BlobWriter
from postroad.ports.clock import Clock
from postroad.ports.ids import AccountId, BlobId, IdSource, Uid
from postroad.ports.signals import Signals
from postroad.ports.store import (
    AccountRecord,
    MailboxAppend,
    MailboxRecord,
    NewMailboxMessage,
    Store,
    StoreUnavailable,
    Tx,
)
from postroad.ports.workers import Workers
from postroad.proto.wire import gather

SMALL = 256 * 1024  # octets kept in memory, and stored in a shared segment
PIECE = 64 * 1024  # gathered before it is written to a file


@dataclass(frozen=True, slots=True)
class AppendOrder:
    """Where a message goes and what it will look like."""

    mailbox: MailboxRecord
    size: int
    flags: int = 0
    keywords: tuple[str, ...] = ()
    internal_date: datetime | None = None  # None: now


class Appending:
    """One message coming in. Ends with `finish` or `discard`."""

    __slots__ = ("_appender", "_blob", "_chunks", "_header", "_held", "_writer", "order")

    def __init__(self, appender: Appender, order: AppendOrder, blob: BlobId) -> None:
        self._appender = appender
        self.order = order
        self._blob = blob
        self._chunks: list[bytes] = []
        self._held = 0
        self._header = _segment_header(order)
        self._writer: BlobWriter | None = None
        if order.size > SMALL:
            self._writer = appender.blobs.create(blob, self._header)

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        """An awaitable where the file must take what was gathered."""
        gather(self._chunks, chunk)
        self._held += len(chunk)
        if self._writer is None or self._held < PIECE:
            return None
        return self._spill(self._writer)

    async def finish(self) -> Uid:
        """Store it; returns after the commit. Raises Refused or StoreUnavailable."""
        if self._writer is not None:
            if self._chunks:
                await self._spill(self._writer)
            return await self._store(None, await _finished(self._writer))
        content = b"".join(self._chunks)
        self._chunks = []
        return await self._store(content, None)

    def discard(self) -> None:
        self._chunks = []
        if self._writer is not None:
            self._writer.discard()

    async def _spill(self, writer: BlobWriter) -> None:
        data = b"".join(self._chunks)
        self._chunks, self._held = [], 0
        try:
            await writer.write(data)
        except BlobWriteFailed as error:
            raise StoreUnavailable(str(error), no_space=error.no_space) from error

    async def _store(self, content: bytes | None, place: BlobPlace | None) -> Uid:
        return await self._appender.store(self.order, self._blob, self._header, content=content, place=place)


class Appender:
    """Makes Appendings and stores what they gathered; made once."""

    def __init__(
        self, store: Store, blobs: BlobStore, *, signals: Signals, clock: Clock, ids: IdSource, workers: Workers
    ) -> None:
        self.blobs = blobs
        self._store = store
        self._signals = signals
        self._clock = clock
        self._ids = ids
        self._workers = workers

    async def target(self, account: AccountId, name: str, size: int) -> MailboxRecord | None:
        """The mailbox of this name, or None. Raises OverQuota when its owner has no room for `size` octets."""
        name = names.canonical(name)

        def run(tx: Tx) -> tuple[MailboxRecord | None, AccountRecord | None]:
            return tx.mailboxes.by_name(account, name), tx.accounts.get(account)

        record, owner = await self._store.read(run)
        quota.require_room(owner, size)
        return record

    def open(self, order: AppendOrder) -> Appending:
        """Raises StoreUnavailable when the disk is nearly full."""
        if not self._store.has_room(order.size):
            raise StoreUnavailable("the disk is nearly full", no_space=True)
        return Appending(self, order, BlobId(self._ids.new()))

    async def store(
        self, order: AppendOrder, blob: BlobId, header: bytes, *, content: bytes | None, place: BlobPlace | None
    ) -> Uid:
        """Render, then write content and rows in the group of the acceptances."""
        octets = content if content is not None else await self.blobs.read(_required(place))
        local = NewMailboxMessage(
            mailbox=order.mailbox.id,
            blob=blob,
            size=len(octets),
            internal_date=order.internal_date or self._clock.now(),
            flags=order.flags,
            keywords=order.keywords,
        )
        row = to_content(blob, len(octets), await rendered(octets, self._workers))
        uid = await self._store.append(
            MailboxAppend(blob=blob, content=content, place=place, segment_header=header, rendered=row, local=local)
        )
        self._signals.publish(topic(order.mailbox.id))
        return uid


def _segment_header(order: AppendOrder) -> bytes:
    """What a rebuild from segments alone needs to put the message back."""
    return msgspec.msgpack.encode(
        {
            "mailbox": order.mailbox.id,
            "account": order.mailbox.account,
            "name": order.mailbox.name,
            "flags": order.flags,
            "keywords": order.keywords,
            "internal_date": order.internal_date,
        }
    )


async def _finished(writer: BlobWriter) -> BlobPlace:
    try:
        return await writer.finish()
    except BlobWriteFailed as error:
        raise StoreUnavailable(str(error), no_space=error.no_space) from error


def _required(place: BlobPlace | None) -> BlobPlace:
    assert place is not None, "content is in memory or in a file"
    return place
