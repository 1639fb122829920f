"""How a client writes content: with doubled dots, as it is, or counted (RFC 5321 §4.5.2, RFC 3030 §2).

Each has `write` for a piece, `finish` for what ends the content, and `size`, the octets of it so far.
"""

from __future__ import annotations

from postroad.proto.dotstuff import CRLF, END, DotStuffer
from postroad.proto.wire import ProtocolMisuse

DOT = b".\r\n"


class Plain:
    """By DATA, where no line begins with a dot: nothing is looked at but the end."""

    __slots__ = ("_tail", "size")

    def __init__(self) -> None:
        self.size = 0
        self._tail = CRLF  # the last octets so far

    def write(self, data: bytes) -> bytes:
        self.size += len(data)
        self._tail = data[-2:] if len(data) > 1 else self._tail[-1:] + data
        return data

    def finish(self) -> bytes:
        """The end of the last line, where it lacks one, and the final dot."""
        return DOT if self._tail == CRLF else END


class Dotted:
    """By DATA."""

    __slots__ = ("_stuffer", "size")

    def __init__(self) -> None:
        self.size = 0
        self._stuffer = DotStuffer()

    def write(self, data: bytes) -> bytes:
        self.size += len(data)
        return self._stuffer.write(data)

    def finish(self) -> bytes:
        return self._stuffer.finish()


class Counted:
    """By BDAT: as many octets as were said. Of a longer one the server would read the rest as commands, a shorter one
    would swallow our next command: neither leaves us."""

    __slots__ = ("_octets", "size")

    def __init__(self, octets: int) -> None:
        self.size = 0
        self._octets = octets

    def write(self, data: bytes) -> bytes:
        self.size += len(data)
        if self.size > self._octets:
            raise ProtocolMisuse("the body is longer than its chunk")
        return data

    def finish(self) -> bytes:
        if self.size != self._octets:
            raise ProtocolMisuse("the body is shorter than its chunk")
        return b""
