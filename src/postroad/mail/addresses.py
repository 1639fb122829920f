"""Address lists of header fields, read leniently: names, groups, comments, quoted strings (RFC 5322 §3.4, §4.4).

What people really send is read too: missing hosts, stray commas, raw 8-bit names. Encoded words stay as they are. The
common shapes, `Name <a@b>` and `a@b`, take one match of one pattern each. (Addresses of envelopes: `address.py`.)
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_ADDRESSES = 10_000  # in one field; what follows is not looked at
MAX_TOKENS = 20_000  # of addresses that are not in a common shape; each costs a microsecond, and a hostile one an octet

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
    rb"[ \t]*+"
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
    match = _COMMON.match(value)
    if match and match.end() == len(value):
        return [_common_mailbox(match)]  # nearly every From is one
    reader = _Reader(value)
    reader.read()
    return reader.found


def _common_mailbox(match: re.Match[bytes]) -> Mailbox:
    quoted, phrase, local_part, domain, bare, bare_domain = match.groups()
    if bare:
        return Mailbox(None, None, bare, bare_domain)
    return Mailbox(quoted or _words(phrase), None, local_part, domain)


def _words(phrase: bytes | None) -> bytes | None:
    """The phrase with single spaces between its words; None when there is nothing in it."""
    if not phrase:
        return None
    phrase = phrase.strip()
    return (b" ".join(phrase.split()) if b"  " in phrase else phrase) or None


class _Reader:
    """Reads a list, one address after the other: at once where its shape is common, else token by token."""

    __slots__ = ("_at", "_value", "comment", "found", "gap", "in_angle", "in_group", "seen_angle", "text", "words")

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._at = 0
        self.found: list[Mailbox] = []
        self.in_group = False

    def _reset(self) -> None:
        self.words: list[bytes] = []  # outside angle brackets: a display name, or an address without brackets
        self.text: list[bytes] = []  # inside them
        self.comment = b""  # the last one: `a@b (Name)` names the person (RFC 5322 appendix A.6.3)
        self.gap = False  # white space since the last word
        self.in_angle = self.seen_angle = False

    def read(self) -> None:
        self._common()
        if self._at < len(self._value):
            self._reset()
            self._tokens()
            self._finish()
        if self.in_group:
            self.found.append(GROUP_END)

    def _common(self) -> None:
        """As many addresses of the common shapes as there are from here."""
        value, found = self._value, self.found
        while len(found) < MAX_ADDRESSES and (match := _COMMON.match(value, self._at)):
            found.append(_common_mailbox(match))
            self._at = match.end()

    def _tokens(self) -> None:
        for _ in range(MAX_TOKENS):
            token = _TOKEN.match(self._value, self._at)
            if not token or len(self.found) >= MAX_ADDRESSES:
                return
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
            if self.in_angle and self._value.startswith(b"@", self._at):  # "<@a,@b:c@d>" is a route
                self.text.append(special)
            else:
                self._finish()
                self._common()
        elif special == b";" and not self.in_angle:
            self._finish()
            if self.in_group:
                self.found.append(GROUP_END)
            self.in_group = False
        elif special == b":" and not self.in_angle and not self.in_group:
            self.found.append(Mailbox(None, None, _plain(self.words), None))
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
        self.found.append(Mailbox(name or None, route, local_part or MISSING_MAILBOX, domain or MISSING_DOMAIN))


def _plain(words: list[bytes]) -> bytes:
    return b"".join(words).strip()
