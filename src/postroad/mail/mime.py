"""The MIME index of a message: byte offsets of its parts (RFC 2045, RFC 2046), found in one pass over the octets.

Any octets have an index: what is not MIME is one text part, what is beyond a limit is one opaque part. `render.py`
turns an index into IMAP's texts; `find_section` reads the stored offsets back for BODY[1.2.MIME] and its kin.

Every search goes forward and stops where the next one begins, so the work grows with the message and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import msgspec

from postroad.mail.parameters import ContentType, parse_content_type

MAX_DEPTH = 50  # multiparts and messages inside one another; real mail stays below 10, forwards of forwards below 30
MAX_PARTS = 10_000  # a digest of a busy list has hundreds; each part costs a row of BODYSTRUCTURE

ENTITY_FIELDS = frozenset(
    (b"content-type", b"content-transfer-encoding", b"content-id", b"content-description", b"content-md5",
     b"content-disposition", b"content-language", b"content-location")
)  # fmt: skip
MESSAGE_FIELDS = ENTITY_FIELDS | {
    b"date", b"subject", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"in-reply-to", b"message-id",
}  # fmt: skip
_CONTENT = b"content-"
_REPEATED = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))

_TEXT = ContentType(b"TEXT", b"PLAIN", ((b"CHARSET", b"US-ASCII"),))  # RFC 2045 §5.2
_MESSAGE = ContentType(b"MESSAGE", b"RFC822", ())  # the default inside multipart/digest, RFC 2046 §5.1.5
_OPAQUE = ContentType(b"APPLICATION", b"OCTET-STREAM", ())


class Kind(IntEnum):
    """What is inside a part."""

    LEAF = 0
    MULTIPART = 1
    MESSAGE = 2  # message/rfc822: its one child is the message inside


class Part:
    """One entity: a header, then a body. `[header_start, body_start)` holds the header with its empty line."""

    __slots__ = ("body_end", "body_start", "children", "content_type", "fields", "header_start", "kind")

    def __init__(self, header_start: int, body_start: int, fields: dict[bytes, bytes]) -> None:
        self.header_start = header_start
        self.body_start = body_start
        self.body_end = body_start
        self.kind = Kind.LEAF
        self.fields = fields  # lower-case name -> unfolded value; only those that a rendering needs
        self.content_type = _TEXT
        self.children: list[Part] = []

    @property
    def size(self) -> int:
        return self.body_end - self.body_start


def index(content: bytes) -> Part:
    """Index `content`; never raises, whatever the octets."""
    return _Indexer(content).entity(0, 0, _TEXT, MESSAGE_FIELDS)


def header_fields(block: bytes, wanted: frozenset[bytes] = MESSAGE_FIELDS) -> dict[bytes, bytes]:
    """The wanted fields of a header block, unfolded. Addresses of repeated fields are joined, so that no client can be
    shown another From than the one that was checked; of other repeated fields the first counts."""
    fields: dict[bytes, bytes] = {}
    for spelt, folded in _finder(wanted)(b"\n" + block):
        name = spelt.lower()
        value = _unfolded(folded) if b"\n" in folded else folded
        if name not in fields:
            fields[name] = value.strip()
        elif name in _REPEATED:
            _join(fields, name, value)
    return fields


@lru_cache(maxsize=16)
def _finder(wanted: frozenset[bytes]) -> Callable[[bytes], list[tuple[bytes, bytes]]]:
    """All wanted fields of a block with a line feed in front of it, as one search: a loop over the lines takes twice as
    long for a short block, and five times for one of forty fields of which we want six."""
    first = b"".join({name[:1] + name[:1].upper() for name in wanted})
    others = [re.escape(name) for name in wanted if not name.startswith(_CONTENT)]
    entity = b"|".join(re.escape(name[len(_CONTENT) :]) for name in wanted if name.startswith(_CONTENT))
    names = b"|".join((*others, b"content-(?:%b)" % entity))
    between = rb"[ \t]*(?:\r?\n[ \t]+)*:"  # "Subject : x", RFC 5322 §4.5
    return re.compile(rb"\n(?=[%b])(%b)%b(.*(?:\n[ \t].*)*)" % (first, names, between), re.IGNORECASE).findall


def _unfolded(value: bytes) -> bytes:
    return value.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t").replace(b"\n ", b" ").replace(b"\n\t", b"\t")


def _join(fields: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if len(fields[name]) < 65_536:  # a thousand From fields are an attack, and joining them all would be quadratic
        fields[name] = b", ".join(filter(None, (fields[name], value.strip())))


def _common_prefix(words: Collection[bytes]) -> bytes:
    """What all the words begin with: the longer the needle, the faster the search."""
    low, high = min(words, default=b""), max(words, default=b"")
    size = next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    return low[:size]


class _Indexer:
    """One pass over a message. `level`, `closing`, `stop` and `after` tell about the delimiter line met last: whose it
    is (-1: the end of the message), whether it closes, where the data in front of it ends, where the next line begins.
    """

    __slots__ = ("_blank", "_crlf", "active", "after", "closing", "content", "level", "needle", "parts", "stop")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.active: dict[bytes, int] = {}  # boundary -> nesting level of its multipart
        self.needle = b"\n--"
        self.parts = 0
        self.level, self.closing, self.stop, self.after = -1, False, len(content), len(content)
        self._crlf = (0, -1)  # the last search for an empty line: from where, found where
        self._blank = (0, -1)

    def entity(self, start: int, depth: int, default: ContentType, wanted: frozenset[bytes]) -> Part:
        """The entity whose header begins at `start`; afterwards `level` and its friends say what ended it."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            self.active.clear()  # the rest of the message belongs to this part, empty parts included
        header_end = self.header_end(start)
        cut = bool(self.active) and self._delimiter(start, header_end)
        if cut:
            header_end = self.stop  # a delimiter line in the header ends header and part
        part = Part(start, header_end, header_fields(self.content[start:header_end], wanted))
        if not cut:
            self._body(part, depth, default)
        return part

    def header_end(self, start: int) -> int:
        """Where the body begins: behind the first empty line, CRLF or bare LF."""
        content = self.content
        if content.startswith((b"\r\n", b"\n"), start):
            return start + (2 if content[start] == 13 else 1)
        found = self._next_blank(start)
        return found + (2 if content.startswith(b"\n\n", found) else 3) if found < len(content) else found

    def _next_blank(self, start: int) -> int:
        """The line end in front of the next empty line. Remembered: parts without one must not each search afresh."""
        since, found = self._blank
        if since <= start <= found:
            return found
        since, crlf = self._crlf
        if not since <= start <= crlf:
            crlf = self.content.find(b"\n\r\n", start)
            crlf = crlf if crlf >= 0 else len(self.content)
            self._crlf = (start, crlf)
        found = self.content.find(b"\n\n", start, crlf)
        found = found if found >= 0 else crlf
        self._blank = (start, found)
        return found

    def _body(self, part: Part, depth: int, default: ContentType) -> None:
        value = part.fields.get(b"content-type")
        kind = part.content_type = (parse_content_type(value) or _TEXT) if value else default
        if kind.type == b"MULTIPART":
            boundary = kind.boundary
            if boundary and self._may_enter(depth):
                self._multipart(part, boundary, depth)
                return
            part.content_type = _OPAQUE if boundary else _TEXT  # RFC 2046 §5.1.1: without a boundary it is none
        elif kind.is_message:
            if self._may_enter(depth):
                self._message(part, depth)
                return
            part.content_type = _OPAQUE
        self._leaf_end(part)

    def _may_enter(self, depth: int) -> bool:
        return depth < MAX_DEPTH and self.parts <= MAX_PARTS

    def _leaf_end(self, part: Part) -> None:
        self._delimiter(part.body_start, len(self.content))
        part.body_end = self.stop

    def _message(self, part: Part, depth: int) -> None:
        part.kind = Kind.MESSAGE
        part.children.append(self.entity(part.body_start, depth + 1, _TEXT, MESSAGE_FIELDS))
        part.body_end = part.children[0].body_end

    def _multipart(self, part: Part, boundary: bytes, depth: int) -> None:
        outer = self.active.get(boundary)
        level = depth
        self._activate(boundary, level)
        default = _MESSAGE if part.content_type.subtype == b"DIGEST" else _TEXT
        self._delimiter(part.body_start, len(self.content))  # the preamble
        while self.level == level and not self.closing and self.after < len(self.content):
            part.children.append(self.entity(self.after, depth + 1, default, ENTITY_FIELDS))
        self._activate(boundary, outer)
        if self.level == level:
            self._delimiter(self.after, len(self.content))  # the epilogue
        part.body_end = max(part.body_start, self.stop)
        part.kind = Kind.MULTIPART
        if not part.children:  # no delimiter line at all: show what there is as text
            part.kind, part.content_type = Kind.LEAF, _TEXT

    def _activate(self, boundary: bytes, level: int | None) -> None:
        """Look out for `boundary` from here on, or (None) no longer."""
        if level is None:
            self.active.pop(boundary, None)
        elif self.active or self.parts <= MAX_PARTS:
            self.active[boundary] = level
        self.needle = b"\n--" + _common_prefix(self.active)

    def _delimiter(self, start: int, end: int) -> bool:
        """Find the next delimiter line of any open multipart at or behind `start` (RFC 2046 §5.1.1). False: there is
        none before `end`, and the data goes on to `end`."""
        content, active, needle = self.content, self.active, self.needle
        at = content.find(needle, max(start - 1, 0), end) if active else -1
        while at >= 0:
            line_end = content.find(b"\n", at + 3)
            line_end = line_end if line_end >= 0 else len(content)
            line = content[at + 3 : line_end].rstrip()
            level, closing = active.get(line), False
            if level is None and line.endswith(b"--"):
                level, closing = active.get(line[:-2]), True
            if level is not None:
                self.level, self.closing, self.after = level, closing, min(line_end + 1, len(content))
                self.stop = max(start, at - 1 if content[at - 1] == 13 else at)
                return True
            at = content.find(needle, at + 1, end)
        self.level, self.closing, self.stop, self.after = -1, False, end, end
        return False


# --- stored offsets ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """Where one part lies in the content. The header's octets include the empty line."""

    header_start: int
    body_start: int
    body_end: int
    kind: Kind
    message: Section | None = None  # of message/rfc822: the message inside (BODY[n.HEADER], BODY[n.TEXT])


def pack_sections(part: Part) -> bytes:
    """The offsets of all parts as msgpack, for `find_section`."""
    if not part.children:
        return msgspec.msgpack.encode((part.header_start, part.body_start, part.body_end, int(part.kind)))
    return msgspec.msgpack.encode(_offsets(part))


def _offsets(part: Part) -> tuple[Any, ...]:
    row = (part.header_start, part.body_start, part.body_end, int(part.kind))
    return (*row, [_offsets(child) for child in part.children]) if part.children else row


def find_section(sections: bytes, path: tuple[int, ...]) -> Section | None:
    """The part that IMAP calls by `path` (RFC 3501 §6.4.5); `()` is the message itself; None: there is no such part.

    A message that is not a multipart has its body as part 1; so has a message inside a message/rfc822 part.
    """
    row: list[Any] = msgspec.msgpack.decode(sections)
    is_message = True
    for number in path:
        if row[3] == Kind.MESSAGE and not is_message:
            row, is_message = row[4][0], True
        if row[3] == Kind.MULTIPART:
            if not 1 <= number <= len(row[4]):
                return None
            row, is_message = row[4][number - 1], False
        elif number == 1 and is_message:
            is_message = False  # the body of the message, as its part 1
        else:
            return None
    return _section(row)


def _section(row: list[Any]) -> Section:
    inside = _section(row[4][0]) if row[3] == Kind.MESSAGE else None
    return Section(row[0], row[1], row[2], Kind(row[3]), inside)
