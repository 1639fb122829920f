"""What RETR and TOP send of a message: lines that end with CRLF, and of TOP only the first ones (RFC 1939 §3, §7)."""

from __future__ import annotations

from typing import Final

NO_LIMIT: Final = -1


def with_crlf(content: bytes) -> bytes:
    """`content` with every line ended by CRLF.

    SMTP brings nothing else, but IMAP's APPEND does; and a bare LF before a dot would end the message for clients that
    take it as the end of a line.
    """
    if content.count(b"\n") == content.count(b"\r\n"):
        return content
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class BodyCutter:
    """Takes a message in pieces, gives what is to be sent: all, or the header and `lines` lines of the body."""

    __slots__ = ("_held", "_in_header", "_left", "_tail", "done")

    def __init__(self, lines: int = NO_LIMIT) -> None:
        self._left = lines
        self._in_header = lines != NO_LIMIT
        self._tail = b"\n"  # we stand at the beginning of a line: an empty one here ends an empty header
        self._held = b""  # a CR whose LF may be in the next piece
        self.done = False  # nothing more is wanted

    def cut(self, piece: bytes) -> bytes:
        piece = self._held + piece
        self._held = b"\r" if piece.endswith(b"\r") else b""
        piece = with_crlf(piece[:-1] if self._held else piece)
        if self._left == NO_LIMIT:
            return piece
        return self._limited(piece)

    def finish(self) -> bytes:
        """What was held back, when there is no next piece."""
        return b"" if self.done else self._held

    def _limited(self, piece: bytes) -> bytes:
        start = self._body_start(piece) if self._in_header else 0
        if self._in_header:
            return piece
        count = piece.count(b"\n", start) if self._left else 0
        if count < self._left:
            self._left -= count
            return piece
        self.done = True
        for _ in range(self._left):
            start = piece.index(b"\n", start) + 1
        return piece[:start]

    def _body_start(self, piece: bytes) -> int:
        """Where the body begins in `piece`, if the header ends in it."""
        window = self._tail + piece
        found = window.find(b"\n\r\n")
        if found < 0:
            self._tail = window[-2:]
            return 0
        self._in_header = False
        return found + 3 - len(self._tail)
