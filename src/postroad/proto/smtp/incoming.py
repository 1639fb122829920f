"""What a server says, read with limits: the client's side of RFC 5321 §4.2.

Kept apart from `reply.py`, which is what we say: a remote's words are kept as they came, for record and report.
"""

from __future__ import annotations

from functools import lru_cache

from postroad.mail.status import EnhancedCode

MAX_LINE = 4096  # octets; RFC 5321 §4.5.3.1.5 says 512, real servers put long URLs there
MAX_LINES = 128  # of one reply
MAX_BUFFER = 64 * 1024  # octets of replies that nobody asked for yet
USUAL = 128  # octets of a line that is worth keeping, parsed, for the next time


@lru_cache(maxsize=256)
def _parse(word: bytes) -> EnhancedCode | None:
    return EnhancedCode.parse(word.decode("ascii", "replace"))


class BadReply(ValueError):  # noqa: N818
    """The server says something that is no reply, or too much of it."""


class RemoteReply:
    """One reply of a server. `raw` is word for word, lines ended by LF. Never changed: equal ones are shared."""

    __slots__ = ("_enhanced", "code", "is_positive", "raw", "text")

    def __init__(self, code: int, raw: bytes) -> None:
        self.code = code
        self.raw = raw
        self.text = raw.decode("utf-8", "replace")  # word for word, lines joined by LF; what is not UTF-8 is replaced
        self.is_positive = 200 <= code < 300
        self._enhanced: EnhancedCode | bool | None = False  # False: not looked for yet

    @property
    def lines(self) -> list[str]:
        """The texts of the lines, without codes."""
        return [line[4:] for line in self.text.split("\n")]

    @property
    def enhanced(self) -> EnhancedCode | None:
        """The enhanced status code of the first line (RFC 2034), where it fits the reply code."""
        if isinstance(self._enhanced, bool):
            word = self.raw[4:24].split(b"\n", 1)[0].split(b" ", 1)[0]
            found = _parse(word)
            self._enhanced = found if found is not None and found.klass == self.code // 100 else None
        return self._enhanced

    def __repr__(self) -> str:
        return f"RemoteReply({self.text!r})"


class ReplyReader:
    """Bytes in, replies out."""

    __slots__ = ("_buffer", "_lines", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0  # what lies before it has been read
        self._lines: list[bytes] = []  # of a reply whose last line has not come

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer[self._start :] + data if self._start < len(self._buffer) else data
        self._start = 0

    def clear(self) -> None:
        """Forget what came before TLS (RFC 3207 §4.2)."""
        self._buffer, self._start = b"", 0
        self._lines.clear()

    def next(self) -> RemoteReply | None:
        """The next whole reply, or None. Raises BadReply."""
        while True:
            buffer, start = self._buffer, self._start
            end = buffer.find(b"\n", start)
            if end < 0:
                if len(buffer) - start > MAX_LINE:
                    raise BadReply("a reply line is too long")
                return None
            if end - start > MAX_LINE or len(buffer) - start > MAX_BUFFER:
                raise BadReply("a reply line is too long" if end - start > MAX_LINE else "too many replies")
            self._start = end + 1
            line = buffer[start:end]
            reply = (_usual if len(line) <= USUAL else _single)(line)
            if self._lines or reply is None:
                reply = self._take(line, reply)
            if reply is not None:
                return reply

    def _take(self, line: bytes, reply: RemoteReply | None) -> RemoteReply | None:
        """A line of a reply that has several; without `reply` it is not the last."""
        self._lines.append(line.removesuffix(b"\r"))
        if reply is None:
            if len(self._lines) > MAX_LINES:
                raise BadReply("a reply has too many lines")
            return None
        lines, self._lines = self._lines, []
        return RemoteReply(reply.code, b"\n".join(lines))  # RFC 5321 §4.2.1: the last line's code counts


def _single(line: bytes) -> RemoteReply | None:
    """A reply of one line; None for a line that others follow."""
    line = line.removesuffix(b"\r")
    code, mark = line[:3], line[3:4]
    if len(code) != 3 or not code.isdigit() or not b"200" <= code <= b"599" or mark not in (b" ", b"-", b""):
        raise BadReply("not a reply: " + line[:80].decode("ascii", "replace"))
    return None if mark == b"-" else RemoteReply(int(code), line)


# Servers say the same few words to each command.
_usual = lru_cache(maxsize=256)(_single)
