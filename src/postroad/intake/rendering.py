"""Render a message for mailboxes at acceptance: inline when it is small, in a worker thread when it is not.

A message that has a file of its own is read back whole for this. Only one of these is in memory at a time, so the
price in memory is one largest message (`[limits] max_message_size`), whatever the number of clients.
"""

from __future__ import annotations

import asyncio

from postroad.intake.spool import Spooled
from postroad.mail.render import RENDERER, Rendering, render
from postroad.ports.blobs import BlobStore
from postroad.ports.ids import BlobId
from postroad.ports.store import Content
from postroad.ports.workers import Workers

INLINE_LIMIT = 64 * 1024  # octets that are rendered on the loop


class Renderer:
    """One for a process."""

    def __init__(self, blobs: BlobStore, workers: Workers) -> None:
        self._blobs = blobs
        self._workers = workers
        self._large = asyncio.Lock()

    async def render_in_worker(self, spooled: Spooled) -> Rendering:
        """For what `is_quick` does not hold of."""
        content, place = spooled.content, spooled.place
        if content is not None:
            return await self._workers.run(lambda: render(content))
        assert place is not None
        async with self._large:
            whole = await self._blobs.read(place)
            return await self._workers.run(lambda: render(whole))


def is_quick(spooled: Spooled) -> bool:
    """Whether rendering may be done on the loop."""
    return spooled.content is not None and len(spooled.content) <= INLINE_LIMIT


def content_record(rendering: Rendering, blob: BlobId, size: int) -> Content:
    """The row of what was rendered."""
    return Content(
        blob,
        RENDERER,
        size,
        rendering.header_size,
        rendering.envelope,
        rendering.bodystructure,
        rendering.body,
        rendering.sections,
        rendering.message_id,
        rendering.subject,
        rendering.sent,
    )
