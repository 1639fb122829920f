"""What FETCH can ask for: data items and body sections (RFC 3501 §6.4.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from postroad.proto.imap.tokens import Cursor, SyntaxFault

MAX_ITEMS = 100
MAX_FIELD_LISTS = 8  # each may hold a whole header block in memory
MAX_FIELDS = 200  # names in one HEADER.FIELDS list
MAX_DEPTH = 50  # numbers in one part specifier


class Item:
    """The items that need no body, as bits; plain numbers, since they are asked for each of many messages."""

    FLAGS: Final = 1
    UID: Final = 2
    INTERNALDATE: Final = 4
    SIZE: Final = 8
    ENVELOPE: Final = 16
    BODY: Final = 32
    BODYSTRUCTURE: Final = 64


class Part(Enum):
    """What of a message, or of a part, a section names."""

    WHOLE = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """`BODY[numbers.part (fields)]<start.count>`; `label` is how the answer names it."""

    label: bytes
    part: Part = Part.WHOLE
    numbers: tuple[int, ...] = ()
    fields: tuple[bytes, ...] = ()  # lower case
    partial: tuple[int, int] | None = None
    peek: bool = False


@dataclass(frozen=True, slots=True)
class FetchItems:
    """All that one FETCH asks for."""

    simple: int  # bits of Item
    sections: tuple[Section, ...] = ()

    @property
    def sets_seen(self) -> bool:
        return any(not section.peek for section in self.sections)


_FAST = Item.FLAGS | Item.INTERNALDATE | Item.SIZE
_MACROS = {b"ALL": _FAST | Item.ENVELOPE, b"FAST": _FAST, b"FULL": _FAST | Item.ENVELOPE | Item.BODY}
_SIMPLE = {
    b"FLAGS": Item.FLAGS, b"UID": Item.UID, b"INTERNALDATE": Item.INTERNALDATE, b"RFC822.SIZE": Item.SIZE,
    b"ENVELOPE": Item.ENVELOPE, b"BODY": Item.BODY, b"BODYSTRUCTURE": Item.BODYSTRUCTURE,
}  # fmt: skip
_RFC822 = {
    b"RFC822": Section(b"RFC822"),
    b"RFC822.HEADER": Section(b"RFC822.HEADER", Part.HEADER, peek=True),
    b"RFC822.TEXT": Section(b"RFC822.TEXT", Part.TEXT),
}
_NAME = re.compile(rb"[A-Za-z0-9.]+")
_NUMBERS = re.compile(rb"([1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*)(\.?)")
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([0-9]{1,10})>")
_PLAIN_FIELD = re.compile(rb"[A-Za-z0-9-]+")


def parse_items(cursor: Cursor) -> FetchItems:
    """The items of FETCH: a macro, one item, or a list in parentheses."""
    if not cursor.accept(b"("):
        return _single(cursor)
    simple, sections = _item(cursor)
    found = list(sections)
    while cursor.accept(b" "):
        bits, sections = _item(cursor)
        simple |= bits
        found += sections
        if len(found) > MAX_ITEMS or sum(bool(section.fields) for section in found) > MAX_FIELD_LISTS:
            raise SyntaxFault("too many items")
    cursor.expect(b")")
    return FetchItems(simple, tuple(found))


def _single(cursor: Cursor) -> FetchItems:
    start = cursor.position
    name = _name(cursor)
    if name in _MACROS:
        return FetchItems(_MACROS[name])
    cursor.position = start
    simple, sections = _item(cursor)
    return FetchItems(simple, sections)


def _item(cursor: Cursor) -> tuple[int, tuple[Section, ...]]:
    name = _name(cursor)
    if name in (b"BODY", b"BODY.PEEK") and cursor.peek(b"["):
        return 0, (_section(cursor, peek=name == b"BODY.PEEK"),)
    if name in _SIMPLE:
        return _SIMPLE[name], ()
    if name in _RFC822:
        return 0, (_RFC822[name],)
    raise SyntaxFault(f"FETCH knows no item {name.decode('ascii')}")


def _name(cursor: Cursor) -> bytes:
    match = _NAME.match(cursor.data, cursor.position)
    if not match:
        raise SyntaxFault("expected an item of FETCH")
    cursor.position = match.end()
    return match[0].upper()


def _section(cursor: Cursor, *, peek: bool) -> Section:
    cursor.expect(b"[")
    numbers, dotted = _part_numbers(cursor)
    part = Part.WHOLE
    if not cursor.peek(b"]"):
        part = _part(cursor, inside=bool(numbers))
    elif dotted:
        raise SyntaxFault("a part specifier ends with a dot")
    if part is Part.MIME and not numbers:
        raise SyntaxFault("MIME needs a part number before it")  # RFC 3501 §6.4.5
    fields = _fields(cursor) if part in (Part.FIELDS, Part.FIELDS_NOT) else ()
    cursor.expect(b"]")
    partial = _partial(cursor)
    label = _label(numbers, part, fields, partial)
    return Section(label, part, numbers, tuple(field.lower() for field in fields), partial, peek)


def _part_numbers(cursor: Cursor) -> tuple[tuple[int, ...], bool]:
    match = _NUMBERS.match(cursor.data, cursor.position)
    if not match:
        return (), False
    cursor.position = match.end()
    numbers = tuple(int(number) for number in match[1].split(b"."))
    if len(numbers) > MAX_DEPTH:
        raise SyntaxFault("the part specifier is too deep")
    if not match[2] and not cursor.peek(b"]"):
        raise SyntaxFault("expected ] or a dot after the part number")
    return numbers, bool(match[2])


def _part(cursor: Cursor, *, inside: bool) -> Part:
    name = _name(cursor)
    try:
        return Part(name)
    except ValueError:
        where = "after a part number" if inside else "in BODY[]"
        raise SyntaxFault(f"no section {name.decode('ascii')} {where}") from None


def _fields(cursor: Cursor) -> tuple[bytes, ...]:
    cursor.expect(b" (")
    fields = [cursor.astring()]
    while cursor.accept(b" "):
        fields.append(cursor.astring())
        if len(fields) > MAX_FIELDS:
            raise SyntaxFault("too many field names")
    cursor.expect(b")")
    if not all(_PLAIN_FIELD.fullmatch(field) or _is_field_name(field) for field in fields):
        raise SyntaxFault("a field name holds octets that no field name can hold")
    return tuple(fields)


def _is_field_name(name: bytes) -> bool:
    """RFC 5322 §2.2: printable US-ASCII except the colon."""
    return bool(name) and all(32 < octet < 127 and octet != 58 for octet in name)


def _partial(cursor: Cursor) -> tuple[int, int] | None:
    if not cursor.peek(b"<"):
        return None
    match = _PARTIAL.match(cursor.data, cursor.position)
    if not match or int(match[2]) == 0:
        raise SyntaxFault("a partial is <start.count> with a count above zero")
    cursor.position = match.end()
    return int(match[1]), int(match[2])


def _label(numbers: tuple[int, ...], part: Part, fields: tuple[bytes, ...], partial: tuple[int, int] | None) -> bytes:
    where = b".".join(b"%d" % number for number in numbers)
    section = where + (b"." if where and part.value else b"") + part.value
    if fields:
        section += b" (" + b" ".join(map(_spell_field, fields)) + b")"
    return b"BODY[" + section + b"]" + (b"<%d>" % partial[0] if partial else b"")


def _spell_field(field: bytes) -> bytes:
    if _PLAIN_FIELD.fullmatch(field):
        return field
    return b'"' + field.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
