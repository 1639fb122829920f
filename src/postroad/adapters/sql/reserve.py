"""Disk reserves: a soft one that new mail must leave free, and a hard one for what must be written all the same."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from postroad.adapters.blobs.files import FileSystem

log = logging.getLogger(__name__)

BALLAST = 64 * 1024 * 1024
_REMEMBER = 1.0  # seconds that a look at the disk counts


class Reserve:
    """`has_room` is asked by the loop, the ballast is handled by the writer."""

    def __init__(
        self,
        directory: Path,
        files: FileSystem,
        *,
        min_free: int,
        ballast: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._files = files
        self._min_free = min_free
        self._ballast = ballast
        self._path = directory / "ballast"
        self._monotonic = monotonic
        self._free = 0
        self._looked = float("-inf")
        self._tried = float("-inf")
        self._lock = threading.Lock()

    def has_room(self, size: int) -> bool:
        """Whether `size` more octets leave the soft reserve whole."""
        now = self._monotonic()
        if now - self._looked >= _REMEMBER:
            self._looked = now
            self._free = self._look()
        return self._free - size >= self._min_free

    def _look(self) -> int:
        try:
            return self._files.free(self._directory)
        except OSError as error:
            log.error("cannot tell how much of the disk is free: %s", error)
            return 0

    def forget(self) -> None:
        """Something just found the disk full: look again at the next question."""
        self._looked = float("-inf")

    def use_ballast(self) -> bool:
        """Free the hard reserve, for outcomes and deletions. False when it is spent already."""
        with self._lock:
            if not self._ballast or not self._path.exists():
                return False
            try:
                self._files.remove(self._path)
            except OSError as error:
                log.error("cannot free the disk reserve: %s", error)
                return False
            log.warning("the disk is full: the reserve of %d octets is freed for outcomes", self._ballast)
            return True

    def keep_ballast(self) -> None:
        """Make the hard reserve where it is missing and the disk has room for it beside the soft one."""
        now = self._monotonic()
        if not self._ballast or now - self._tried < _REMEMBER:
            return
        self._tried = now
        with self._lock:
            if not self._path.exists() and self._look() >= self._min_free + self._ballast:
                self._make()

    def _make(self) -> None:
        try:
            fd = self._files.create(self._path)
            try:
                self._files.reserve(fd, self._ballast)
            finally:
                os.close(fd)
        except OSError as error:
            log.warning("cannot set the disk reserve aside: %s", error)
            self._path.unlink(missing_ok=True)
