"""The record that holds one piece of content, in segments and in files of its own; and the scanner that reads them.

`magic u32 | version u8 | flags u8 | header length u32 | body length u32 | crc32 u32 | id 128 bit | header | body`,
little endian. The checksum covers the body, then all else that stands behind the magic: in this order a large body can
be summed while it arrives. The header is the envelope as msgpack, so that segments alone can prove what was accepted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from postroad.ports.ids import BlobId

MAGIC = b"\xf5PR\x01"  # no UTF-8 text holds 0xF5
VERSION = 1
VOID = 1  # flag: the body is a list of ids that were refused after they had been written
FIXED = struct.Struct("<4sBBIII16s")
FIXED_SIZE = FIXED.size
MAX_HEADER = 64 * 1024 * 1024
_CHECKED = struct.Struct("<BBII16s")
_PIECE = 1 << 20


def start(blob: BlobId, header: bytes, body: bytes, flags: int = 0) -> bytes:
    """The fixed part of a record whose body is at hand."""
    return fixed(blob, header, len(body), crc32(body), flags)


def fixed(blob: BlobId, header: bytes, body_length: int, body_crc: int, flags: int = 0) -> bytes:
    """The fixed part of a record of whose body only the checksum is at hand."""
    key = blob.to_bytes(16, "big")
    crc = _finish(body_crc, flags, header, body_length, key)
    return FIXED.pack(MAGIC, VERSION, flags, len(header), body_length, crc, key)


def _finish(body_crc: int, flags: int, header: bytes, body_length: int, key: bytes) -> int:
    return crc32(header, crc32(_CHECKED.pack(VERSION, flags, len(header), body_length, key), body_crc))


def void_body(blobs: Sequence[BlobId]) -> bytes:
    return b"".join(blob.to_bytes(16, "big") for blob in blobs)


@dataclass(frozen=True, slots=True)
class Scanned:
    """One record as it lies in a file. `offset` is the body's, as in BlobPlace; a damaged stretch has no id."""

    blob: BlobId | None
    start: int
    offset: int
    length: int
    flags: int = 0
    header: bytes = b""
    voids: tuple[BlobId, ...] = ()

    @property
    def damaged(self) -> bool:
        return self.blob is None


def scan(path: Path) -> Iterator[Scanned]:
    """Every record of a file in order, and every damaged stretch, in bounded memory; zeros to the end are no damage.

    Pages are dropped from the cache first: what the cache still shows proves nothing about the disk.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(fd).st_size
        position = 0
        while position < size:
            record = _read_record(fd, position, size)
            if record is None:
                following = _next_magic(fd, position, size) or size
                if not _zeros(fd, position, following):
                    yield Scanned(None, position, position, following - position)
                position = following
            else:
                yield record
                position = record.offset + record.length
    finally:
        os.close(fd)


def _read_record(fd: int, position: int, size: int) -> Scanned | None:
    """The record at `position`, or None where no whole record with a right checksum lies."""
    raw = os.pread(fd, FIXED_SIZE, position)
    if len(raw) < FIXED_SIZE or not raw.startswith(MAGIC):
        return None
    _, version, flags, header_length, length, crc, key = FIXED.unpack(raw)
    offset = position + FIXED_SIZE + header_length
    if version != VERSION or header_length > MAX_HEADER or offset + length > size:
        return None
    header = os.pread(fd, header_length, position + FIXED_SIZE)
    running = 0
    body = b""
    for at in range(offset, offset + length, _PIECE):
        body = os.pread(fd, min(_PIECE, offset + length - at), at)
        running = crc32(body, running)
    if _finish(running, flags, header, length, key) != crc:
        return None
    voids = _voids(body) if flags & VOID else ()
    return Scanned(BlobId(int.from_bytes(key, "big")), position, offset, length, flags, header, voids)


def _voids(body: bytes) -> tuple[BlobId, ...]:
    return tuple(BlobId(int.from_bytes(body[at : at + 16], "big")) for at in range(0, len(body), 16))


def _next_magic(fd: int, position: int, size: int) -> int | None:
    """Where the next whole record begins behind a damaged one."""
    at = position + 1
    while at < size:
        piece = os.pread(fd, _PIECE, at)
        found = piece.find(MAGIC)
        while found >= 0:
            if _read_record(fd, at + found, size):
                return at + found
            found = piece.find(MAGIC, found + 1)
        if len(piece) < _PIECE:
            return None
        at += _PIECE - len(MAGIC) + 1
    return None


def _zeros(fd: int, position: int, end: int) -> bool:
    """Nothing but what was filled ahead and never written."""
    for at in range(position, end, _PIECE):
        piece = os.pread(fd, min(_PIECE, end - at), at)
        if piece.count(0) != len(piece):
            return False
    return True
