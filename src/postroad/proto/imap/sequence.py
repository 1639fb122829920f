"""Sequence sets and UID sets: `2,4:7,12:*` (RFC 3501 §9 sequence-set).

A set is kept as ranges and never spelled out, so that `1:4294967295` costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_NUMBER = 0xFFFFFFFF  # RFC 3501 §9 nz-number
STAR = 0  # stands for `*`, the largest number in use; 0 itself is not a valid number
MAX_RANGES = 10_000


class SequenceError(ValueError):
    """The text is not a sequence set."""


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Ranges as the client wrote them; either end may be STAR."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: bytes) -> SequenceSet:
        """Read a sequence set. Raises SequenceError."""
        parts = text.split(b",", MAX_RANGES)
        if len(parts) > MAX_RANGES:
            raise SequenceError("the sequence set has too many ranges")
        return cls(tuple(_range(part) for part in parts))

    def resolve(self, largest: int) -> list[tuple[int, int]]:
        """Ranges in ascending order, merged, with `*` replaced by `largest` (RFC 3501: `*:4` and `4:*` alike)."""
        pairs = []
        for low, high in self.ranges:
            low, high = low or largest, high or largest  # noqa: PLW2901
            pairs.append((low, high) if low <= high else (high, low))
        return merge(pairs)

    @property
    def highest(self) -> int:
        """The largest number that is written out; 0 when there is none but `*`."""
        return max(max(pair) for pair in self.ranges)

    @property
    def has_star(self) -> bool:
        return any(STAR in pair for pair in self.ranges)

    def __bytes__(self) -> bytes:
        return b",".join(_spell(low, high) for low, high in self.ranges)


def merge(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending ranges that neither overlap nor touch."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            if high > merged[-1][1]:
                merged[-1] = (merged[-1][0], high)
        else:
            merged.append((low, high))
    return merged


def compact(numbers: Iterable[int]) -> bytes:
    """Numbers, in the order given, as a set: `1:3,7` (for COPYUID, whose two sets correspond; RFC 4315 §3)."""
    return b",".join(_spell(low, high) for low, high in runs(numbers))


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Runs of numbers that follow one another by one."""
    low = high = -1
    for number in numbers:
        if low >= 0 and number == high + 1:
            high = number
            continue
        if low >= 0:
            yield low, high
        low = high = number
    if low >= 0:
        yield low, high


def _range(part: bytes) -> tuple[int, int]:
    low, colon, high = part.partition(b":")
    first = _number(low)
    return first, _number(high) if colon else first


def _number(text: bytes) -> int:
    if text == b"*":
        return STAR
    if not text.isdigit() or len(text) > 10 or not 0 < int(text) <= MAX_NUMBER:
        raise SequenceError("a sequence set is numbers, ranges a:b and *, joined by commas")
    return int(text)


def _spell(low: int, high: int) -> bytes:
    first = b"%d" % low if low else b"*"
    if low == high:
        return first
    return first + b":" + (b"%d" % high if high else b"*")
