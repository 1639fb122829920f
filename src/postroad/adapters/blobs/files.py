"""The few file operations that storage stands on, in one place so that a test can make them fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from postroad.ports.blobs import BlobWriteFailed

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
IOV_MAX = 1024  # Linux: more buffers in one call are EINVAL


class FileSystem:
    """The real one. Tests give a subclass that raises ENOSPC or EIO at a chosen call."""

    def create(self, path: Path) -> int:
        """A new file, open for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, buffers: Sequence[bytes], offset: int) -> int:
        """One pwritev; may write less than it was given."""
        return os.pwritev(fd, buffers, offset)

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        """Make the names in `path` durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def reserve(self, fd: int, size: int) -> None:
        """Real blocks for `size` octets, so that freeing them frees something."""
        os.posix_fallocate(fd, 0, size)

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def free(self, path: Path) -> int:
        """Octets that an ordinary user may still write."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize


def write_fully(files: FileSystem, fd: int, buffers: list[bytes], offset: int) -> None:
    """Write all buffers, however little each call takes. Raises OSError."""
    position = 0  # of the first buffer that is not yet written
    while position < len(buffers):
        piece = buffers[position : position + IOV_MAX]
        written = files.write(fd, piece, offset)
        if written <= 0:
            raise OSError(errno.EIO, "a write wrote nothing")
        offset += written
        for buffer in piece:
            if written < len(buffer):
                buffers[position] = buffer[written:]
                break
            written -= len(buffer)
            position += 1


def failure(error: OSError) -> BlobWriteFailed:
    """What the store is told of a failed file operation."""
    return BlobWriteFailed(str(error), no_space=error.errno in NO_SPACE)
