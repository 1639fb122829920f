"""A message between its last octet and its commit, while scanners may change it.

`Fields` is the header block in pieces, `Hold` a body in memory or in a scratch file, `DraftSpool` a spool that keeps
both apart until the scanners have spoken: what is stored is written once, with the header block that they left.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from postroad.intake.checks.limits import HEADER_TOO_LARGE
from postroad.intake.fields import body_flags, header_length
from postroad.intake.spool import (
    BUSY,
    CROWDED_LIMIT,
    FILE_PIECE,
    HEADER_STEP,
    MEMORY_LIMIT,
    Budget,
    Digest,
    HeaderMaker,
    Spool,
    Spooled,
    status_of,
)
from postroad.mail.envelope import BodyFlag
from postroad.mail.header import Header
from postroad.mail.status import Status
from postroad.ports.blobs import BlobPlace, BlobStore, BlobWriteFailed, Scratch
from postroad.ports.ids import BlobId
from postroad.proto.smtp.body import ChunkReader
from postroad.proto.wire import gather

_FIELD = re.compile(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*|[^\r\n]+|[\r\n]")
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class _Field:
    """One field, with its CRLF; None when it was taken out."""

    __slots__ = ("name", "raw")

    def __init__(self, raw: bytes) -> None:
        match = _NAME.match(raw)
        self.name = match[1].lower() if match else b""
        self.raw: bytes | None = raw


class Fields:
    """A header block that is being changed. What a scanner takes out keeps its place until the next one begins, so
    that the numbers which it goes by stay true (libmilter's `smfi_chgheader`)."""

    def __init__(self, top: bytes, block: bytes) -> None:
        """`top` are our own fields, which scanners do not see; `block` the others with the empty line."""
        self._above = b""  # put above even ours
        self._top = top
        self._end = b"\r\n" if block.endswith(b"\r\n\r\n") or block == b"\r\n" else b""
        self._fields = [_Field(raw) for raw in _FIELD.findall(block[: len(block) - len(self._end)])]
        self.added = b""  # every octet that was put in

    def begin(self) -> None:
        """Another scanner reads it."""
        self._fields = [field for field in self._fields if field.raw is not None]

    def seen(self) -> list[tuple[bytes, bytes]]:
        """Name and value of each field, the white space behind the colon and the folds kept, without the last CRLF."""
        found = []
        for field in self._fields:
            if field.raw is not None and field.name:
                name, _, value = field.raw.partition(b":")
                found.append((name.rstrip(b" \t"), value.removesuffix(b"\r\n")))
        return found

    def add(self, name: bytes, value: bytes) -> None:
        self._fields.append(self._made(name, value))

    def insert(self, index: int, name: bytes, value: bytes) -> None:
        """0 is above our own fields, 1 right below them."""
        made = self._made(name, value)
        if index == 0:
            self._above = (made.raw or b"") + self._above
        else:
            self._fields.insert(min(index - 1, len(self._fields)), made)

    def change(self, index: int, name: bytes, value: bytes) -> None:
        """The `index`th of that name, from 1. Without a value it goes; where there is none, it is added."""
        wanted = self._named(name)
        if not 1 <= index <= len(wanted):
            if value.strip():
                self.add(name, value)
            return
        wanted[index - 1].raw = self._made(name, value).raw if value.strip() else None

    def remove(self, name: bytes, index: int = 0) -> None:
        """The `index`th, from the end where that is below zero; 0 is all of them."""
        wanted = self._named(name)
        if index:
            place = index - 1 if index > 0 else len(wanted) + index
            wanted = wanted[place : place + 1] if place >= 0 else []
        for field in wanted:
            field.raw = None

    def _named(self, name: bytes) -> list[_Field]:
        return [field for field in self._fields if field.name == name.lower()]

    def _made(self, name: bytes, value: bytes) -> _Field:
        made = name + b":" + folded(value) + b"\r\n"
        self.added += made
        return _Field(made)

    @property
    def header(self) -> Header:
        """All but our own fields, as whoever reads the message wants them."""
        kept = self._above + self._kept
        return Header(kept + (self._end or (b"" if kept else b"\r\n")))

    def snapshot(self) -> Callable[[], None]:
        """What undoes all that is done from now on."""
        above, added, fields = self._above, self.added, [(field, field.raw) for field in self._fields]

        def restore() -> None:
            self._above, self.added = above, added
            self._fields = [field for field, _ in fields]
            for field, raw in fields:
                field.raw = raw

        return restore

    @property
    def final(self) -> bytes:
        """The block as it is stored."""
        kept = self._kept
        return self._above + self._top + kept + (self._end or (b"" if kept else b"\r\n"))

    @property
    def _kept(self) -> bytes:
        return b"".join(field.raw for field in self._fields if field.raw is not None)


def folded(value: bytes) -> bytes:
    """A field's value as it may stand in a header block: nothing in it begins another field, or ends the block."""
    if b"\n" not in value and b"\r" not in value and b"\0" not in value:
        return value
    first, *lines = _LINE_END.split(value.replace(b"\0", b""))
    kept = [first, *(line if line[:1] in (b" ", b"\t") else b"\t" + line for line in lines if line.strip())]
    return b"\r\n".join(kept)


class Hold:
    """A body: in memory while it is small, in a scratch file beyond. Errors of the disk are raised."""

    __slots__ = ("_budget", "_chunks", "_counted", "_make", "_scratch", "size")

    def __init__(self, scratch: Callable[[], Scratch], budget: Budget) -> None:
        self._make = scratch
        self._budget = budget
        self._scratch: Scratch | None = None
        self._chunks: list[bytes] = []  # all of it, or what is not yet in the file
        self._counted = 0
        self.size = 0

    def write(self, piece: bytes) -> Awaitable[None] | None:
        """An awaitable when the writer should wait until it is in the file. Raises BlobWriteFailed."""
        gather(self._chunks, piece)
        self.size += len(piece)
        self._counted += len(piece)
        self._budget.used += len(piece)
        if self._scratch is not None:
            return self._flush() if self._counted >= FILE_PIECE else None
        if self.size <= CROWDED_LIMIT or (self.size <= MEMORY_LIMIT and not self._budget.is_spent):
            return None
        self._scratch = self._make()
        return self._flush()

    async def _flush(self) -> None:
        piece, scratch = self._take(), self._scratch
        assert scratch is not None
        for at in range(0, len(piece), MEMORY_LIMIT):
            await scratch.write(piece[at : at + MEMORY_LIMIT])

    def _take(self) -> bytes:
        piece = b"".join(self._chunks)
        self._chunks = []
        self._budget.used -= self._counted
        self._counted = 0
        return piece

    @property
    def is_small(self) -> bool:
        return self._scratch is None

    def small_content(self) -> bytes:
        """All of it, when it is small."""
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        return self._chunks[0] if self._chunks else b""

    async def pieces(self, size: int = FILE_PIECE) -> AsyncIterator[bytes]:
        """All of it, from its beginning, in pieces of at most that size. Raises BlobWriteFailed."""
        scratch = self._scratch
        if scratch is None:
            content = self.small_content()
            for at in range(0, len(content), size):
                yield content[at : at + size]
            return
        if self._chunks:
            await self._flush()
        for at in range(0, self.size, size):
            yield await scratch.read(at, min(size, self.size - at))

    def discard(self) -> None:
        """Leave nothing behind."""
        self._take()
        if self._scratch is not None:
            self._scratch.discard()
            self._scratch = None


class NewBody:
    """What a scanner puts in the body's place: its lines end with CRLF, whatever the scanner thinks of that."""

    def __init__(self, hold: Hold) -> None:
        self.hold = hold
        self._held = b""  # a CR at the end of a piece: its LF may follow
        self._is_line = True  # what came so far is empty or ends a line
        self._reader = ChunkReader(1 << 62, repair_bare_lf=True)
        self._reader.open(1 << 61, last=False)

    def write(self, piece: bytes) -> Awaitable[None] | None:
        text = self._held + piece
        self._held = b"\r" if text.endswith(b"\r") else b""
        return self._put(text.removesuffix(b"\r"))

    def end(self) -> Awaitable[None] | None:
        """No more comes: the last line is made whole."""
        rest, self._held = self._held, b""
        return self._put(rest if rest or self._is_line else b"\n")

    def _put(self, text: bytes) -> Awaitable[None] | None:
        content = _LINE_END.sub(b"\r\n", text)
        if not content:
            return None
        self._is_line = content.endswith(b"\n")
        self._reader.feed(content)
        return self.hold.write(content)

    @property
    def flags(self) -> BodyFlag:
        return self._reader.flags | (BodyFlag.BINARY if self._reader.fault is not None else BodyFlag.NONE)


class Draft:
    """The message as scanners see it, and what they have done to it."""

    def __init__(self, fields: Fields, hold: Hold, make_hold: Callable[[], Hold], flags: BodyFlag) -> None:
        self.fields = fields
        self.body = hold
        self._make_hold = make_hold
        self._came = flags
        self._new: NewBody | None = None
        self._body_flags: BodyFlag | None = None  # of a body that is not the one that came

    @property
    def size(self) -> int:
        """Octets, about."""
        return len(self.fields.final) + self.body.size

    def replace_body(self, piece: bytes) -> Awaitable[None] | None:
        """One more piece of another body. Raises BlobWriteFailed."""
        if self._new is None:
            self._new = NewBody(self._make_hold())
        return self._new.write(piece)

    async def settle_body(self, *, good: bool = True) -> None:
        """The scanner is through; it was right, or it broke off and what it put there is forgotten."""
        new, self._new = self._new, None
        if new is None:
            return
        if not good:
            new.hold.discard()
            return
        waiting = new.end()
        if waiting is not None:
            await waiting
        self.body.discard()
        self.body, self._body_flags = new.hold, new.flags

    @property
    def flags(self) -> BodyFlag:
        """The facts of what is stored."""
        if self._body_flags is not None:
            return self._body_flags | body_flags(self.fields.final)
        return self._came | (body_flags(self.fields.added) if self.fields.added else BodyFlag.NONE)

    def discard(self) -> None:
        self.body.discard()
        if self._new is not None:
            self._new.hold.discard()
            self._new = None


class DraftSpool(Spool):
    """A spool for what scanners look at: header and body apart, the blob written at the end."""

    __slots__ = ("_head", "_hold", "_make_hold", "draft")

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
        super().__init__(blobs, budget, blob=blob, envelope=envelope, make_header=make_header, max_header=max_header)
        self._make_hold: Callable[[], Hold] = partial(Hold, blobs.scratch, budget)
        self._hold: Hold | None = None  # from the end of the header block on
        self._head = b""
        self._hash = hashlib.sha256()
        self.draft: Draft | None = None

    def write(self, chunk: bytes) -> Awaitable[None] | None:
        self.size += len(chunk)
        if self._fault is not None:
            return None
        self._hash_of.update(chunk)
        if self._hold is not None:
            return self._keep(chunk)
        gather(self._chunks, chunk)
        self._counted += len(chunk)
        self._budget.used += len(chunk)
        return self._look_for_body() if self.size >= self._look_at else None

    @property
    def _hash_of(self) -> hashlib._Hash:
        assert self._hash is not None
        return self._hash

    def _look_for_body(self) -> Awaitable[None] | None:
        came = b"".join(self._chunks)
        self._chunks = [came]
        length = header_length(came)
        if length is None:
            if len(came) > self._max_header:
                self._fail(HEADER_TOO_LARGE)
            elif self._budget.is_spent and len(came) > CROWDED_LIMIT:
                self._fail(BUSY)
            self._look_at = self.size + HEADER_STEP if len(came) > HEADER_STEP else 0
            return None
        self._forget_chunks()
        self._head, self._hold = came[:length], self._make_hold()
        return self._keep(came[length:]) if len(came) > length else None

    def _keep(self, piece: bytes) -> Awaitable[None] | None:
        assert self._hold is not None
        try:
            waiting = self._hold.write(piece)
        except BlobWriteFailed as error:
            self._fail(status_of(error))
            return None
        return self._guarded(waiting) if waiting is not None else None

    async def _guarded(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except BlobWriteFailed as error:
            self._fail(status_of(error))

    def end(self) -> Header | Status:
        if self._fault is not None:
            return self._fault
        if self._header is None:
            if self._hold is None:
                came = b"".join(self._chunks)
                self._forget_chunks()
                self._head, self._hold = came, self._make_hold()
            self._header, self._final = self._make_header(Header(self._head))
        return self._header

    def begin(self, flags: BodyFlag) -> Draft:
        """After `end`: what the scanners work on."""
        assert self._header is not None
        assert self._hold is not None
        visible, final = self._header.raw, self._final
        if not visible or not final.endswith(visible):
            visible += b"\r\n"
        fields = Fields(final[: len(final) - len(visible)], visible)
        self.draft = Draft(fields, self._hold, self._make_hold, flags)
        return self.draft

    @property
    def is_small(self) -> bool:
        return False

    async def finish(self) -> Spooled | Status:
        if self._fault is not None or self._header is None or self._hold is None:
            return self._fault or BUSY
        header, final, body = self._header, self._final, self._hold
        if self.draft is not None:
            header, final, body = self.draft.fields.header, self.draft.fields.final, self.draft.body
        digest = Digest(made=self._hash_of.digest())
        if body.is_small:
            content = final + body.small_content()
            self.discard()
            return Spooled(header, final, len(content), digest, content)
        size = len(final) + body.size
        try:
            place = await self._store(final, body)
        except BlobWriteFailed as error:
            return status_of(error)
        finally:
            self.discard()
        return Spooled(header, final, size, digest, place=place)

    async def _store(self, final: bytes, body: Hold) -> BlobPlace:
        self._writer = writer = self._blobs.create(self._blob, self._envelope())
        await writer.write(final)
        async for piece in body.pieces():
            await writer.write(piece)
        place = await writer.finish()
        self._writer = None
        return place

    def discard(self) -> None:
        super().discard()
        if self.draft is not None:
            self.draft.discard()
        if self._hold is not None:
            self._hold.discard()
            self._hold = None
