"""Disks that fail when a test says so: under the segments (`FaultyFiles`) and under SQLite (`FaultyVfs`)."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from postroad.adapters.blobs.files import FileSystem

NO_SPACE = errno.ENOSPC
BROKEN = errno.EIO
_numbers = itertools.count()


class FaultyFiles(FileSystem):
    """`fail("write", NO_SPACE)` makes that operation fail until `heal`; `calls` tells what was done, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.free_octets: int | None = None
        self.most_per_write: int | None = None  # a short write
        self._failing: dict[str, int] = {}

    def fail(self, operation: str, error: int) -> None:
        self._failing[operation] = error

    def heal(self) -> None:
        self._failing.clear()

    def _note(self, operation: str) -> None:
        self.calls.append(operation)
        if operation in self._failing:
            raise OSError(self._failing[operation], os.strerror(self._failing[operation]))

    def create(self, path: Path) -> int:
        self._note("create")
        return super().create(path)

    def write(self, fd: int, buffers: Sequence[bytes], offset: int) -> int:
        self._note("write")
        if self.most_per_write is not None:
            return os.pwrite(fd, b"".join(buffers)[: self.most_per_write], offset)
        return super().write(fd, buffers, offset)

    def sync(self, fd: int) -> None:
        self._note("sync")
        super().sync(fd)

    def sync_directory(self, path: Path) -> None:
        self._note("sync_directory")
        super().sync_directory(path)

    def reserve(self, fd: int, size: int) -> None:
        self._note("reserve")
        super().reserve(fd, size)

    def free(self, path: Path) -> int:
        return super().free(path) if self.free_octets is None else self.free_octets


class FaultyVfs(apsw.VFS):
    """The system's files with two faults to switch on. Its `name` goes to the engine."""

    def __init__(self) -> None:
        self.name = f"faulty-{next(_numbers)}"
        self.on_write: Callable[[str], None] | None = None  # called with the file's name; raises to fail
        self.on_sync: Callable[[str], None] | None = None
        super().__init__(self.name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's word
        return _FaultyFile(self, name, flags)

    def heal(self) -> None:
        self.on_write = self.on_sync = None

    def full(self) -> None:
        """From now on no write finds room."""
        self.on_write = _no_room

    def broken(self) -> None:
        """From now on every sync fails: a commit's frames may have been written or not."""
        self.on_sync = _no_sync


class _FaultyFile(apsw.VFSFile):
    def __init__(self, vfs: FaultyVfs, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._vfs = vfs
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._vfs.on_write:
            self._vfs.on_write(self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._vfs.on_sync:
            self._vfs.on_sync(self._name)
        super().xSync(flags)


def _no_room(_: str) -> None:
    raise apsw.FullError("no space left on device")


def _no_sync(_: str) -> None:
    raise apsw.IOError("sync failed")
