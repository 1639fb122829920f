"""Reading content: what the page cache has is read in place, the rest in a thread."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from postroad.ports.blobs import BlobPlace

PIECE = 64 * 1024  # octets of one piece of a stream
_IN_PLACE = 256 * 1024  # more is copied in a thread even when the cache has it
_OPEN_FILES = 128


class _File:
    """One open file; closed when the last reader lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


class Reader:
    """Reads by place, keeping the files used last open."""

    def __init__(self, path: Callable[[str], Path], threads: Executor) -> None:
        self._path = path
        self._threads = threads
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._lock = threading.Lock()
        self._can_ask_cache = hasattr(os, "RWF_NOWAIT")

    async def read(self, place: BlobPlace, start: int, length: int | None) -> bytes:
        """Raises OSError when the file is gone or shorter than the place says."""
        start, size = _bounds(place, start, length)
        if size <= 0:
            return b""
        file = self._file(place.segment)
        data = self._cached(file, place.offset + start, size) if size <= _IN_PLACE else None
        if data is None:
            loop = asyncio.get_running_loop()
            data = await loop.run_in_executor(self._threads, _read_fully, file, place.offset + start, size)
        return data

    async def read_many(self, ranges: Sequence[tuple[BlobPlace, int, int | None]]) -> list[bytes]:
        """What the cache lacks is fetched by one thread."""
        wanted = [(place, *_bounds(place, start, length)) for place, start, length in ranges]
        found: list[bytes | None] = []
        missing: list[tuple[int, _File, int, int]] = []
        for position, (place, start, size) in enumerate(wanted):
            file = self._file(place.segment)
            offset = place.offset + start
            data = b"" if size <= 0 else self._cached(file, offset, size) if size <= _IN_PLACE else None
            found.append(data)
            if data is None:
                missing.append((position, file, offset, size))
        if missing:
            loop = asyncio.get_running_loop()
            fetched = await loop.run_in_executor(
                self._threads, lambda: [_read_fully(file, offset, size) for _, file, offset, size in missing]
            )
            for (position, *_), data in zip(missing, fetched, strict=True):
                found[position] = data
        return [data for data in found if data is not None]

    async def stream(self, place: BlobPlace, start: int, length: int | None) -> AsyncIterator[bytes]:
        start, size = _bounds(place, start, length)
        for at in range(start, start + size, PIECE):
            yield await self.read(place, at, min(PIECE, start + size - at))

    def _cached(self, file: _File, offset: int, size: int) -> bytes | None:
        """The octets when no disk is needed for them; None when a thread should fetch them."""
        if not self._can_ask_cache:
            return _read_fully(file, offset, size) if size <= PIECE else None
        buffer = bytearray(size)
        try:
            got = os.preadv(file.fd, [buffer], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            self._can_ask_cache = False
            return self._cached(file, offset, size)
        return bytes(buffer) if got == size else None

    def _file(self, name: str) -> _File:
        with self._lock:
            file = self._files.get(name)
            if file is None:
                file = self._files[name] = _File(self._path(name))
                if len(self._files) > _OPEN_FILES:
                    self._files.popitem(last=False)
            else:
                self._files.move_to_end(name)
            return file

    def forget(self, name: str) -> None:
        with self._lock:
            self._files.pop(name, None)

    def close(self) -> None:
        with self._lock:
            self._files.clear()


def _bounds(place: BlobPlace, start: int, length: int | None) -> tuple[int, int]:
    left = max(0, place.length - start)
    return start, left if length is None else min(length, left)


def _read_fully(file: _File, offset: int, size: int) -> bytes:
    pieces = []
    while size:
        piece = os.pread(file.fd, size, offset)
        if not piece:
            raise OSError(errno.EIO, "content ends before its place does")
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
