r"""Message content over DATA and BDAT: the server's readers (RFC 5321 §4.1.1.4, §4.5.2; RFC 3030 §2, §3).

After DATA the end is `\r\n.\r\n` and nothing else. A bare CR or LF never ends a line here; whether content that has one
is refused, or (for our own submitters) its bare LFs are made whole, is the caller's setting. A faulty body is read to
its real end and reported once, so that no part of it is ever taken for commands. Content that comes by BDAT is held to
the same rules, for it may leave us by DATA; BODY=BINARYMIME alone is spared, and its header block is not.
"""

from __future__ import annotations

import re
from enum import Enum
from io import IncrementalNewlineDecoder
from typing import Final

from postroad.mail.envelope import BodyFlag
from postroad.proto.dotstuff import DotReader, unstuff

MAX_LINE = 998  # octets without CRLF, RFC 5322 §2.1.1
_LINE_WINDOW = MAX_LINE + 2

# A line that is a lone dot to a server which drops NULs. One that begins with a dot is harmless: it goes out doubled.
_HIDDEN_DOT: Final = re.compile(rb"\r\n\0+\.\0*\r\n")
_HIDDEN_END: Final = re.compile(rb"\r\n\0+(\.?)\0*\Z")  # what may become one, at the end of a piece


class BodyFault(Enum):
    """Why a body is refused. The first that applies, in this order, is reported, however the bytes were cut (a size is
    only sure where no bare CR kept a piece from being repaired, so that comes first)."""

    BARE_CR = "bare CR"
    TOO_LARGE = "too large"
    BARE_LF = "bare LF"
    HIDDEN_DOT = "a lone dot behind NULs"


# Bits while reading: an operation on an enum flag costs as much as a scan of a kilobyte.
_BARE_CR, _TOO_LARGE, _BARE_LF, _HIDDEN = 1, 2, 4, 8
_IN_ORDER = (
    (_BARE_CR, BodyFault.BARE_CR),
    (_TOO_LARGE, BodyFault.TOO_LARGE),
    (_BARE_LF, BodyFault.BARE_LF),
    (_HIDDEN, BodyFault.HIDDEN_DOT),
)
_FAULTS = tuple(next((fault for bit, fault in _IN_ORDER if bits & bit), None) for bits in range(16))
_DOT_LINES, _EIGHT_BIT, _NUL, _LONG_LINES, _BINARY = (
    int(flag) for flag in (BodyFlag.DOT_LINES, BodyFlag.EIGHT_BIT, BodyFlag.NUL, BodyFlag.LONG_LINES, BodyFlag.BINARY)
)
_FLAGS = tuple(BodyFlag(bits) for bits in range(32))


def hides_a_dot(content: bytes) -> bool:
    """Whether a line of whole content would be a lone dot to a server which drops NULs."""
    return b"\0" in content and _HIDDEN_DOT.search(b"\r\n" + content + b"\r\n") is not None


def _line_ends(content: bytes) -> str | tuple[str, ...] | None:
    """The kinds of line ends in it. The reader of universal newlines looks for all three in one pass, four times as
    fast as counting each of them."""
    decoder = IncrementalNewlineDecoder(None, translate=False)
    decoder.decode(content.decode("latin-1"), final=True)
    return decoder.newlines


class Content:
    """What is common to content however it comes: it is judged and noted by whole-buffer passes, for a loop over octets
    is a hundred times slower. `flags` and `size` are about what was handed out, and complete when the end has come.
    """

    __slots__ = ("_at_line_start", "_column", "_faults", "_flags", "_hidden", "_max_size", "_repair", "size")

    def __init__(self, max_size: int, *, repair_bare_lf: bool = False) -> None:
        self._max_size = max_size
        self._repair = repair_bare_lf
        self._at_line_start = True
        self._column = 0  # octets of the unfinished line at the end of what was handed out
        self._hidden = b""  # that line, in short, where it may become a hidden dot
        self.size = 0
        self._flags = 0
        self._faults = 0

    @property
    def fault(self) -> BodyFault | None:
        return _FAULTS[self._faults]

    @property
    def flags(self) -> BodyFlag:
        return _FLAGS[self._flags]

    def _judge_line_ends(self, content: bytes) -> bytes | None:
        """Note bare CRs and LFs; the content with its bare LFs made whole, if that is wanted and needed."""
        found = _line_ends(content)
        if found is None or found == "\r\n":  # nearly all
            return None
        if "\r" in found:
            self._faults |= _BARE_CR
            return None
        if not self._repair:
            self._faults |= _BARE_LF
            return None
        # No bare CR is in it, so this makes each LF a CRLF, once.
        return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def _note(self, content: bytes, dotted: bool) -> bytes:
        """Keep the facts of sound content; what of it may be handed out."""
        flags = self._flags
        # A piece is cut so that CRLF is never split from the dot behind it; but a repaired LF may end a piece.
        if (dotted and b"\r\n." in content) or (self._at_line_start and content[0] == 0x2E):
            flags |= _DOT_LINES
        if not content.isascii():
            flags |= _EIGHT_BIT
        if b"\0" in content or flags & _NUL:
            self._flags = flags | _NUL
            self._look_behind_nuls(content)
            flags = self._flags
        self._at_line_start = content.endswith(b"\r\n")
        if not flags & _LONG_LINES and self._has_long_line(content):
            flags |= _LONG_LINES
        self._flags = flags
        return b"" if self._faults else content

    def _look_behind_nuls(self, content: bytes) -> None:
        """Some readers drop NULs before they look for the final dot: what they would find is no content for DATA."""
        text = b"\r\n" + self._hidden + content if self._at_line_start or self._hidden else content
        if _HIDDEN_DOT.search(text):
            self._faults |= _HIDDEN
        end = _HIDDEN_END.search(text)
        self._hidden = b"\0" + end[1] if end else b""

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


class BodyReader(Content):
    """DATA: bytes from the wire in, content out."""

    __slots__ = ("_reader",)

    def __init__(self, max_size: int, *, repair_bare_lf: bool = False) -> None:
        super().__init__(max_size, repair_bare_lf=repair_bare_lf)
        self._reader = DotReader()

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
        return self._note(content, dotted), piece.rest


class ChunkReader(Content):
    """BDAT: counted octets in, content out. One for all chunks of a message; `open` begins the next.

    With `binary` (BODY=BINARYMIME) bare CRs, bare LFs and hidden dots are noted as BodyFlag.BINARY; in the header block
    they stay faults, since that may be sent by DATA once the parts below it have been encoded.
    """

    __slots__ = ("_binary", "_held", "_last", "_left", "_line_end", "_promised")

    def __init__(self, max_size: int, *, repair_bare_lf: bool = False, binary: bool = False) -> None:
        super().__init__(max_size, repair_bare_lf=repair_bare_lf and not binary)
        self._binary = binary
        self._line_end = b"\r\n" if binary else b""  # inside the header block: the octets before the next piece
        self._held = b""  # a CR at the end of a chunk or read: its LF may follow
        self._promised = 0
        self._left = 0
        self._last = False

    def open(self, size: int, *, last: bool) -> None:
        """So many octets come next. Whether they fit is known before one of them is read."""
        self._left, self._last = size, last
        self._promised += size
        if self._promised > self._max_size:
            self._faults |= _TOO_LARGE

    @property
    def left(self) -> int:
        """Octets of this chunk that have not come."""
        return self._left

    @property
    def is_over(self) -> bool:
        """Whether no further chunk belongs to this message: the last one has come, or a faulty one."""
        return not self._left and (self._last or self._faults != 0)

    def feed(self, data: bytes) -> bytes:
        """The content in `data`, which is no more than `left`; empty once the body is faulty."""
        self._left -= len(data)
        content = self._held + data if self._held else data
        self._held = b""
        if self._last and not self._left:
            return self._end(content)
        if content[-1:] == b"\r":
            content, self._held = content[:-1], b"\r"
        return self._take(content)

    def _end(self, content: bytes) -> bytes:
        content = self._take(content)
        if self._hidden == b"\0.":  # without its CRLF, which DATA would add
            self._look_behind_nuls(b"\r\n")
        return b"" if self._faults else content

    def _take(self, content: bytes) -> bytes:
        if not content:
            return b""
        if self._binary:
            self._judge_binary(content)
        else:
            content = self._judge_line_ends(content) or content
        self.size += len(content)
        if self.size > self._max_size:
            self._faults |= _TOO_LARGE
        if self._faults:
            return b""
        return self._note(content, True)

    def _judge_binary(self, content: bytes) -> None:
        header, body = self._split_header(content)
        if header:
            self._judge_line_ends(header)
            if b"\0" in header:
                self._faults |= _HIDDEN
        if body.count(b"\r") != (pairs := body.count(b"\r\n")) or body.count(b"\n") != pairs:
            self._flags |= _BINARY

    def _split_header(self, content: bytes) -> tuple[bytes, bytes]:
        """What of a piece belongs to the header block, and what not."""
        if not self._line_end:
            return b"", content
        before = len(self._line_end)
        text = self._line_end + content
        end = text.find(b"\r\n\r\n")
        if end < 0:
            self._line_end = text[-3:]
            return content, b""
        self._line_end = b""
        return content[: end + 4 - before], content[end + 4 - before :]

    def _look_behind_nuls(self, content: bytes) -> None:
        faults = self._faults
        super()._look_behind_nuls(content)
        if self._binary and self._faults != faults:
            self._faults = faults
            self._flags |= _BINARY
