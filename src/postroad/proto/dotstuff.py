r"""Dot-stuffing on whole buffers, incremental in both directions (RFC 5321 §4.5.2, RFC 1939 §3).

A line is what CRLF ends and nothing else: the end is `\r\n.\r\n` alone, so that no bare CR or LF around a dot can
smuggle a second message past us, inward or outward. Bare ones are passed through here; who may send them is judged by
the callers (`smtp.body` counts them in the pieces it gets).
"""

from __future__ import annotations

from typing import NamedTuple

CRLF = b"\r\n"
END = b"\r\n.\r\n"
_STUFFED = b"\r\n."
# What may be the beginning of END, longest first.
_HELD = ((b"\r\n.\r", 4), (b"\r\n.", 3), (b"\r\n", 2), (b"\r", 1))


def stuffed(content: bytes) -> bytes:
    """`content` whole, ready to be sent: stuffed, its last line ended, and the final dot behind it."""
    writer = DotStuffer()
    return writer.write(content) + writer.finish()


class DotStuffer:
    """Writes: doubles the dot at the beginning of a line; `finish` ends the last line and adds the final dot."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = CRLF  # the last two octets written: we stand at the beginning of a line

    def write(self, chunk: bytes) -> bytes:
        """`chunk` as it goes over the wire."""
        if not chunk:
            return b""
        tail = self._tail
        self._tail = chunk[-2:] if len(chunk) > 1 else tail[-1:] + chunk
        out = chunk.replace(_STUFFED, b"\r\n..")
        if tail == CRLF and chunk[0] == 0x2E:
            return b"." + out
        if tail[-1:] == b"\r" and chunk.startswith(b"\n."):
            return b"\n." + out[1:]
        return out

    def finish(self) -> bytes:
        """What ends the content."""
        return b".\r\n" if self._tail == CRLF else END


class Piece(NamedTuple):
    """A stretch of stuffed content in which each CRLF and each `CRLF .` is whole."""

    raw: bytes  # still stuffed; begins with a CRLF that is not part of the content when `first`
    first: bool
    dotted: bool  # some line begins with a dot: there is something to un-stuff
    rest: bytes | None  # what came behind the end of data; None: the end has not come


class DotReader:
    """Reads: finds the end, and cuts the stream so that callers can scan and un-stuff each piece on its own.

    At most four octets are held back, which may be the beginning of the end.
    """

    __slots__ = ("_first", "_held")

    def __init__(self) -> None:
        # The command line before the content ended with CRLF; seeing it here makes the first line one like all others.
        self._held = CRLF
        self._first = True

    def feed(self, data: bytes) -> Piece:
        """Take bytes from the wire; `raw` may be empty. Not to be called again after the end."""
        if self._held is CRLF and data and data[0] != 0x2E:  # nothing was read before, and no dot is behind that CRLF:
            self._held, self._first, buffer = b"", False, data  # it has done its duty, and is not copied
        else:
            buffer = self._held + data if self._held else data
        dot = buffer.find(_STUFFED)  # one pass for most buffers: no line begins with a dot, so nothing ends here
        end = buffer.find(END, dot) if dot >= 0 else -1
        if end >= 0:
            # The CRLF before the dot ends the last line of the content (RFC 5321 §4.1.1.4).
            return Piece(buffer[: end + 2], self._first, dot < end, buffer[end + 5 :])
        for tail, length in _HELD:
            if buffer.endswith(tail):
                cut = len(buffer) - length
                break
        else:
            cut = len(buffer)
        self._held = buffer[cut:]
        piece = Piece(buffer[:cut] if cut < len(buffer) else buffer, self._first, dot >= 0, None)
        if cut:
            self._first = False
        return piece


def unstuff(piece: Piece) -> bytes:
    """The content of a piece, the added dots taken away."""
    out = piece.raw.replace(_STUFFED, CRLF) if piece.dotted else piece.raw
    return out[2:] if piece.first else out
