"""Reads IMAP data as a client does: nested lists of strings, numbers and NIL (RFC 3501 §9), strictly."""

from __future__ import annotations

import re

Value = bytes | int | None | list["Value"]

_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_NUMBER = re.compile(rb"\d+")


class NotImap(ValueError):  # noqa: N818
    """The octets are not what RFC 3501's grammar allows."""


def parse_imap(text: bytes) -> Value:
    """Read one value that is all of `text`. Raises NotImap."""
    value, end = _value(text, 0)
    if end != len(text):
        raise NotImap(f"more behind it: {text[end : end + 40]!r}")
    return value


def _value(text: bytes, at: int) -> tuple[Value, int]:
    if text.startswith(b"(", at):
        return _list(text, at + 1)
    if text.startswith(b"NIL", at):
        return None, at + 3
    if match := _QUOTED.match(text, at):
        return re.sub(rb"\\(.)", rb"\1", match[1]), match.end()
    if match := _LITERAL.match(text, at):
        end = match.end() + int(match[1])
        literal = text[match.end() : end]
        if len(literal) != int(match[1]) or b"\0" in literal:
            raise NotImap("a literal is short, or has a NUL")
        return literal, end
    if match := _NUMBER.match(text, at):
        return int(match[0]), match.end()
    raise NotImap(f"neither string, number, NIL nor list: {text[at : at + 40]!r}")


def _list(text: bytes, at: int) -> tuple[list[Value], int]:
    values: list[Value] = []
    while not text.startswith(b")", at):
        value, at = _value(text, at)
        values.append(value)
        if text.startswith(b" ", at):
            at += 1
            if text.startswith(b")", at):
                raise NotImap("a space at the end of a list")
        elif not isinstance(value, list) and not text.startswith(b")", at):
            raise NotImap(f"no space behind a value: {text[at : at + 40]!r}")  # only lists may stand side by side
    return values, at + 1
