"""The blob port: message content at rest, durable before any row names it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from postroad.ports.ids import BlobId


class BlobRecord(Struct, frozen=True, gc=False):
    """Small content about to be stored: the envelope goes with it, so that segments alone can rebuild the queue."""

    blob: BlobId
    envelope: bytes  # msgpack, see ports.store.Acceptance.segment_header
    content: bytes


class BlobPlace(Struct, frozen=True, gc=False):
    """Where content lies: `length` octets at `offset` of `segment` (a file name, without a path)."""

    segment: str
    offset: int
    length: int


class BlobWriteFailed(Exception):  # noqa: N818
    """A write or sync failed; nothing of the group may be acknowledged. `no_space` tells a full disk apart."""

    def __init__(self, cause: str, *, no_space: bool) -> None:
        super().__init__(cause)
        self.no_space = no_space


class BlobWriter(Protocol):
    """Large content on its way to a file of its own. Dropped without `finish`, it leaves nothing behind."""

    async def write(self, chunk: bytes) -> None: ...

    async def finish(self) -> BlobPlace:
        """Sync file and directory. Raises BlobWriteFailed."""

    def discard(self) -> None: ...


class Scratch(Protocol):
    """Octets that are needed for a moment and outlive nothing: neither synced nor named."""

    async def write(self, piece: bytes) -> None:
        """Put a piece behind what is there. Raises BlobWriteFailed."""

    async def read(self, start: int, length: int) -> bytes: ...

    def discard(self) -> None:
        """Give the room back. A read or write under way in a thread ends first."""


class BlobStore(Protocol):
    """Content by place. `append_group` blocks and is called by the store's writer thread only."""

    def append_group(self, records: Sequence[BlobRecord]) -> list[BlobPlace]:
        """Append and sync all records as one group. Raises BlobWriteFailed."""

    def void(self, blobs: Sequence[BlobId]) -> None:
        """Remember that these ids were refused after they had been written, so that no rebuild resurrects them."""

    def create(self, blob: BlobId, envelope: bytes) -> BlobWriter: ...

    def scratch(self) -> Scratch: ...

    async def read(self, place: BlobPlace, start: int = 0, length: int | None = None) -> bytes:
        """Octets `start` up to `start + length` of the content, at most to its end. For small content."""

    async def read_many(self, ranges: Sequence[tuple[BlobPlace, int, int | None]]) -> list[bytes]:
        """`read` for many (place, start, length) with one change of thread."""

    def stream(self, place: BlobPlace, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The same in pieces of at most 64 KiB."""
