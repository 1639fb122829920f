"""Responses as dataclasses, and their bytes (RFC 3501 §7).

What is sent ten thousand times for one command (FETCH) is put together by `sessions.imap_fetch` from the same small
functions, without an object for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

from postroad.proto.imap import utf7

SYSTEM_FLAG_NAMES = ((1, b"\\Seen"), (2, b"\\Answered"), (4, b"\\Flagged"), (8, b"\\Deleted"), (16, b"\\Draft"))
FLAG_SETS = tuple(b" ".join(name for bit, name in SYSTEM_FLAG_NAMES if bits & bit) for bits in range(32))
MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_QUOTABLE = re.compile(rb"[^\x00\r\n\x80-\xff]*")


class Condition(Enum):
    OK = b"OK"
    NO = b"NO"
    BAD = b"BAD"
    BYE = b"BYE"
    PREAUTH = b"PREAUTH"


class Response(Protocol):
    """Anything that `ImapServer.send` takes: whole lines."""

    def __bytes__(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended: `OK`, `NO` or `BAD`, with a response code in brackets where there is one."""

    condition: Condition
    text: str
    code: bytes = b""

    def tagged(self, tag: bytes) -> bytes:
        code = b"[" + self.code + b"] " if self.code else b""
        return tag + b" " + self.condition.value + b" " + code + self.text.encode("utf-8") + b"\r\n"

    def __bytes__(self) -> bytes:
        return self.tagged(b"*")


def ok(text: str, code: bytes = b"") -> Result:
    return Result(Condition.OK, text, code)


def no(text: str, code: bytes = b"") -> Result:
    return Result(Condition.NO, text, code)


def bad(text: str, code: bytes = b"") -> Result:
    return Result(Condition.BAD, text, code)


@dataclass(frozen=True, slots=True)
class Line:
    """An untagged response given as it is."""

    text: bytes

    def __bytes__(self) -> bytes:
        return b"* " + self.text + b"\r\n"


def exists(count: int) -> Line:
    return Line(b"%d EXISTS" % count)


def expunged(seq: int) -> Line:
    return Line(b"%d EXPUNGE" % seq)


def search(numbers: Iterable[int]) -> Line:
    return Line(b"SEARCH" + b"".join([b" %d" % number for number in numbers]))


def flag_names(flags: int, keywords: Iterable[str] = ()) -> bytes:
    """`\\Seen word`, without parentheses."""
    names = FLAG_SETS[flags & 31]
    if not keywords:
        return names
    words = " ".join(keywords).encode("ascii", "replace")
    return names + b" " + words if names else words


def fetch_flags(seq: int, flags: int, keywords: Iterable[str], uid: int | None) -> Line:
    names = flag_names(flags, keywords)
    if uid is None:
        return Line(b"%d FETCH (FLAGS (%b))" % (seq, names))
    return Line(b"%d FETCH (UID %d FLAGS (%b))" % (seq, uid, names))


def mailbox_flags(keywords: Iterable[str], *, read_only: bool) -> bytes:
    """FLAGS and PERMANENTFLAGS of SELECT; `\\*` says that new keywords may be made."""
    names = flag_names(31, keywords)
    permanent = b"" if read_only else names + b" \\*"
    return b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] flags that are kept\r\n" % (names, permanent)


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One line of LIST or LSUB."""

    name: str
    attributes: tuple[str, ...]
    subscribed: bool = False  # LSUB

    def __bytes__(self) -> bytes:
        verb = b"LSUB" if self.subscribed else b"LIST"
        attributes = " ".join(self.attributes).encode("ascii")
        return b'* %b (%b) "/" %b\r\n' % (verb, attributes, mailbox_name(self.name))


@dataclass(frozen=True, slots=True)
class StatusEntry:
    name: str
    items: tuple[tuple[str, int], ...]

    def __bytes__(self) -> bytes:
        items = " ".join(f"{item} {number}" for item, number in self.items).encode("ascii")
        return b"* STATUS %b (%b)\r\n" % (mailbox_name(self.name), items)


def mailbox_name(name: str) -> bytes:
    return astring(utf7.encode(name))


def astring(octets: bytes) -> bytes:
    """As an atom where that is possible, else quoted, else a literal."""
    if _ATOM.fullmatch(octets) and octets.upper() != b"NIL":
        return octets
    return string(octets)


def string(octets: bytes) -> bytes:
    """Quoted, or a literal where quotes cannot hold it."""
    if len(octets) < 1000 and _QUOTABLE.fullmatch(octets):
        return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n" % len(octets) + octets


def date_time(moment: datetime) -> bytes:
    """`"17-Jul-1996 02:44:25 +0000"`."""
    moment = moment.astimezone(UTC)
    clock = (moment.year, moment.hour, moment.minute, moment.second)
    return b'"%02d-%b-%04d %02d:%02d:%02d +0000"' % (moment.day, MONTHS[moment.month - 1], *clock)
