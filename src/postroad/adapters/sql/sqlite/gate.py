"""A gate in front of readers: the writer closes it for a moment when the write-ahead log must be started anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._held = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._changed:
            while self._held:
                self._changed.wait()
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def held(self, patience: float) -> Iterator[bool]:
        """Nobody new gets in; True when all who were inside have left within `patience` seconds."""
        with self._changed:
            self._held = True
            empty = self._changed.wait_for(lambda: not self._inside, patience)
        try:
            yield empty
        finally:
            with self._changed:
                self._held = False
                self._changed.notify_all()
