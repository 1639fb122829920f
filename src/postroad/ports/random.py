"""The randomness port: spread for retries, choice among equals, secrets."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any, Protocol


class Random(Protocol):
    """Randomness comes from here, so that a test can repeat it."""

    def fraction(self) -> float:
        """A number from 0 up to but not including 1."""

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Put `items` in random order, in place."""

    def token(self, n_bytes: int) -> bytes:
        """Unguessable bytes."""
