"""From a line on the wire to a command, as a server reads it (RFC 5321 §4.1.1, §4.5.3.1.4).

Clients say the same few lines over and over, DATA and the senders of a list above all; what a short line comes to is
remembered, its addresses and parameters with it.
"""

from __future__ import annotations

from functools import lru_cache

from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.encodings import CONTROLS
from postroad.proto.smtp.grammar import MAX_COMMAND_LINE, VERBS, Command
from postroad.proto.smtp.reply import CommandFault, Reply

# A browser that was made to talk to a mail server must not get as far as its body, which an attacker chose.
_HTTP = frozenset(("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI"))
_REMEMBERED_OCTETS = 128  # longer lines are not remembered
_REMEMBERED_LINES = 2048
_WITH_ADDRESSES = frozenset(("MAIL ", "RCPT ", "VRFY "))
_SECRET = b"Aa"  # what AUTH begins with: its line may hold a password


class Unreadable(Exception):  # noqa: N818 - the peer's, and an answer rather than an error
    """The line is no command that we take: what to answer, the verb if we know it, and the line for the record."""

    def __init__(self, reply: Reply, verb: str = "", text: str = "") -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.verb = verb
        self.text = text


def read_line(line: bytes, more: int = 0) -> tuple[str, Command]:
    """The verb and what it says, from a line with its ending, which may be `more` octets longer than the standards have
    it. Raises Unreadable."""
    if len(line) > _REMEMBERED_OCTETS or line[0] in _SECRET:
        return _read(line, more)
    return _remembered(line)


def _read(line: bytes, more: int = 0) -> tuple[str, Command]:
    text = _text(line)
    word, _, argument = text.partition(" ")
    verb = VERBS.get(word) or VERBS.get(word.upper())
    if verb is None:
        raise _unknown(word, text, len(line) - more)
    if len(line) > verb.max_line + more:
        raise Unreadable(replies.LINE_TOO_LONG, verb.name)
    if verb.read is None:
        raise Unreadable(replies.NOT_IMPLEMENTED, verb.name, text)
    try:
        return verb.name, verb.read(verb.name, argument.lstrip(" "))
    except CommandFault as fault:
        raise Unreadable(fault.reply, verb.name, text) from None


_remembered = lru_cache(maxsize=_REMEMBERED_LINES)(_read)


def _text(line: bytes) -> str:
    if line[-2:] != b"\r\n":
        raise Unreadable(replies.BARE_LINE_END)
    try:
        text = line[:-2].decode("ascii").rstrip(" ")  # RFC 5321 §4.1.1: trailing white space is tolerated
    except UnicodeDecodeError:
        return _utf8_text(line)
    if not text.isprintable():
        raise Unreadable(replies.BAD_CHARACTERS)
    return text


def _utf8_text(line: bytes) -> str:
    """Addresses may be in UTF-8 (RFC 6531 §3.3), other words not; anything else is noise."""
    try:
        text = line[:-2].decode("utf-8").rstrip(" ")
    except UnicodeDecodeError:
        raise Unreadable(replies.BAD_CHARACTERS) from None
    if text[:5].upper() not in _WITH_ADDRESSES or CONTROLS.search(text):
        raise Unreadable(replies.BAD_CHARACTERS)
    return text


def _unknown(word: str, text: str, length: int) -> Unreadable:
    if word.upper() in _HTTP:
        return Unreadable(replies.NOT_HTTP, text=word)
    if length > MAX_COMMAND_LINE:
        return Unreadable(replies.LINE_TOO_LONG)
    return Unreadable(replies.UNKNOWN_COMMAND, text=text)
