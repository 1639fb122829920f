"""Content-Type, Content-Disposition and their parameters (RFC 2045 §5.1, RFC 2183, RFC 2231), read leniently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

Parameters = tuple[tuple[bytes, bytes], ...]

MAX_PARAMETERS = 100  # per field; what follows is not looked at
_CACHED = 200  # longer values are not remembered

_TYPE = re.compile(rb"[ \t]*([^\s/;()<>@,\\\":\[\]?=]+)[ \t]*/[ \t]*([^\s/;()<>@,\\\":\[\]?=]+)")
_WORD = re.compile(rb"[ \t]*([^\s;()<>@,\\\"/:\[\]?=]+)")
# As it comes in practice: white space may stand for a ";", an unquoted value hold anything but those two.
_PARAMETER = re.compile(rb"(?<=[;\s])([^\s=;\"()]++)[ \t]*+=[ \t]*+(?:\"((?:[^\"\\]|\\.)*+)\"?|([^\s;]*+))", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_CONTINUED = re.compile(rb"([^*]+)(?:\*(\d{1,4}))?(\*)?")


class ContentType(NamedTuple):
    """`type` and `subtype` in capitals; parameter names in capitals, values as they came, quotes removed."""

    type: bytes
    subtype: bytes
    parameters: Parameters

    @property
    def boundary(self) -> bytes:
        """What stands between the parts of a multipart; empty when it is not said."""
        for name, value in self.parameters:
            if name == b"BOUNDARY":
                return value.rstrip()
            if name == b"BOUNDARY*":  # RFC 2231 §4: charset'language'value
                return unquote_to_bytes(value.rpartition(b"'")[2]).rstrip()
        return b""

    @property
    def is_message(self) -> bool:
        return self.type == b"MESSAGE" and self.subtype == b"RFC822"


class Disposition(NamedTuple):
    """`inline` or `attachment`, in capitals, with its parameters."""

    kind: bytes
    parameters: Parameters


def parse_content_type(value: bytes) -> ContentType | None:
    """Read a Content-Type value; None when it has no type and subtype."""
    return _cached_content_type(value) if len(value) <= _CACHED else _content_type(value)


def parse_disposition(value: bytes) -> Disposition | None:
    """Read a Content-Disposition value; None when it has no disposition."""
    value = strip_comments(value)
    word = _WORD.match(value)
    return Disposition(word[1].upper(), _parameters(value, word.end())) if word else None


def _content_type(value: bytes) -> ContentType | None:
    value = strip_comments(value)
    start = _TYPE.match(value)
    if not start:
        return None
    return ContentType(start[1].upper(), start[2].upper(), _parameters(value, start.end()))


_cached_content_type = lru_cache(maxsize=512)(_content_type)


def _parameters(value: bytes, start: int) -> Parameters:
    if b"=" not in value:
        return ()
    found = tuple(_read(value, start))
    return join_continuations(found) if any(b"*" in name for name, _ in found) else found


def _read(value: bytes, position: int) -> Iterator[tuple[bytes, bytes]]:
    for _, match in zip(range(MAX_PARAMETERS), _PARAMETER.finditer(value, position), strict=False):
        name, quoted, plain = match.groups()
        if quoted is not None:
            plain = _ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        yield name.upper(), plain


def join_continuations(parameters: Parameters) -> Parameters:
    """`name*0`, `name*1*` ... become one `name`, or `name*` where a charset is said (RFC 2231 §3, §4)."""
    pieces: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    for name, value in parameters:
        match = _CONTINUED.fullmatch(name)
        base, number, extended = match.groups() if match else (name, None, None)
        pieces.setdefault(base, {}).setdefault(int(number or 0), (bool(extended), value))
    return tuple(_joined(name, [by_number[n] for n in sorted(by_number)]) for name, by_number in pieces.items())


def _joined(name: bytes, pieces: list[tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    if not any(extended for extended, _ in pieces):
        return name, b"".join(value for _, value in pieces)
    # RFC 2231 §4.1: plain pieces between encoded ones are taken as they are; in an encoded value that needs escaping
    values = [value if extended else quote_from_bytes(value).encode() for extended, value in pieces]
    return name + b"*", b"".join(values)


def strip_comments(value: bytes) -> bytes:
    """`value` with each comment (RFC 5322 §3.2.2) made a space; quoted strings are left alone."""
    if b"(" not in value:
        return value
    kept, depth, start = [], 0, 0
    for match in _COMMENT_TOKEN.finditer(value):
        token = match[0]
        if token == b"(":
            if depth == 0:
                kept.append(value[start : match.start()])
            depth += 1
        elif token == b")" and depth:
            depth -= 1
            start = match.end()
    if depth == 0:
        kept.append(value[start:])
    return b" ".join(kept)


_COMMENT_TOKEN = re.compile(rb"[()]|\\.|\"(?:[^\"\\]|\\.)*+\"", re.DOTALL)
