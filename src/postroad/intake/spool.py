"""A message body on its way in: in memory up to 256 KiB, in a file of its own beyond.

The file begins with the final header block, so what is written once is what is stored. All spools of a process share a
budget: when many clients sit in the middle of DATA, bodies go to their files sooner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from postroad.intake.checks.limits import HEADER_TOO_LARGE
from postroad.intake.fields import header_length
from postroad.mail.header import Header
from postroad.mail.status import Status, status
from postroad.ports.blobs import BlobPlace, BlobStore, BlobWriteFailed, BlobWriter
from postroad.ports.ids import BlobId
from postroad.proto.wire import gather

MEMORY_LIMIT = 256 * 1024  # of one body
CROWDED_LIMIT = 8 * 1024  # the same, while the budget is used up
BUDGET = 12 * 1024 * 1024  # of all bodies in memory
FILE_PIECE = 64 * 1024  # gathered before it is written to a file; CROWDED_LIMIT, while the budget is used up
KEPT_FOR_DIGEST = 8 * 1024  # until the client speaks again: enough for most, little for many who stay silent
HEADER_STEP = 32 * 1024  # of a large header block between two looks for its end: each look joins all that came

NO_SPACE = status(452, "4.3.1", "insufficient system storage, try again later")
STORE_FAILED = status(451, "4.3.0", "the message could not be stored, try again later")
BUSY = status(451, "4.3.2", "too busy, try again later", "too many bodies in memory")


class Budget:
    """Octets that all spools of a process hold in memory."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0

    @property
    def is_spent(self) -> bool:
        return self.used > BUDGET


class Digest:
    """SHA-256 of what the client sent, made when somebody asks: hardly anybody does. No large body is kept for it."""

    __slots__ = ("_came", "_made")

    def __init__(self, came: bytes = b"", made: bytes = b"") -> None:
        self._came = came if len(came) <= KEPT_FOR_DIGEST else b""
        self._made = made or (b"" if self._came else hashlib.sha256(came).digest())

    def value(self) -> bytes:
        if not self._made:
            self._made = hashlib.sha256(self._came).digest()
        return self._made


@dataclass(slots=True)
class Spooled:
    """A whole body: `content` as stored when it is small, else the `place` of its file."""

    header: Header  # as it came, less what the client must not pass on
    final_header: bytes
    size: int  # octets as stored
    digest: Digest
    content: bytes | None = None
    place: BlobPlace | None = None


HeaderMaker = Callable[[Header], tuple[Header, bytes]]  # header as it came -> (kept, final header block)


class Spool:
    """One body. Errors are kept, never raised by `write`: the rest is swallowed and `finish` says what happened."""

    __slots__ = (
        "_blob",
        "_blobs",
        "_budget",
        "_chunks",
        "_counted",
        "_envelope",
        "_fault",
        "_final",
        "_hash",
        "_header",
        "_header_came",
        "_look_at",
        "_make_header",
        "_max_header",
        "_writer",
        "size",
    )

    def __init__(
        self,
        blobs: BlobStore,
        budget: Budget,
        *,
        blob: BlobId,
        envelope: Callable[[], bytes],
        make_header: HeaderMaker,
        max_header: int,
    ) -> None:
        self._blobs = blobs
        self._budget = budget
        self._blob = blob
        self._envelope = envelope
        self._make_header = make_header
        self._max_header = max_header
        self._chunks: list[bytes] = []
        self._counted = 0
        self._writer: BlobWriter | None = None
        self._hash: hashlib._Hash | None = None
        self._header: Header | None = None
        self._header_came = 0
        self._look_at = 0  # octets that must have come before the header block's end is looked for again
        self._final = b""
        self._fault: Status | None = None
        self.size = 0  # octets that came

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece. An awaitable when the peer should wait until it is on its way to the disk."""
        self.size += len(chunk)
        if self._fault is not None:
            return None
        gather(self._chunks, chunk)
        self._budget.used += len(chunk)
        self._counted += len(chunk)
        if self._writer is not None:
            piece = CROWDED_LIMIT if self._budget.is_spent else FILE_PIECE
            return self._flush() if self._counted >= piece else None
        if self.size <= CROWDED_LIMIT or (self.size <= MEMORY_LIMIT and not self._budget.is_spent):
            return None
        return self._leave_memory() if self.size >= self._look_at else None

    def _leave_memory(self) -> Awaitable[None] | None:
        """Begin the file, as soon as the header block is whole."""
        came = b"".join(self._chunks)
        self._chunks = [came]
        length = header_length(came)
        if length is None:
            if len(came) > self._max_header:
                self._fail(HEADER_TOO_LARGE)
            elif self._budget.is_spent:
                self._fail(BUSY)
            self._look_at = self.size + HEADER_STEP
            return None
        self._read_header(came, length)
        self._hash = hashlib.sha256(came)
        self._forget_chunks()
        try:
            self._writer = self._blobs.create(self._blob, self._envelope())
        except BlobWriteFailed as error:
            self._fail(status_of(error))
            return None
        return self._put(self._final + came[length:])

    def _read_header(self, came: bytes, length: int) -> None:
        self._header_came = length
        self._header, self._final = self._make_header(Header(came[:length]))

    async def _flush(self) -> None:
        piece = b"".join(self._chunks)
        self._forget_chunks()
        assert self._hash is not None
        self._hash.update(piece)
        await self._put(piece)

    async def _put(self, piece: bytes) -> None:
        if self._writer is None:  # discarded in the meantime
            return
        try:
            await self._writer.write(piece)
        except BlobWriteFailed as error:
            self._fail(status_of(error))

    def end(self) -> Header | Status:
        """No more will come: the header block, for those who judge it; or why there is no body."""
        if self._fault is not None:
            return self._fault
        if self._writer is None and self._header is None:
            came = b"".join(self._chunks)
            self._chunks = [came]
            length = header_length(came)
            self._read_header(came, len(came) if length is None else length)
        assert self._header is not None
        return self._header

    @property
    def is_small(self) -> bool:
        """It is all in memory: `finish_small` will do, without waiting."""
        return self._writer is None

    def finish_small(self) -> Spooled | Status:
        """After `end`: the whole body, when it is in memory."""
        if self._fault is not None or self._header is None or not self._chunks:
            return self._fault or STORE_FAILED  # failed, or discarded meanwhile
        came = self._chunks[0]
        self._forget_chunks()
        content = self._final + came[self._header_came :]
        return Spooled(self._header, self._final, len(content), Digest(came), content)

    async def finish(self) -> Spooled | Status:
        """After `end`: the whole body, durable where it has a file of its own; or why there is none."""
        if self._chunks and self._writer is not None:
            await self._flush()
        writer, self._writer = self._writer, None
        if writer is None:  # it never left memory, or writing failed
            return self.finish_small()
        try:
            place = await writer.finish()
        except BlobWriteFailed as error:
            return status_of(error)
        assert self._header is not None
        assert self._hash is not None
        size = len(self._final) + self.size - self._header_came
        return Spooled(self._header, self._final, size, Digest(made=self._hash.digest()), place=place)

    def discard(self) -> None:
        """Leave nothing behind. Does no harm after `finish`."""
        self._forget_chunks()
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def _fail(self, fault: Status) -> None:
        self._fault = fault
        self.discard()

    def _forget_chunks(self) -> None:
        self._chunks = []
        self._budget.used -= self._counted
        self._counted = 0


def status_of(error: BlobWriteFailed) -> Status:
    """What a client is told when its body cannot be written."""
    return (NO_SPACE if error.no_space else STORE_FAILED).because(str(error))
