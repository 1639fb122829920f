"""What a server says, read with limits: the client's side of RFC 5321 §4.2.

Kept apart from `reply.py`, which is what we say: a remote's words are kept as they came, for record and report.
"""

from __future__ import annotations

from functools import lru_cache

from postroad.mail.status import EnhancedCode

MAX_LINE = 4096  # octets; RFC 5321 §4.5.3.1.5 says 512, real servers put long URLs there
MAX_LINES = 128  # of one reply
MAX_BUFFER = 64 * 1024  # octets of replies that nobody asked for yet


@lru_cache(maxsize=256)
def _parse(word: bytes) -> EnhancedCode | None:
    return EnhancedCode.parse(word.decode("ascii", "replace"))


class BadReply(ValueError):  # noqa: N818
    """The server says something that is no reply, or too much of it."""


class RemoteReply:
    """One reply of a server. `raw` is word for word, lines ended by LF."""

    __slots__ = ("_enhanced", "code", "raw")

    def __init__(self, code: int, raw: bytes) -> None:
        self.code = code
        self.raw = raw
        self._enhanced: EnhancedCode | bool | None = False  # False: not looked for yet

    @property
    def text(self) -> str:
        """Word for word, lines joined by LF; what is not UTF-8 is replaced."""
        return self.raw.decode("utf-8", "replace")

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

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 300

    def __repr__(self) -> str:
        return f"RemoteReply({self.text!r})"


class ReplyReader:
    """Bytes in, replies out."""

    __slots__ = ("_buffer", "_lines")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[bytes] = []  # of a reply whose last line has not come

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data

    @property
    def is_empty(self) -> bool:
        return not self._buffer and not self._lines

    def clear(self) -> None:
        """Forget what came before TLS (RFC 3207 §4.2)."""
        self._buffer = b""
        self._lines.clear()

    def next(self) -> RemoteReply | None:
        """The next whole reply, or None. Raises BadReply."""
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > MAX_LINE:
                    raise BadReply("a reply line is too long")
                return None
            if end > MAX_LINE or len(self._buffer) > MAX_BUFFER:
                raise BadReply("a reply line is too long" if end > MAX_LINE else "too many replies")
            line = self._buffer[:end].removesuffix(b"\r")
            self._buffer = self._buffer[end + 1 :]
            if (reply := self._take(line)) is not None:
                return reply

    def _take(self, line: bytes) -> RemoteReply | None:
        code, mark = line[:3], line[3:4]
        if not code.isdigit() or not b"200" <= code <= b"599" or mark not in (b" ", b"-", b""):
            raise BadReply("not a reply: " + line[:80].decode("ascii", "replace"))
        if mark == b"-":
            self._lines.append(line)
            if len(self._lines) > MAX_LINES:
                raise BadReply("a reply has too many lines")
            return None
        if not self._lines:
            return RemoteReply(int(code), line)
        lines, self._lines = [*self._lines, line], []
        return RemoteReply(int(code), b"\n".join(lines))  # RFC 5321 §4.2.1: the last line's code counts
