"""The operating system's randomness."""

from __future__ import annotations

import secrets
from collections.abc import MutableSequence
from random import SystemRandom
from typing import Any

_system = SystemRandom()


class SystemRandomness:
    """Implements ports.random.Random."""

    __slots__ = ()

    def fraction(self) -> float:
        return _system.random()

    def shuffle(self, items: MutableSequence[Any]) -> None:
        _system.shuffle(items)

    def token(self, n_bytes: int) -> bytes:
        return secrets.token_bytes(n_bytes)
