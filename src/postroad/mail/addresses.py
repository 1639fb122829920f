"""Address lists of header fields, read leniently: names, groups, comments, quoted strings (RFC 5322 §3.4, §4.4).

What people really send is read too: missing hosts, stray commas, raw 8-bit names. Encoded words stay as they are. The
common shapes, `Name <a@b>` and `a@b`, take one match of one pattern each. (Addresses of envelopes: `address.py`.)
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_ADDRESSES = 10_000  # in one field; what follows is not looked at

MISSING_MAILBOX = b"MISSING_MAILBOX"  # what stands where a broken address has nothing, as Dovecot says it:
MISSING_DOMAIN = b"MISSING_DOMAIN"  # NIL would tell an IMAP client that this is a group (RFC 3501 §7.4.2)


class Mailbox(NamedTuple):
    """One entry in the shape of IMAP's ENVELOPE (RFC 3501 §7.4.2), quotes and comments taken away.

    A group begins with an entry that has only a `local_part` (its name), and ends with one that has nothing.
    """

    name: bytes | None
    route: bytes | None
    local_part: bytes | None
    domain: bytes | None


GROUP_END = Mailbox(None, None, None, None)

_ATEXT = rb"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]"
_COMMON = re.compile(
    rb"[ \t,]*+"
    rb"(?:(?:\"([^\"\\\r\n\x00]*+)\"[ \t]*+|([A-Za-z0-9!#$%&'*+\-/=?^_`{|}~. \x80-\xff]++))?"
    rb"<(ATEXT++)@([A-Za-z0-9.\-]++)>"
    rb"|(ATEXT++)@([A-Za-z0-9.\-]++))"
    rb"[ \t]*+(?:,|\Z)".replace(b"ATEXT", _ATEXT)
)

# white space | quoted string | domain literal | comment's parenthesis | special | anything else
_TOKEN = re.compile(
    rb"([ \t\r\n\x00]++)|\"((?:[^\"\\]|\\.)*+)\"?|(\[[^\]]*+\]?)|([()])|([<>,;:@])|([^ \t\r\n\x00\"()<>,;:@\[]++)",
    re.DOTALL,
)
_IN_COMMENT = re.compile(rb"\\.|[()]", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def parse_addresses(value: bytes) -> list[Mailbox]:
    """Read the value of From, To and their kin, unfolded or not; never raises."""
    found: list[Mailbox] = []
    position = 0
    while match := _COMMON.match(value, position):
        quoted, phrase, local_part, domain, bare, bare_domain = match.groups()
        if bare:
            found.append(Mailbox(None, None, bare, bare_domain))
        else:
            found.append(Mailbox(quoted or _words(phrase), None, local_part, domain))
        position = match.end()
        if len(found) >= MAX_ADDRESSES:
            return found
    return found if position >= len(value) else _Reader(value, position, found).read()


def _words(phrase: bytes | None) -> bytes | None:
    """The phrase with single spaces between its words; None when there is nothing in it."""
    if not phrase:
        return None
    phrase = phrase.strip()
    return (b" ".join(phrase.split()) if b"  " in phrase else phrase) or None


class _Reader:
    """Reads the rest of a list token by token, one address after the other; every octet is looked at once."""

    __slots__ = ("_at", "_found", "_value", "comment", "gap", "in_angle", "in_group", "seen_angle", "text", "words")

    def __init__(self, value: bytes, position: int, found: list[Mailbox]) -> None:
        self._value = value
        self._at = position
        self._found = found
        self.in_group = False
        self._reset()

    def _reset(self) -> None:
        self.words: list[bytes] = []  # outside angle brackets: a display name, or an address without brackets
        self.text: list[bytes] = []  # inside them
        self.comment = b""  # the last one: `a@b (Name)` names the person (RFC 5322 appendix A.6.3)
        self.gap = False  # white space since the last word
        self.in_angle = self.seen_angle = False

    def read(self) -> list[Mailbox]:
        while len(self._found) < MAX_ADDRESSES and (token := _TOKEN.match(self._value, self._at)):
            self._at = token.end()
            space, quoted, literal, parenthesis, special, other = token.groups()
            if space is not None:
                self.gap = True
            elif parenthesis is not None:
                self._comment(parenthesis)
            elif special is not None:
                self._special(special)
            elif quoted is not None:
                self._word(_ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted, quoted=True)
            else:
                self._word(literal if literal is not None else other)
        self._finish()
        if self.in_group:
            self._found.append(GROUP_END)
        return self._found

    def _word(self, word: bytes, *, quoted: bool = False) -> None:
        into = self.text if self.in_angle else self.words
        if quoted or (self.gap and into and not self.in_angle):
            into.append(b" ")  # a space is the mark between words; `_address` takes it out again
        into.append(word)
        self.gap = False

    def _comment(self, parenthesis: bytes) -> None:
        depth, start, end = 1, self._at, len(self._value)
        while parenthesis == b"(" and depth:
            match = _IN_COMMENT.search(self._value, self._at)
            if not match:
                self._at = end
                break
            self._at = match.end()
            depth += {b"(": 1, b")": -1}.get(match[0], 0)
            end = match.start()
        if parenthesis == b"(":
            self.comment = _ESCAPE.sub(rb"\1", self._value[start : end if not depth else self._at]).strip()
            self.gap = True

    def _special(self, special: bytes) -> None:
        if special == b"<" and not self.in_angle:
            self.in_angle = self.seen_angle = True
            self.text = []
        elif special == b">":
            self.in_angle = False
        elif special == b",":
            if not self.in_angle or b"@" not in self._value[self._at : self._at + 1]:  # "<@a,@b:c@d>" is a route
                self._finish()
        elif special == b";" and not self.in_angle:
            self._finish()
            if self.in_group:
                self._found.append(GROUP_END)
            self.in_group = False
        elif special == b":" and not self.in_angle and not self.in_group:
            self._found.append(Mailbox(None, None, _plain(self.words), None))
            self.in_group = True
            self._reset()
        else:
            (self.text if self.in_angle else self.words).append(special)
            self.gap = False

    def _finish(self) -> None:
        """One entry is complete."""
        if self.seen_angle:
            name = _plain(self.words) or self.comment
            if self.text or name:
                self._add(name, self.text)
        elif self.words:
            self._add(self.comment, self.words)
        self._reset()

    def _add(self, name: bytes, pieces: list[bytes]) -> None:
        text = [piece for piece in pieces if piece != b" "] if b"@" in pieces else pieces
        route = None
        if text[:1] == [b"@"] and b":" in text:
            colon = text.index(b":")
            route, text = b"".join(text[:colon]), text[colon + 1 :]
        last = len(text) - 1 - text[::-1].index(b"@") if b"@" in text else len(text)
        local_part = b"".join(text[:last]).strip()
        domain = b"".join(text[last + 1 :]).strip()
        self._found.append(Mailbox(name or None, route, local_part or MISSING_MAILBOX, domain or MISSING_DOMAIN))


def _plain(words: list[bytes]) -> bytes:
    return b"".join(words).strip()
