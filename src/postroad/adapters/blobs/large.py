"""Large content in a file of its own, written off the loop while it is received."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from postroad.adapters.blobs.files import FileSystem, failure, write_fully
from postroad.adapters.blobs.record import FIXED_SIZE, fixed
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import BlobId, id_text

T = TypeVar("T")

_PIECE = 8 * 1024  # gathered before a thread writes it; a thousand stalled senders hold a thousand of them


class LargeWriter:
    """One file on its way: `ID.part` until it is whole and synced, then `ID.blob`, in the same record format."""

    def __init__(self, files: FileSystem, directory: Path, blob: BlobId, envelope: bytes, threads: Executor) -> None:
        self._files = files
        self._path = directory / f"{id_text(blob)}.part"
        self._blob = blob
        self._envelope = envelope
        self._threads = threads
        self._fd = -1
        self._pieces: list[bytes] = []
        self._waiting = 0  # octets in `_pieces`
        self._length = 0  # octets written
        self._crc = 0  # of the content so far
        self._step = threading.Lock()  # held while a thread uses the file
        self._discarded = False

    async def write(self, chunk: bytes) -> None:
        """Take a piece of the content; waits for the disk once enough is gathered. Raises BlobWriteFailed."""
        if chunk:
            self._pieces.append(chunk)
        self._waiting += len(chunk)
        if self._waiting >= _PIECE:
            await self._run(self._flush)

    async def finish(self) -> BlobPlace:
        """Sync file and directory. Raises BlobWriteFailed."""
        return await self._run(self._finish)

    def discard(self) -> None:
        """Leave nothing behind. A write that is under way in a thread clears up when it ends, else another thread does:
        a thousand clients that break off at once would hold up the loop."""
        self._discarded = True
        if self._fd < 0:
            return
        try:
            self._threads.submit(self._guarded, _nothing)
        except RuntimeError:  # the threads have ended, and so has the loop
            self._guarded(_nothing)

    async def _run(self, step: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._guarded, step)
        except OSError as error:
            raise failure(error) from error

    def _guarded(self, step: Callable[[], T]) -> T:
        with self._step:
            try:
                return step()
            except OSError:
                self._discarded = True
                raise
            finally:
                if self._discarded:
                    self._remove()

    def _remove(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with suppress(OSError):
            self._files.remove(self._path)

    def _flush(self) -> None:
        if self._fd < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = self._files.create(self._path)
        pieces, size, self._pieces, self._waiting = self._pieces, self._waiting, [], 0
        for piece in pieces:
            self._crc = crc32(piece, self._crc)
        write_fully(self._files, self._fd, pieces, FIXED_SIZE + len(self._envelope) + self._length)
        self._length += size

    def _finish(self) -> BlobPlace:
        self._flush()
        head = fixed(self._blob, self._envelope, self._length, self._crc)
        write_fully(self._files, self._fd, [head, self._envelope], 0)
        self._files.sync(self._fd)
        final = self._path.with_suffix(".blob")
        self._files.rename(self._path, final)
        self._files.sync_directory(final.parent)
        os.close(self._fd)
        self._fd = -1
        return BlobPlace(final.name, FIXED_SIZE + len(self._envelope), self._length)


def _nothing() -> None: ...
