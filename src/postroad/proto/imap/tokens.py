"""The tokenizer: a `Cursor` reads atoms, strings, literals, numbers, lists and dates of one command (RFC 3501 §4, §9).

`reader.py` finds whole commands in the stream. A command is kept as it was sent, each literal in its place behind
`{n}` and CRLF, so framing and reading follow the same rule and cannot disagree.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from postroad.proto.imap import utf7
from postroad.proto.imap.sequence import SequenceError, SequenceSet

MAX_KEYWORD = 100  # octets of one flag keyword
MAX_FLAGS = 64  # flags in one list
SYSTEM_FLAGS = {b"\\SEEN": 1, b"\\ANSWERED": 2, b"\\FLAGGED": 4, b"\\DELETED": 8, b"\\DRAFT": 16}

# RFC 3501 §9: atom-specials are ( ) { SP CTL % * " \ ]; an astring may hold ], a list-mailbox % and * too.
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_LIST_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_MAILBOX_ATOM = re.compile(rb'[^\x00-\x20\x7f(){%*"\\]+')  # octets above 127: see utf7.decode
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{([0-9]{1,20})\+?\}\r?\n")
_NUMBER = re.compile(rb"[0-9]{1,20}")
_SET = re.compile(rb"[0-9*:,]+")
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ESCAPED = re.compile(rb"\\(.)")
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"), 1
    )
}


class SyntaxFault(Exception):  # noqa: N818 - the peer's, not ours
    """The command is not what RFC 3501 §9 says; the text is for the answer BAD."""


class Cursor:
    """Reads one command from left to right. Every method raises SyntaxFault when something else stands there."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.data)

    def peek(self, octets: bytes) -> bool:
        """Whether `octets` come next; the position stays."""
        return self.data.startswith(octets, self.position)

    def accept(self, octets: bytes) -> bool:
        """Pass `octets` if they come next."""
        if not self.data.startswith(octets, self.position):
            return False
        self.position += len(octets)
        return True

    def expect(self, octets: bytes) -> None:
        if not self.accept(octets):
            wanted = "a space" if octets == b" " else octets.decode("ascii")
            raise SyntaxFault(f"expected {wanted} {self._here()}")

    def space(self) -> None:
        self.expect(b" ")

    def end(self) -> None:
        """Nothing may follow."""
        if not self.at_end:
            raise SyntaxFault(f"unexpected text {self._here()}")

    def atom(self) -> bytes:
        return self._match(_ATOM, "a word")

    def astring(self) -> bytes:
        return self._string(_ASTRING)

    def nstring(self) -> bytes | None:
        """A string, or None for NIL."""
        if self.data[self.position : self.position + 3].upper() == b"NIL":
            self.position += 3
            return None
        return self.string()

    def string(self) -> bytes:
        """A quoted string or a literal."""
        if self.peek(b'"'):
            match = _QUOTED.match(self.data, self.position)
            if not match:
                raise SyntaxFault(f"a quoted string is not closed or holds a line break {self._here()}")
            self.position = match.end()
            return _ESCAPED.sub(rb"\1", match[1]) if b"\\" in match[1] else match[1]
        return self._literal()

    def mailbox(self) -> str:
        """A mailbox name, decoded."""
        return self._name(_MAILBOX_ATOM)

    def list_mailbox(self) -> str:
        """A mailbox name that may hold wildcards."""
        return self._name(_LIST_ATOM)

    def number(self) -> int:
        number = int(self._match(_NUMBER, "a number"))
        if number >= 1 << 63:
            raise SyntaxFault(f"the number is too large {self._here()}")
        return number

    def sequence_set(self) -> SequenceSet:
        text = self._match(_SET, "a sequence set")
        try:
            return SequenceSet.parse(text)
        except SequenceError as error:
            raise SyntaxFault(str(error)) from error

    def flag_list(self) -> tuple[int, tuple[str, ...]]:
        """`(\\Seen word)`: system flag bits and keywords."""
        self.expect(b"(")
        if self.accept(b")"):
            return 0, ()
        flags = self.flags()
        self.expect(b")")
        return flags

    def flags(self) -> tuple[int, tuple[str, ...]]:
        """Flags separated by spaces, without parentheses (STORE takes both forms)."""
        bits, keywords = 0, dict[str, str]()
        for _ in range(MAX_FLAGS):
            flag = self._match(_FLAG, "a flag")
            if flag.startswith(b"\\"):
                bits |= _system_flag(flag)
            else:
                _add_keyword(keywords, flag)
            if not self.accept(b" "):
                return bits, tuple(keywords.values())
        raise SyntaxFault("too many flags")

    def date(self) -> datetime:
        """`1-Feb-1994`, in quotes or not: midnight UTC of that day."""
        match = _DATE.match(self.data, self.position)
        month = match and _MONTHS.get(match[3].upper())
        if not match or not month:
            raise SyntaxFault(f"expected a date like 1-Feb-1994 {self._here()}")
        self.position = match.end()
        return _moment((int(match[4]), month, int(match[2])))

    def date_time(self) -> datetime:
        """`"17-Jul-1996 02:44:25 -0700"`."""
        match = _DATE_TIME.match(self.data, self.position)
        month = match and _MONTHS.get(match[2].upper())
        if not match or not month:
            raise SyntaxFault(f'expected a date like "17-Jul-1996 02:44:25 -0700" {self._here()}')
        self.position = match.end()
        minutes = int(match[8]) * 60 + int(match[9])
        if minutes >= 24 * 60:
            raise SyntaxFault("the time zone does not exist")
        zone = timezone(timedelta(minutes=-minutes if match[7] == b"-" else minutes))
        clock = (int(match[4]), int(match[5]), min(int(match[6]), 59))  # :60 is a leap second
        return _moment((int(match[3]), month, int(match[1])), clock, zone)

    def _match(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        match = pattern.match(self.data, self.position)
        if not match:
            raise SyntaxFault(f"expected {what} {self._here()}")
        self.position = match.end()
        return match[0]

    def _string(self, atom: re.Pattern[bytes]) -> bytes:
        if self.peek(b'"') or self.peek(b"{"):
            return self.string()
        return self._match(atom, "a string")

    def _name(self, atom: re.Pattern[bytes]) -> str:
        try:
            return utf7.decode(self._string(atom))
        except utf7.NameEncodingError as error:
            raise SyntaxFault(str(error)) from error

    def _literal(self) -> bytes:
        match = _LITERAL.match(self.data, self.position)
        if not match or match.end() + int(match[1]) > len(self.data):
            raise SyntaxFault(f"expected a string {self._here()}")
        start, self.position = match.end(), match.end() + int(match[1])
        return self.data[start : self.position]

    def _here(self) -> str:
        return "at the end of the command" if self.at_end else f"at octet {self.position + 1} of the command"


def _system_flag(flag: bytes) -> int:
    name = flag.upper()
    if name == b"\\RECENT":
        return 0  # RFC 3501 §2.3.2: no client can set it; some send back what they read
    bit = SYSTEM_FLAGS.get(name)
    if bit is None:
        raise SyntaxFault(f"{flag.decode('ascii')} is not a flag that a message can have")
    return bit


def _add_keyword(keywords: dict[str, str], flag: bytes) -> None:
    if len(flag) > MAX_KEYWORD:
        raise SyntaxFault("a keyword is too long")
    word = flag.decode("ascii")
    keywords.setdefault(word.lower(), word)


def _moment(day: tuple[int, int, int], clock: tuple[int, int, int] = (0, 0, 0), zone: timezone = UTC) -> datetime:
    try:
        return datetime(*day, *clock, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SyntaxFault("the date does not exist") from error
