"""Octets that are needed for a moment: a file whose name is taken away as soon as it is open.

What a crash leaves in between ends in `.part`, and the next start removes it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from postroad.adapters.blobs.files import FileSystem, failure, write_fully

T = TypeVar("T")


class ScratchFile:
    """Implements ports.blobs.Scratch. The file is made with the first octets."""

    def __init__(self, files: FileSystem, path: Path, threads: Executor) -> None:
        self._files = files
        self._path = path
        self._threads = threads
        self._fd = -1
        self._end = 0
        self._step = threading.Lock()  # held while a thread uses the file
        self._discarded = False

    async def write(self, piece: bytes) -> None:
        try:
            await self._run(lambda: self._append(piece))
        except OSError as error:
            raise failure(error) from error

    async def read(self, start: int, length: int) -> bytes:
        try:
            return await self._run(lambda: os.pread(self._fd, length, start) if self._fd >= 0 else b"")
        except OSError as error:
            raise failure(error) from error

    def discard(self) -> None:
        self._discarded = True
        if self._step.acquire(blocking=False):
            self._close()
            self._step.release()

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._guarded, step)

    def _guarded(self, step: Callable[[], T]) -> T:
        with self._step:
            try:
                return step()
            finally:
                if self._discarded:
                    self._close()

    def _append(self, piece: bytes) -> None:
        if self._discarded:
            return
        if self._fd < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = self._files.create(self._path)
            self._files.remove(self._path)
        write_fully(self._files, self._fd, [piece], self._end)
        self._end += len(piece)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
