"""Contents of messages that are to be sent: small ones into memory, several with one change of thread; large ones as
streams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from postroad.delivery.agent import AttemptRequest
from postroad.ports.blobs import BlobStore
from postroad.ports.store import Message, Store

SMALL_BODY = 256 * 1024  # octets; a larger body is streamed


class Bodies:
    """One for a process."""

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs

    async def load(self, requests: Sequence[AttemptRequest]) -> None:
        """Give each request its `content` or `stream`. Raises when one cannot be had."""
        await self._find(requests)
        small = [(r, r.place) for r in requests if r.message.size <= SMALL_BODY and r.place is not None]
        bodies = await self._blobs.read_many([(place, 0, None) for _, place in small])
        for (request, _), body in zip(small, bodies, strict=True):
            if len(body) != request.message.size:
                raise OSError(f"the stored message has {len(body)} octets instead of {request.message.size}")
            request.content = body

    async def _find(self, requests: Sequence[AttemptRequest]) -> None:
        unplaced = [request.message.blob for request in requests if request.place is None]
        places = await self._store.read(lambda tx: tx.messages.places(unplaced)) if unplaced else {}
        for request in requests:
            place = request.place = request.place or places.get(request.message.blob)
            if place is None:
                raise LookupError("no content is known for the message")
            if request.message.size > SMALL_BODY:
                request.stream = partial(self._blobs.stream, place)

    async def read(self, message: Message, length: int) -> bytes:
        """The first octets of a message, for a report."""
        place = await self._store.read(lambda tx: tx.messages.place(message.blob))
        if place is None:
            raise LookupError("no content is known for the message")
        return await self._blobs.read(place, 0, length)
