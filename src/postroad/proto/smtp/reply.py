"""Replies that a server gives: their wire form and the standard ones (RFC 5321 §4.2, RFC 2034, RFC 3463)."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from functools import lru_cache

from postroad.mail.status import EnhancedCode, Status

WIDTH = 480  # columns of text that we write in one line: with code and CRLF below 512 octets


@dataclass(slots=True)
class Reply:
    """One reply. `lines` are the texts without codes; `enhanced` stands in front of each (RFC 2034 §4).

    Nobody changes one; that it is not frozen makes each of them cheaper by half.
    """

    code: int
    enhanced: EnhancedCode | None
    lines: tuple[str, ...]
    _wire: bytes | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def wire(self) -> bytes:
        """The octets to send; made once, so the standard replies cost nothing."""
        if self._wire is None:
            self._wire = _render(self)
        return self._wire

    @property
    def is_positive(self) -> bool:
        """2yz, or 3yz which asks for more."""
        return self.code < 400

    @property
    def text(self) -> str:
        """All lines in one, without codes."""
        return " ".join(self.lines)

    @property
    def diagnostic(self) -> str:
        """What was said, word for word, in one line."""
        code = f"{self.code} {self.enhanced}" if self.enhanced else str(self.code)
        return f"{code} {self.text}".rstrip()

    def __str__(self) -> str:
        return self.diagnostic


def reply(code: int, enhanced: str, *lines: str) -> Reply:
    """A reply of our own making: `reply(250, "2.0.0", "OK")`; `""` for none of the enhanced codes."""
    return Reply(code, EnhancedCode.parse(enhanced), lines)


def from_status(status: Status) -> Reply:
    """A status as a reply. One without an enhanced code gets the undefined one of its class (RFC 3463 §3.1)."""
    enhanced = status.enhanced or (EnhancedCode(status.reply_code // 100, 0, 0) if status.reply_code < 300 else None)
    if enhanced is None and status.reply_code >= 400:
        enhanced = EnhancedCode(status.reply_code // 100, 0, 0)
    text = status.text
    return Reply(status.reply_code, enhanced, (text,) if len(text) <= WIDTH else tuple(textwrap.wrap(text, WIDTH)))


def _render(reply: Reply) -> bytes:
    if len(reply.lines) == 1:
        return f"{_codes(reply.code, reply.enhanced)}{_printable(reply.lines[0])}\r\n".encode("ascii")
    prefix = f"{reply.enhanced} " if reply.enhanced else ""
    lines = [prefix + _printable(line) for line in reply.lines] or [prefix]
    last = lines.pop()
    return ("".join(f"{reply.code}-{line}\r\n" for line in lines) + f"{reply.code} {last}\r\n").encode("ascii")


@lru_cache(maxsize=256)
def _codes(code: int, enhanced: EnhancedCode | None) -> str:
    return f"{code} {enhanced} " if enhanced else f"{code} "


def _printable(text: str) -> str:
    """No text, wherever it came from, may end the line or carry controls to the peer's screen."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)


class CommandFault(Exception):  # noqa: N818 - the peer's, and an answer rather than an error
    """The line is not a command that we can read; `reply` is what to answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


# --- the standard replies ---------------------------------------------------------------------------------------------

OK = reply(250, "2.0.0", "OK")
SENDER_OK = reply(250, "2.1.0", "OK")
RECIPIENT_OK = reply(250, "2.1.5", "OK")
START_MAIL = reply(354, "", "End data with <CR><LF>.<CR><LF>")
CLOSING = reply(221, "2.0.0", "Bye")
READY_FOR_TLS = reply(220, "2.0.0", "Ready to start TLS")
AUTHENTICATED = reply(235, "2.7.0", "Authentication succeeded")
CANNOT_VRFY = reply(252, "2.5.2", "Cannot verify the user, but will take mail for it")  # RFC 5321 §7.3

SHUTTING_DOWN = reply(421, "4.3.2", "Service is shutting down, try again")
OVERLOADED = reply(421, "4.3.2", "Too busy now, try again later")
TIMED_OUT = reply(421, "4.4.2", "Timed out waiting for you")
TOO_MANY_ERRORS = reply(421, "4.7.0", "Too many errors")
TOO_MANY_REFUSED = reply(421, "4.7.0", "Too many recipients that were refused")
TOO_MANY_COMMANDS = reply(421, "4.7.0", "Too many commands that bring no mail")
TOO_MANY_TRANSACTIONS = reply(421, "4.7.0", "Enough messages for one connection, open another")  # RFC 9422 §4.1
LOCAL_ERROR = reply(451, "4.3.0", "Local error, try again later")
TOO_MANY_RECIPIENTS = reply(452, "4.5.3", "Too many recipients, send the rest in another transaction")

UNKNOWN_COMMAND = reply(500, "5.5.1", "Command unrecognized")
LINE_TOO_LONG = reply(500, "5.5.2", "Line too long")  # RFC 5321 §4.5.3.1.9
BARE_LINE_END = reply(500, "5.5.2", "A line ends with CR LF, not with LF alone")
BAD_CHARACTERS = reply(500, "5.5.2", "Control or non-ASCII characters in a command")
AUTH_LINE_TOO_LONG = reply(500, "5.5.6", "Authentication exchange line too long")  # RFC 4954 §4
NO_ARGUMENT_ALLOWED = reply(501, "5.5.4", "The command takes no argument")
BAD_BASE64 = reply(501, "5.5.2", "Cannot decode base64")  # RFC 4954 §4
BAD_CHUNK = reply(501, "5.5.4", "Syntax: BDAT octets [LAST]")
HOLD_TOO_LONG = reply(501, "5.5.4", "The message would be held for longer than is allowed")  # RFC 4865 §4
BAD_XCLIENT = reply(501, "5.5.4", "Syntax: XCLIENT attribute=value ...")
TWO_HOLDS = reply(501, "5.5.4", "HOLDFOR and HOLDUNTIL exclude each other")  # RFC 4865 §4
AUTH_CANCELLED = reply(501, "5.7.0", "Authentication cancelled")
NOT_IMPLEMENTED = reply(502, "5.5.1", "Command not implemented")
SAY_HELLO_FIRST = reply(503, "5.5.1", "Say EHLO first")
SAY_MAIL_FIRST = reply(503, "5.5.1", "Say MAIL first")
SAY_RCPT_FIRST = reply(503, "5.5.1", "Say RCPT first")
NESTED_MAIL = reply(503, "5.5.1", "A transaction has begun already")
SAY_BDAT = reply(503, "5.5.1", "The content of this message comes by BDAT")  # RFC 3030 §2, §3
BODY_HAS_BEGUN = reply(503, "5.5.1", "The content has begun, no recipient can be added")
CHUNK_OF_NOTHING = reply(503, "5.5.1", "A chunk before it was refused; say RSET or MAIL")  # RFC 3030 §4.2
ALREADY_TLS = reply(503, "5.5.1", "TLS is active already")
ALREADY_AUTHENTICATED = reply(503, "5.5.1", "Already authenticated")
XCLIENT_IN_TRANSACTION = reply(503, "5.5.1", "Not in a mail transaction")
AUTH_IN_TRANSACTION = reply(503, "5.5.1", "Not in a mail transaction")  # RFC 4954 §4
UNKNOWN_MECHANISM = reply(504, "5.5.4", "Authentication mechanism not available")
AUTH_REQUIRED = reply(530, "5.7.0", "Authentication required")  # RFC 4954 §6
TLS_FIRST = reply(530, "5.7.0", "Must issue a STARTTLS command first")  # RFC 3207 §4
AUTH_FAILED = reply(535, "5.7.8", "Authentication credentials invalid")
AUTH_NEEDS_TLS = reply(538, "5.7.11", "Encryption required for authentication")  # RFC 4954 §6
BARE_ENDINGS = reply(550, "5.6.0", "The message has a bare CR or LF; lines end with CR LF")  # RFC 5321 §2.3.8
NO_XCLIENT = reply(550, "5.7.0", "Insufficient authorization")
HIDDEN_DOT = reply(550, "5.6.0", "The message hides a lone dot behind NULs")
TOO_LARGE = reply(552, "5.3.4", "Message too large")  # RFC 1870 §6
NEEDS_SMTPUTF8 = reply(553, "5.6.7", "Non-ASCII addresses are not taken here")  # RFC 6531 §3.5
NO_VALID_RECIPIENTS = reply(554, "5.5.1", "No valid recipients")  # RFC 5321 §3.3
NOT_TLS = reply(554, "5.5.1", "TLS begins here with STARTTLS, not at once")
NOT_HTTP = reply(554, "5.5.1", "This is a mail server, not a web server")
UNKNOWN_PARAMETER = reply(555, "5.5.4", "Parameter not recognized")  # RFC 5321 §4.1.1.11


def bad_argument(text: str, enhanced: str = "5.5.4") -> Reply:
    """501 with what would have been right."""
    return reply(501, enhanced, text)
