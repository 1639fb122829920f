"""The arguments of an operation, as they came through the control socket or from a command in the same process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from postroad.ports.store import Refused

T = TypeVar("T")


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in [b""][:0]:
        yield chunk


@dataclass(slots=True)
class Arguments:
    """What came with a request: values by name, and perhaps the octets of a message."""

    values: Mapping[str, Any]
    content: AsyncIterator[bytes] = field(default_factory=_nothing)

    def text(self, name: str) -> str:
        return self._typed(name, "")

    def number(self, name: str) -> int:
        return self._typed(name, 0)

    def truth(self, name: str) -> bool:
        return self._typed(name, False)

    def texts(self, name: str) -> list[str]:
        found: list[str] = self._typed(name, [])
        if not all(isinstance(part, str) for part in found):
            raise Refused(f"`{name}` must be a list of texts")
        return found

    def _typed(self, name: str, default: T) -> T:
        value = self.values.get(name, default)
        if type(value) is not type(default):
            raise Refused(f"`{name}` must be of type {type(default).__name__}")
        return value
