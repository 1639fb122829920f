"""One deadline for one connection, moved at every step for the price of an addition.

The timer behind it is not made anew for each command: when it fires too early it looks at the deadline and waits for
the rest. Only a deadline that comes before the timer needs a new one; the first timer is short, so that a conversation
of a few seconds, whatever its deadlines, has one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Protocol

FIRST = 5.0  # seconds
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

    __slots__ = ("_due", "_expired", "_first", "_timer", "_timers", "deadline")

    def __init__(self, timers: Timers, expired: Callable[[], None]) -> None:
        self._timers = timers
        self._expired = expired
        self._timer: Timer | None = None
        self._first = FIRST
        self._due = inf  # when the timer fires
        self.deadline = inf

    def arm(self, seconds: float) -> None:
        """The deadline is `seconds` from now."""
        now = self._timers.time()
        self.deadline = deadline = now + seconds
        if deadline == inf:
            return
        if self._timer is not None:
            if self._due <= deadline:
                return
            self._timer.cancel()
        wait, self._first = min(seconds, self._first), inf
        self._start(now, wait)

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

    def _start(self, now: float, wait: float) -> None:
        self._due = now + wait
        self._timer = self._timers.call_later(wait, self._fired)

    def _fired(self) -> None:
        self._timer = None
        if self.deadline == inf:
            return
        now = self._timers.time()
        left = self.deadline - now
        if left > GRAIN:
            self._start(now, left)
        else:
            self.deadline = inf
            self._expired()


def _nothing() -> None: ...
