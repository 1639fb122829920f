"""The keys of SEARCH as a tree, and their grammar (RFC 3501 §6.4.4). `mailbox.search` evaluates the tree."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum

from postroad.proto.imap.sequence import SequenceSet
from postroad.proto.imap.tokens import SYSTEM_FLAGS, Cursor, SyntaxFault

MAX_DEPTH = 32  # parentheses, NOT and OR inside one another
MAX_KEYS = 500

CHARSETS = {b"US-ASCII": "ascii", b"ASCII": "ascii", b"UTF-8": "utf-8", b"UTF8": "utf-8"}


class BadCharset(Exception):  # noqa: N818 - the peer's, not ours
    """SEARCH named a charset that we do not know: NO [BADCHARSET (...)]."""


class Relation(Enum):
    BEFORE = "before"
    ON = "on"
    SINCE = "since"


@dataclass(frozen=True, slots=True)
class All:
    """Every message, or none of them."""

    matches: bool = True


@dataclass(frozen=True, slots=True)
class Not:
    key: Key


@dataclass(frozen=True, slots=True)
class And:
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Or:
    left: Key
    right: Key


@dataclass(frozen=True, slots=True)
class Flagged:
    """Whether a system flag is set."""

    bit: int


@dataclass(frozen=True, slots=True)
class HasKeyword:
    word: str  # lower case


@dataclass(frozen=True, slots=True)
class InSet:
    """Sequence numbers, or UIDs."""

    numbers: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class Dated:
    """The internal date, or with `sent` the Date field, without time and zone."""

    relation: Relation
    day: date
    sent: bool


@dataclass(frozen=True, slots=True)
class Sized:
    """RFC822.SIZE above (`larger`) or below a number of octets."""

    octets: int
    larger: bool


@dataclass(frozen=True, slots=True)
class InHeader:
    """Text in a header field; the empty text asks whether the field is there."""

    field: str  # lower case
    text: str  # case-folded


@dataclass(frozen=True, slots=True)
class InText:
    """Text in the body, or with `header` in header and body."""

    text: str  # case-folded
    header: bool


Key = All | Not | And | Or | Flagged | HasKeyword | InSet | Dated | Sized | InHeader | InText


def parse_search(cursor: Cursor) -> Key:
    """`[CHARSET name] key *(key)`, to the end of the command. Raises SyntaxFault or BadCharset."""
    parser = _Parser(cursor, _charset(cursor))
    keys = [parser.key(0)]
    while not cursor.at_end:
        cursor.space()
        keys.append(parser.key(0))
    return keys[0] if len(keys) == 1 else And(tuple(keys))


def _charset(cursor: Cursor) -> str:
    if cursor.data[cursor.position : cursor.position + 8].upper() != b"CHARSET ":
        return "utf-8"  # without a charset octets above 127 are not allowed; clients send UTF-8 all the same
    cursor.position += 8
    name = cursor.astring().upper()
    if name not in CHARSETS:
        raise BadCharset
    cursor.space()
    return CHARSETS[name]


class _Parser:
    """Reads keys; counts them and their depth."""

    __slots__ = ("charset", "count", "cursor")

    def __init__(self, cursor: Cursor, charset: str) -> None:
        self.cursor = cursor
        self.charset = codecs.lookup(charset).name
        self.count = 0

    def key(self, depth: int) -> Key:
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_KEYS:
            raise SyntaxFault("the search is too deep or has too many keys")
        if self.cursor.accept(b"("):
            return self._group(depth)
        next_octet = self.cursor.data[self.cursor.position : self.cursor.position + 1]
        if next_octet.isdigit() or next_octet == b"*":
            return InSet(self.cursor.sequence_set(), uid=False)
        name = self.cursor.atom().upper()
        if name in _FIXED:
            return _FIXED[name]
        reader = _READERS.get(name)
        if reader is None:
            raise SyntaxFault(f"SEARCH knows no key {name.decode('ascii')}")
        self.cursor.space()
        return reader(self, depth)

    def text(self) -> str:
        try:
            return self.cursor.astring().decode(self.charset).casefold()
        except UnicodeDecodeError as error:
            raise SyntaxFault("the text is not in the charset of the search") from error

    def word(self) -> str:
        return self.cursor.atom().decode("ascii").lower()

    def _group(self, depth: int) -> Key:
        keys = [self.key(depth + 1)]
        while self.cursor.accept(b" "):
            keys.append(self.key(depth + 1))
        self.cursor.expect(b")")
        return keys[0] if len(keys) == 1 else And(tuple(keys))


def _or(parser: _Parser, depth: int) -> Key:
    left = parser.key(depth + 1)
    parser.cursor.space()
    return Or(left, parser.key(depth + 1))


def _header(parser: _Parser, _: int) -> Key:
    name = parser.cursor.astring().decode("ascii", "replace").lower()
    parser.cursor.space()
    return InHeader(name, parser.text())


def _in_field(name: str) -> Callable[[_Parser, int], Key]:
    return lambda parser, _: InHeader(name, parser.text())


def _dated(relation: Relation, *, sent: bool) -> Callable[[_Parser, int], Key]:
    return lambda parser, _: Dated(relation, parser.cursor.date().date(), sent)


def _flag_keys() -> dict[bytes, Key]:
    """SEEN and UNSEEN and so on."""
    keys: dict[bytes, Key] = {}
    for flag, bit in SYSTEM_FLAGS.items():
        keys[flag[1:]] = Flagged(bit)
        keys[b"UN" + flag[1:]] = Not(Flagged(bit))
    return keys


# RFC 3501 §6.4.4. No message is ever \Recent here: NEW and RECENT match none, OLD matches all.
_FIXED: dict[bytes, Key] = {
    b"ALL": All(), b"OLD": All(), b"NEW": All(matches=False), b"RECENT": All(matches=False), **_flag_keys(),
}  # fmt: skip
_READERS: dict[bytes, Callable[[_Parser, int], Key]] = {
    b"NOT": lambda parser, depth: Not(parser.key(depth + 1)),
    b"OR": _or,
    b"KEYWORD": lambda parser, _: HasKeyword(parser.word()),
    b"UNKEYWORD": lambda parser, _: Not(HasKeyword(parser.word())),
    b"UID": lambda parser, _: InSet(parser.cursor.sequence_set(), uid=True),
    b"LARGER": lambda parser, _: Sized(parser.cursor.number(), larger=True),
    b"SMALLER": lambda parser, _: Sized(parser.cursor.number(), larger=False),
    b"HEADER": _header,
    b"BODY": lambda parser, _: InText(parser.text(), header=False),
    b"TEXT": lambda parser, _: InText(parser.text(), header=True),
    **{name.encode(): _in_field(name.lower()) for name in ("FROM", "TO", "CC", "BCC", "SUBJECT")},
    **{relation.name.encode(): _dated(relation, sent=False) for relation in Relation},
    **{b"SENT" + relation.name.encode(): _dated(relation, sent=True) for relation in Relation},
}
