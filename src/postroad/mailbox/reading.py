"""What FETCH, SEARCH and RETR read of messages: stored wire texts, layouts, octets by range.

Small ranges of many messages are read with one change of thread; a large one is streamed. A rendering older than the
renderer is made anew when it is met.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from postroad.mail.render import RENDERER, Rendering, render
from postroad.mailbox.sections import Layout, Span
from postroad.ports.blobs import BlobPlace, BlobStore
from postroad.ports.ids import BlobId, MailboxId, Uid
from postroad.ports.store import Content, Lane, MessageSource, MessageText, Store, Tx
from postroad.ports.workers import Workers

T = TypeVar("T")

SLICE = 500  # messages of one read transaction
IN_PLACE = 64 * 1024  # octets that are rendered without a worker


class Source(NamedTuple):
    """One message, ready to be read."""

    text: MessageText
    prefix: bytes
    place: BlobPlace
    layout: Layout


class Reader:
    """Reads mailboxes; made once."""

    def __init__(self, store: Store, blobs: BlobStore, workers: Workers) -> None:
        self._store = store
        self._blobs = blobs
        self._workers = workers

    async def texts(
        self, mailbox: MailboxId, low: Uid, high: Uid, *, envelope: bool, structure: bool, body: bool
    ) -> list[MessageText]:
        """The first SLICE messages from `low` to `high`."""
        rows = await self._store.read(
            lambda tx: tx.mailbox_messages.texts(
                mailbox, low=low, high=high, limit=SLICE, envelope=envelope, structure=structure, body=body
            )
        )
        if envelope or structure or body:
            stale = [row.blob for row in rows if row.renderer < RENDERER]
            if stale:
                await self._renew(stale)
                return await self.texts(mailbox, low, high, envelope=envelope, structure=structure, body=body)
        return rows

    async def sources(
        self,
        mailbox: MailboxId,
        uids: Sequence[Uid],
        *,
        layout: bool = False,
        envelope: bool = False,
        structure: bool = False,
        body: bool = False,
    ) -> list[Source]:
        """Those of `uids` that are there, in order. With `layout` header sizes and offsets of parts are known too."""
        rows = await self._store.read(
            lambda tx: tx.mailbox_messages.sources(
                mailbox, uids, layout=layout, envelope=envelope, structure=structure, body=body
            )
        )
        if layout or envelope or structure or body:
            stale = [row.text.blob for row in rows if row.text.renderer < RENDERER]
            if stale:
                await self._renew(stale)
                return await self.sources(
                    mailbox, uids, layout=layout, envelope=envelope, structure=structure, body=body
                )
        return [_source(row) for row in rows]

    async def contents(self, blobs: Sequence[BlobId]) -> dict[BlobId, Content]:
        """What is stored of the content of messages."""
        return await self._store.read(lambda tx: tx.mailbox_messages.contents(blobs))

    async def read_many(self, wanted: Sequence[tuple[Source, Span]]) -> list[bytes]:
        """Small spans of many messages."""
        ranges, heads = [], []
        for source, span in wanted:
            prefix = source.prefix
            heads.append(prefix[span.start : span.end])
            start = max(span.start - len(prefix), 0)
            ranges.append((source.place, start, max(span.end - len(prefix), 0) - start))
        tails = await self._blobs.read_many(ranges)
        return [head + tail if head else tail for head, tail in zip(heads, tails, strict=True)]

    async def stream(self, source: Source, span: Span) -> AsyncIterator[bytes]:
        """A span in pieces of at most 64 KiB."""
        prefix = source.prefix
        if span.start < len(prefix):
            yield prefix[span.start : span.end]
        start, end = max(span.start - len(prefix), 0), max(span.end - len(prefix), 0)
        if start < end:
            async for piece in self._blobs.stream(source.place, start, end - start):
                yield piece

    async def in_worker(self, function: Callable[[], T]) -> T:
        return await self._workers.run(function)

    async def _renew(self, blobs: Sequence[BlobId]) -> None:
        """Render anew what an older version rendered."""
        places = await self._store.read(lambda tx: tx.messages.places(blobs))
        for blob in dict.fromkeys(blobs):
            data = await self._blobs.read(places[blob])
            content = to_content(blob, len(data), await rendered(data, self._workers))
            await self._store.write(partial(_put, content=content), lane=Lane.LOW)


def _put(tx: Tx, content: Content) -> None:
    tx.mailbox_messages.put_content(content)


async def rendered(content: bytes, workers: Workers) -> Rendering:
    """In a worker where it is long work."""
    if len(content) <= IN_PLACE:
        return render(content)
    return await workers.run(lambda: render(content))


def to_content(blob: BlobId, size: int, rendering: Rendering, *, renderer: int = RENDERER) -> Content:
    """The row of a rendering."""
    return Content(
        blob=blob,
        renderer=renderer,
        size=size,
        header_size=rendering.header_size,
        envelope=rendering.envelope,
        bodystructure=rendering.bodystructure,
        body=rendering.body,
        sections=rendering.sections,
        message_id=rendering.message_id,
        subject=rendering.subject,
        sent=rendering.sent,
    )


def _source(row: MessageSource) -> Source:
    prefix = len(row.prefix)
    layout = Layout(prefix, prefix + row.place.length, row.header_size, row.sections)
    return Source(row.text, row.prefix, row.place, layout)
