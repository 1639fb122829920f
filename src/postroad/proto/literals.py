"""IMAP-style literals: `{n}` and `{n+}` at the end of a line, then n octets (RFC 3501 §4.3, RFC 7888).

Shared by the protocols that have them. Finds the announcement and counts the octets; what may be taken, and how much,
its callers decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARK = re.compile(rb"\{([0-9]{1,20})(\+?)\}\Z")
MAX_SIZE = (1 << 63) - 1  # RFC 9051 §9 number64: more is not a number of octets


@dataclass(frozen=True, slots=True)
class Literal:
    """An announced literal. `synchronizing`: the peer waits for a continuation before it sends the octets."""

    size: int
    synchronizing: bool


def announced(line: bytes) -> Literal | None:
    """The literal that `line`, without its line ending, announces at its end."""
    if not line.endswith(b"}"):
        return None
    mark = _MARK.search(line)
    if not mark or int(mark[1]) > MAX_SIZE:
        return None
    return Literal(int(mark[1]), not mark[2])


def take(buffer: bytearray, remaining: int) -> bytes:
    """Remove and return up to `remaining` octets from the front of `buffer`."""
    if len(buffer) <= remaining:
        chunk = bytes(buffer)
        buffer.clear()
    else:
        with memoryview(buffer) as view:
            chunk = bytes(view[:remaining])
        del buffer[:remaining]
    return chunk
