"""The workers port: threads for work that is too long for the loop (hashing, signing, MIME of large messages)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Workers(Protocol):
    """A small pool of threads."""

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        """Call `function` in a worker thread; its result or exception comes back to the loop."""
