"""A header block, kept byte-exact: find fields, read their values, put one in front, take one out (RFC 5322 §2.2).

Looking up is done by whole-buffer searches, so that a hostile block of a megabyte costs milliseconds and the common
one a microsecond. Nothing here changes an octet that it was not asked to change.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

MAX_VALUE = 64 * 1024  # octets of one field that are looked at; the rest stays in the block, unread
MAX_TEXT = 4096  # octets of a value that are decoded

_WSP = b" \t"
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?\s]*)\?=")  # RFC 2047 §2
_BETWEEN_WORDS = re.compile(r"(\?=)[ \t]+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")  # RFC 2047 §6.2: white space there is dropped
_FIRST_LINE = re.compile(rb"[!-9;-~\x80-\xff]{1,998}[ \t]{0,99}:|\r\n|$|>?From ")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")  # lone surrogates are no text that can be stored
_NOT_CHARSETS = frozenset(
    ("unicode-escape", "raw-unicode-escape", "punycode", "idna", "undefined")
)  # of Python's codecs


def header_size(content: bytes) -> int:
    """Octets of the header block with its empty line; all of `content` when there is no empty line."""
    if content.startswith(b"\r\n"):
        return 2
    end = content.find(b"\r\n\r\n")
    return len(content) if end < 0 else end + 4


def starts_with_field(content: bytes) -> bool:
    """False when the first line is neither a field nor the empty line: such content has no header block at all.

    An mbox `From ` line is let pass, for real fields stand behind it.
    """
    return _FIRST_LINE.match(content) is not None


class Header:
    """The header block of some content, its last empty line included."""

    __slots__ = ("_lower", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._lower = b"\n" + raw.lower()  # the line feed lets the first field be found like the others

    @classmethod
    def of(cls, content: bytes) -> Header:
        """The header block at the beginning of `content`."""
        return cls(content[: header_size(content)])

    def spans(self, name: bytes) -> Iterator[tuple[int, int, int]]:
        """(start, start of the value, end with CRLF) of each field called `name`, which is given in lower case."""
        needle = b"\n" + name
        at = self._lower.find(needle)
        while at >= 0:
            colon = self._colon(at + len(needle))
            if colon:
                yield at, colon, self._end(colon)
            at = self._lower.find(needle, at + 1)

    def _colon(self, at: int) -> int:
        """Where the value begins in `raw`; 0 when `at` is inside a longer name. RFC 5322 §4.5.1: white space may
        stand before the colon in old mail."""
        lower = self._lower
        while lower[at : at + 1] in (b" ", b"\t"):
            at += 1
        return at if lower[at : at + 1] == b":" else 0

    def _end(self, at: int) -> int:
        """Behind the CRLF that ends the field: the first one that no white space follows (RFC 5322 §2.2.3)."""
        raw = self.raw
        while True:
            at = raw.find(b"\r\n", at)
            if at < 0:
                return len(raw)
            at += 2
            if raw[at : at + 1] not in (b" ", b"\t"):
                return at

    def has(self, name: bytes) -> bool:
        return next(self.spans(name), None) is not None

    def first(self, name: bytes) -> bytes | None:
        """The first value of `name`, folding kept, without the CRLF at its end."""
        for _, start, end in self.spans(name):
            return self._value(start, end)
        return None

    def all(self, name: bytes) -> list[bytes]:
        """Every value of `name`, from the top."""
        if name not in self._lower:  # most that we ask for are not there
            return []
        return [self._value(start, end) for _, start, end in self.spans(name)]

    def _value(self, start: int, end: int) -> bytes:
        return self.raw[start : min(end, start + MAX_VALUE)].rstrip(b"\r\n").lstrip(_WSP)

    def count(self, name: bytes) -> int:
        """How many fields are called `name`."""
        return sum(1 for _ in self.spans(name)) if b" :" in self._lower else self._lower.count(b"\n" + name + b":")

    def text(self, name: bytes, cut: int = 200) -> str:
        """The first value for people: unfolded, decoded, at most `cut` characters; "" when there is none."""
        value = self.first(name)
        return decode(value)[:cut] if value else ""

    def without(self, *names: bytes) -> bytes:
        """The block less every field with one of these names."""
        spans = sorted((start, end) for name in names for start, _, end in self.spans(name))
        if not spans:
            return self.raw
        kept, at = [], 0
        for start, end in spans:
            kept.append(self.raw[at:start])
            at = end
        kept.append(self.raw[at:])
        return b"".join(kept)


def unfold(value: bytes) -> bytes:
    """Take out each CRLF before white space (RFC 5322 §2.2.3)."""
    return value.replace(b"\r\n", b"") if b"\r\n" in value else value


def decode(value: bytes) -> str:
    """A value as text: unfolded, encoded words read (RFC 2047), raw UTF-8 taken (RFC 6532), controls made spaces."""
    if value.isascii() and b"=?" not in value and (text := value[:MAX_TEXT].decode("ascii")).isprintable():
        return text.strip()  # nearly all
    if len(value) > MAX_TEXT:
        value = value[:MAX_TEXT]
    text = _charset_decode(unfold(value), "utf-8")
    if "=?" in text:
        text = _ENCODED_WORD.sub(_Words(), _BETWEEN_WORDS.sub(r"\1", text)) if "?=" in text else text
    return _CONTROL.sub(" ", text).strip()


class _Words:
    """Decodes encoded words one after the other. A character cut in two by a careless sender is joined again: the
    octets of neighbours in one charset are decoded together (forbidden by RFC 2047 §5, common in the world)."""

    __slots__ = ("_charset", "_end", "_pending")

    def __init__(self) -> None:
        self._end = -1
        self._charset = ""
        self._pending = b""

    def __call__(self, match: re.Match[str]) -> str:
        charset = match[1].partition("*")[0].lower()  # RFC 2231 §5: a language may follow
        octets = _word_octets(match[2], match[3])
        if octets is None:
            return match[0]
        if match.start() == self._end and charset == self._charset:
            octets = self._pending + octets
        self._pending = b""
        follows = match.string.startswith(f"=?{match[1]}?", match.end())
        if follows and charset == "utf-8":
            octets, self._pending = _whole_characters(octets)
        self._end, self._charset = match.end(), charset
        return _charset_decode(octets, charset)


def _word_octets(encoding: str, text: str) -> bytes | None:
    """The octets of an encoded word; None when it is not well formed (it then stays as it is)."""
    try:
        if encoding in "bB":
            return binascii.a2b_base64(text + "=" * (-len(text) % 4))
        return binascii.a2b_qp(text.encode("ascii"), header=True)
    except (binascii.Error, ValueError):
        return None


def _whole_characters(octets: bytes) -> tuple[bytes, bytes]:
    """Split off an unfinished UTF-8 character at the end."""
    for back in range(1, min(4, len(octets)) + 1):
        octet = octets[-back]
        if octet >= 0xC0:
            length = 2 if octet < 0xE0 else 3 if octet < 0xF0 else 4
            return (octets[:-back], octets[-back:]) if back < length else (octets, b"")
        if octet < 0x80:
            break
    return octets, b""


def _charset_decode(octets: bytes, charset: str) -> str:
    if octets.isascii() and charset in ("utf-8", "us-ascii", "iso-8859-1"):
        return octets.decode("ascii")
    for name in (charset, "utf-8"):
        try:
            if codecs.lookup(name).name not in _NOT_CHARSETS:
                return octets.decode(name)
        except (UnicodeError, LookupError, ValueError):  # an unknown charset, or a wrong one
            continue
    return octets.decode("latin-1")


def date_time(when: datetime) -> str:
    """RFC 5322 §3.3, in UTC: `Mon, 24 Nov 2025 09:05:07 +0000`. Asked for many times in the same second."""
    global _second
    begin, end, text = _second
    if not begin <= when < end:
        begin = when.astimezone(UTC).replace(microsecond=0)
        text = _date_time(begin)
        if begin < _LAST_SECOND:
            _second = begin, begin + _SECOND, text
    return text


def _date_time(when: datetime) -> str:
    text = when.ctime()  # "Mon Nov 24 09:05:07 2025", in every locale
    return f"{text[:3]}, {text[8:10].lstrip()} {text[4:7]} {text[20:]} {text[11:19]} +0000"


_SECOND = timedelta(seconds=1)
_LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC)
_second = (_LAST_SECOND, _LAST_SECOND, "")  # the second that was asked for last, its end, and its text
