"""Where a run has been: the steps from line to line of our own code, so that fuzzing knows an input that leads on.

By `sys.settrace`, which makes a run some ten times slower; what is found that way is worth it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import postroad

Tracer = Callable[[FrameType, str, Any], Any]
_OURS = str(Path(postroad.__file__).parent) + "/"


class Trail:
    """All steps that were ever taken. A step is from one line to the next, wherever that is."""

    __slots__ = ("_at", "_taken", "seen")

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self._taken: set[int] = set()
        self._at = 0

    def follow(self, run: Callable[[bytes], None], data: bytes) -> set[int]:
        """Run it; the steps that it took, whether or not it raised."""
        self._taken, self._at = set(), 0
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            run(data)
        finally:
            sys.settrace(before)
        return self._taken

    def leads_on(self) -> bool:
        """Whether the last run took a step that none before it took; from now on they are known."""
        new = not self._taken <= self.seen
        self.seen |= self._taken
        return new

    def _enter(self, frame: FrameType, _event: str, _arg: object) -> Tracer | None:
        return self._step if frame.f_code.co_filename.startswith(_OURS) else None

    def _step(self, frame: FrameType, event: str, _arg: object) -> Tracer:
        if event == "line":
            here = id(frame.f_code) + frame.f_lineno
            self._taken.add(self._at ^ here)
            self._at = here << 1
        return self._step
