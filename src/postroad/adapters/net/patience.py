"""One deadline for one connection, moved at every step for the price of an addition.

The timer behind it is not made anew for each command: when it fires too early it looks at the deadline and waits for
the rest. Only a deadline that comes before the timer needs a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Protocol

GRAIN = 0.001  # an event loop's clock counts milliseconds


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None: ...


class Timers(Protocol):
    """The part of an event loop that tells time; a test's jumping clock has it too."""

    def time(self) -> float: ...

    def call_later(self, delay: float, callback: Callable[..., Any], /, *args: Any) -> Timer: ...


class Patience:
    """Calls `expired` when the deadline passes."""

    __slots__ = ("_due", "_expired", "_timer", "_timers", "deadline")

    def __init__(self, timers: Timers, expired: Callable[[], None]) -> None:
        self._timers = timers
        self._expired = expired
        self._timer: Timer | None = None
        self._due = inf  # when the timer fires
        self.deadline = inf

    def arm(self, seconds: float) -> None:
        """The deadline is `seconds` from now."""
        self.deadline = deadline = self._timers.time() + seconds
        if self._timer is not None:
            if self._due <= deadline:
                return
            self._timer.cancel()
        self._start(seconds)

    def disarm(self) -> None:
        """No deadline; the timer may run out by itself."""
        self.deadline = inf

    def end(self) -> None:
        """No deadline ever again: let go of everything, of the owner too."""
        self.deadline = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expired = _nothing

    def _start(self, seconds: float) -> None:
        self._due = self.deadline
        self._timer = None if self.deadline == inf else self._timers.call_later(seconds, self._fired)

    def _fired(self) -> None:
        self._timer = None
        if self.deadline == inf:
            return
        left = self.deadline - self._timers.time()
        if left > GRAIN:
            self._start(left)
        else:
            self.deadline = inf
            self._expired()


def _nothing() -> None: ...
