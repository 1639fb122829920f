r"""Message content over DATA: the server's reader and the client's writer (RFC 5321 §4.1.1.4, §4.5.2).

The end is `\r\n.\r\n` and nothing else. A bare CR or LF never ends a line here; whether content that has one is
refused, or (for our own submitters) its bare LFs are made whole, is the caller's setting. A faulty body is read to its
real end and reported once, so that no part of it is ever taken for commands.
"""

from __future__ import annotations

from enum import Enum

from postroad.mail.envelope import BodyFlag
from postroad.proto.dotstuff import DotReader, DotStuffer, unstuff

MAX_LINE = 998  # octets without CRLF, RFC 5322 §2.1.1
_LINE_WINDOW = MAX_LINE + 2


class BodyFault(Enum):
    """Why a body is refused. The first that applies, in this order, is reported, however the bytes were cut (a size is
    only sure where no bare CR kept a piece from being repaired, so that comes first)."""

    BARE_CR = "bare CR"
    TOO_LARGE = "too large"
    BARE_LF = "bare LF"


# Bits while reading: an operation on an enum flag costs as much as a scan of a kilobyte.
_BARE_CR, _TOO_LARGE, _BARE_LF = 1, 2, 4
_FAULTS = (
    None,
    *(
        BodyFault.BARE_CR if bits & _BARE_CR else BodyFault.TOO_LARGE if bits & _TOO_LARGE else BodyFault.BARE_LF
        for bits in range(1, 8)
    ),
)
_DOT_LINES, _EIGHT_BIT, _NUL, _LONG_LINES = (
    int(flag) for flag in (BodyFlag.DOT_LINES, BodyFlag.EIGHT_BIT, BodyFlag.NUL, BodyFlag.LONG_LINES)
)
_FLAGS = tuple(BodyFlag(bits) for bits in range(16))


class BodyReader:
    """Bytes from the wire in, content out, by whole-buffer passes: a loop over octets is a hundred times slower.

    `flags` and `size` are about the content that was handed out, and complete when the end has come.
    """

    __slots__ = ("_at_line_start", "_column", "_faults", "_flags", "_max_size", "_reader", "_repair", "size")

    def __init__(self, max_size: int, *, repair_bare_lf: bool = False) -> None:
        self._reader = DotReader()
        self._max_size = max_size
        self._repair = repair_bare_lf
        self._at_line_start = True
        self._column = 0  # octets of the unfinished line at the end of what was handed out
        self.size = 0
        self._flags = 0
        self._faults = 0

    @property
    def fault(self) -> BodyFault | None:
        return _FAULTS[self._faults]

    @property
    def flags(self) -> BodyFlag:
        return _FLAGS[self._flags]

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """The content in `data` (empty once the body is faulty), and what came behind the end; None: go on."""
        piece = self._reader.feed(data)
        if not piece.raw:
            return b"", piece.rest
        content = unstuff(piece)
        dotted = piece.dotted
        repaired = self._judge_line_ends(content)
        if repaired is not None:
            content, dotted = repaired, True
        self.size += len(content)
        if self.size > self._max_size:
            self._faults |= _TOO_LARGE
        if self._faults or not content:
            return b"", piece.rest
        self._note(content, dotted)
        return content, piece.rest

    def _judge_line_ends(self, content: bytes) -> bytes | None:
        """Note bare CRs and LFs; the content with its bare LFs made whole, if that is wanted and needed."""
        pairs = content.count(b"\r\n")
        if content.count(b"\r") != pairs:
            self._faults |= _BARE_CR
            return None
        if content.count(b"\n") == pairs:
            return None
        if not self._repair:
            self._faults |= _BARE_LF
            return None
        # No bare CR is in it, so this makes each LF a CRLF, once.
        return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _note(self, content: bytes, dotted: bool) -> None:
        flags = self._flags
        # A piece is cut so that CRLF is never split from the dot behind it; but a repaired LF may end a piece.
        if (dotted and b"\r\n." in content) or (self._at_line_start and content[0] == 0x2E):
            flags |= _DOT_LINES
        self._at_line_start = content[-1] == 0x0A
        if not content.isascii():
            flags |= _EIGHT_BIT
        if b"\0" in content:
            flags |= _NUL
        if not flags & _LONG_LINES and self._has_long_line(content):
            flags |= _LONG_LINES
        self._flags = flags

    def _has_long_line(self, content: bytes) -> bool:
        """Jump from the last line end within reach to the next: one step for each kilobyte, not for each line."""
        start, column, length = 0, self._column, len(content)
        while column + length - start > _LINE_WINDOW:
            end = content.rfind(b"\n", start, start + _LINE_WINDOW - column)
            if end < 0:
                return True
            start, column = end + 1, 0
        end = content.rfind(b"\n", start)
        self._column = length - end - 1 if end >= 0 else column + length - start
        return self._column > MAX_LINE


class BodyWriter:
    """Content in, bytes for the wire out. Without DOT_LINES nothing is scanned."""

    __slots__ = ("_stuffer", "_tail")

    def __init__(self, flags: BodyFlag) -> None:
        self._stuffer = DotStuffer() if flags & BodyFlag.DOT_LINES else None
        self._tail = b"\r\n"

    def write(self, chunk: bytes) -> bytes:
        if self._stuffer:
            return self._stuffer.write(chunk)
        self._tail = (self._tail + chunk[-2:])[-2:]
        return chunk

    def finish(self) -> bytes:
        """The end of the last line, if it lacks one, and the final dot."""
        if self._stuffer:
            return self._stuffer.finish()
        return b".\r\n" if self._tail == b"\r\n" else b"\r\n.\r\n"
