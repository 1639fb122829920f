"""Finds whole commands, literals included, in what has arrived, under one budget a command (RFC 3501 §2.2.1, §4.3).

It frames; `tokens.Cursor` reads. What a literal is for, and whether it is welcome, `server.py` decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from postroad.proto import literals
from postroad.proto.literals import Literal

MAX_CHUNK = 64 * 1024
MAX_SWALLOWED = 1024 * 1024  # octets of refused text that are read and dropped before we rather hang up
_KEPT = 256  # octets kept of a dropped line: its tag, or the literal announced at its end


@dataclass(frozen=True, slots=True)
class Complete:
    """A whole command, without the line ending at its end."""

    text: bytes


@dataclass(frozen=True, slots=True)
class LiteralNext:
    """`text` ends with the announcement of `literal`: take, stream or refuse it."""

    text: bytes
    literal: Literal


@dataclass(frozen=True, slots=True)
class Overlong:
    """The command is over its budget; `text` is how it began. The rest of it is dropped unseen."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Flood:
    """More was sent after a refusal than we care to read."""


Frame = Complete | LiteralNext | Overlong | Flood


class CommandReader:
    """The receive buffer of one connection. `limit` is the budget of one command and its collected literals."""

    __slots__ = ("_buffer", "_dropping", "_scanned", "_skipped", "_text", "_wanted", "limit", "streaming", "swallowing")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.streaming = 0  # octets of a streamed literal still to come
        self.swallowing = 0  # octets of a refused literal still to come
        self._buffer = bytearray()
        self._text = b""  # of the command under way
        self._wanted = 0  # octets of a collected literal still to come
        self._scanned = 0  # no line feed before this
        self._dropping = 0  # octets dropped of the line of a refused command; 0: none is refused
        self._skipped = 0  # octets of the literals that a refused command went on to announce

    def receive(self, data: bytes) -> None:
        self._buffer += data

    def forget(self) -> None:
        """Drop everything received, as STARTTLS must (RFC 3501 §6.2.1, RFC 3207 §4.2)."""
        self._buffer.clear()
        self._text = b""
        self.streaming = self.swallowing = self._wanted = self._scanned = self._dropping = self._skipped = 0

    def collect(self, literal: Literal) -> None:
        """Take the literal just announced into the command."""
        self._wanted = literal.size

    def stream(self, literal: Literal) -> None:
        """Hand out the literal just announced by `chunk`; the text before it is done with."""
        self._text = b""
        self.streaming = literal.size

    def refuse(self, literal: Literal) -> None:
        """The command is refused at this literal: a non-synchronizing one comes all the same and is dropped."""
        self._text = b""
        if not literal.synchronizing:
            self.swallowing, self._dropping = literal.size, 1

    def drop(self) -> None:
        """The command is refused while its literal streams: drop what is left of it and of its line."""
        self.swallowing, self.streaming, self._dropping = self.streaming, 0, 1

    def chunk(self) -> bytes:
        """Octets of the streamed literal; empty when none are here."""
        piece = literals.take(self._buffer, min(self.streaming, MAX_CHUNK))
        self.streaming -= len(piece)
        return piece

    def next(self) -> Frame | None:
        """The next frame, or None: more is needed."""
        while True:
            if self._skipped > MAX_SWALLOWED:
                return Flood()
            if not self._octets_done():
                return None
            end = self._buffer.find(b"\n", self._scanned)
            if end < 0:
                return self._unfinished()
            line = literals.take(self._buffer, end + 1)
            self._scanned = 0
            if not self._dropping:
                return self._line(line)
            self._drop_literal(line)

    def _octets_done(self) -> bool:
        """Whether the octets of a collected or refused literal have all been here."""
        if self.swallowing:
            self.swallowing -= len(literals.take(self._buffer, self.swallowing))
        elif self._wanted:
            piece = literals.take(self._buffer, self._wanted)
            self._text += piece
            self._wanted -= len(piece)
        return not self.swallowing and not self._wanted

    def _line(self, line: bytes) -> Frame:
        if len(self._text) + len(line) > self.limit:
            return self._overlong(line)
        stripped = _without_end(line)
        literal = literals.announced(stripped)
        if literal is None:
            text, self._text = self._text + stripped, b""
            return Complete(text)
        self._text += line
        return LiteralNext(self._text, literal)

    def _unfinished(self) -> Frame | None:
        """No line feed yet. A line over the budget is not kept."""
        self._scanned = len(self._buffer)
        if self._dropping:
            self._dropping += max(0, len(self._buffer) - _KEPT)
            del self._buffer[:-_KEPT]
            self._scanned = len(self._buffer)
            return Flood() if self._dropping > MAX_SWALLOWED else None
        if len(self._text) + len(self._buffer) <= self.limit:
            return None
        text = self._text or bytes(self._buffer[:_KEPT])
        self._text, self._dropping = b"", 1
        return Overlong(text[:_KEPT])

    def _overlong(self, line: bytes) -> Frame:
        text = (self._text or line)[:_KEPT]
        self._text = b""
        self._drop_literal(line)
        return Overlong(text)

    def _drop_literal(self, line: bytes) -> None:
        """One more line of a refused command is here; it ends unless it announces a literal that comes unasked."""
        literal = literals.announced(_without_end(line))
        if literal is None or literal.synchronizing:
            self._dropping = self._skipped = 0
        else:
            self.swallowing, self._dropping = literal.size, 1
            self._skipped += literal.size


def _without_end(line: bytes) -> bytes:
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]
