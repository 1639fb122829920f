"""Command lines, read and written by both sides (RFC 5321 §4.1.1, §4.1.2).

`VERBS` is the table; `parameters.py` has those of MAIL's and RCPT's parameters. A line that cannot be read raises
`CommandFault` with the reply that says so; `smtp.server` sends it. Where we are more lenient than the grammar, it is
written beside the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from postroad.mail.address import (
    MAX_DOMAIN,
    AddressError,
    ForwardPath,
    ReversePath,
    parse_forward_path,
    parse_reverse_path,
)
from postroad.proto.smtp.encodings import decode_base64, encode_base64
from postroad.proto.smtp.parameters import (
    MAIL_PARAMETERS,
    MAX_MAIL_LINE,
    MAX_RCPT_LINE,
    NO_PARAMETERS,
    NO_RCPT_PARAMETERS,
    RCPT_PARAMETERS,
    MailParameters,
    RcptParameters,
    read_mail_parameters,
    read_rcpt_parameters,
    written,
)
from postroad.proto.smtp.reply import (
    BAD_BASE64,
    BAD_CHUNK,
    NEEDS_SMTPUTF8,
    NO_ARGUMENT_ALLOWED,
    CommandFault,
    bad_argument,
)
from postroad.proto.smtp.xclient import MAX_XCLIENT_LINE, Xclient, read_xclient

MAX_COMMAND_LINE = 512  # octets with CRLF, RFC 5321 §4.5.3.1.4
MAX_VRFY_LINE = MAX_COMMAND_LINE + 10  # SMTPUTF8, RFC 6531 §3.7.4.2
MAX_AUTH_LINE = 12288  # octets with CRLF, RFC 4954 §4.3

_QUOTED_PATH = re.compile(r'<((?:[^"<>]|"(?:[^"\\]|\\.)*")*)>')
_HELLO_NAME = re.compile(r"[!-~]+")
_CHUNK = re.compile(r"([0-9]{1,20})(?: +(LAST))?", re.IGNORECASE)


# --- the commands -----------------------------------------------------------------------------------------------------


class Hello(Struct, frozen=True, gc=False):
    """HELO, EHLO or LHLO."""

    verb: str
    name: str

    def line(self) -> bytes:
        return f"{self.verb} {self.name}\r\n".encode("ascii")


class Mail(Struct, frozen=True, gc=False):
    reverse_path: ReversePath
    parameters: MailParameters = NO_PARAMETERS

    def line(self) -> bytes:
        return f"MAIL FROM:<{self.reverse_path}>{written(self.parameters, MAIL_PARAMETERS)}\r\n".encode()


class Rcpt(Struct, frozen=True, gc=False):
    forward_path: ForwardPath
    parameters: RcptParameters = NO_RCPT_PARAMETERS
    utf8: bool = False  # the line had characters beyond ASCII

    def line(self) -> bytes:
        return f"RCPT TO:<{self.forward_path}>{written(self.parameters, RCPT_PARAMETERS)}\r\n".encode()


class Bdat(Struct, frozen=True, gc=False):
    """A chunk of so many octets follows the line (RFC 3030 §2)."""

    size: int
    last: bool = False

    def line(self) -> bytes:
        return b"BDAT %d LAST\r\n" % self.size if self.last else b"BDAT %d\r\n" % self.size


class Auth(Struct, frozen=True, gc=False):
    mechanism: str
    initial: bytes | None = None  # decoded; b"" was written as `=`

    def line(self) -> bytes:
        if self.initial is None:
            return f"AUTH {self.mechanism}\r\n".encode("ascii")
        return b"AUTH %s %s\r\n" % (self.mechanism.encode("ascii"), encode_base64(self.initial) or b"=")


class Plain(Struct, frozen=True, gc=False):
    """A command that has no argument, or one that nobody reads: DATA, RSET, QUIT, STARTTLS, NOOP, HELP, VRFY."""

    verb: str
    argument: str = ""

    def line(self) -> bytes:
        return f"{self.verb} {self.argument}".rstrip().encode() + b"\r\n"


Command = Hello | Mail | Rcpt | Bdat | Auth | Xclient | Plain


# --- reading them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verb:
    """A row of the table. `read` is None for what we know and do not do (502, not 500; RFC 5321 §4.2.4)."""

    name: str
    syntax: str
    read: Callable[[str, str], Any] | None
    max_line: int = MAX_COMMAND_LINE
    hidden: bool = False  # not for everybody, so HELP does not tell of it


def read_hello(verb: str, argument: str) -> Hello:
    """The name is not held to the grammar here: real clients send underscores and bare addresses. It may not have
    spaces or controls, and it fits a log line; policy judges the rest."""
    if not argument:
        raise CommandFault(bad_argument(f"Syntax: {verb} hostname"))
    if len(argument) > MAX_DOMAIN or not _HELLO_NAME.fullmatch(argument):
        raise CommandFault(bad_argument("The name is not valid"))
    return Hello(verb, argument)


def read_mail(_verb: str, argument: str) -> Mail:
    path, parameters = _split_path(argument, "FROM:", "Syntax: MAIL FROM:<address>")
    try:
        reverse_path = parse_reverse_path(path)
    except AddressError as error:
        raise CommandFault(bad_argument(f"Bad sender address: {error}", "5.1.7")) from None
    asked = read_mail_parameters(parameters) if parameters else NO_PARAMETERS
    if not (asked.utf8 or argument.isascii()):
        raise CommandFault(NEEDS_SMTPUTF8)  # RFC 6531 §3.4
    return Mail(reverse_path, asked)


def read_rcpt(_verb: str, argument: str) -> Rcpt:
    path, parameters = _split_path(argument, "TO:", "Syntax: RCPT TO:<address>")
    try:
        forward_path = parse_forward_path(path)
    except AddressError as error:
        raise CommandFault(bad_argument(f"Bad recipient address: {error}", "5.1.3")) from None
    is_ascii = argument.isascii()
    asked = read_rcpt_parameters(parameters) if parameters or not is_ascii else NO_RCPT_PARAMETERS
    return Rcpt(forward_path, asked, not is_ascii)


def read_bdat(_verb: str, argument: str) -> Bdat:
    match = _CHUNK.fullmatch(argument)
    if not match:
        raise CommandFault(BAD_CHUNK)
    return Bdat(int(match[1]), match[2] is not None)


def read_auth(_verb: str, argument: str) -> Auth:
    mechanism, _, initial = argument.partition(" ")
    if not mechanism:
        raise CommandFault(bad_argument("Syntax: AUTH mechanism"))
    initial = initial.strip(" ")
    if not initial:
        return Auth(mechanism.upper())
    data = b"" if initial == "=" else decode_base64(initial.encode("ascii"))  # RFC 4954 §4
    if data is None:
        raise CommandFault(BAD_BASE64)
    return Auth(mechanism.upper(), data)


def read_without_argument(verb: str, argument: str) -> Plain:
    if argument:
        raise CommandFault(NO_ARGUMENT_ALLOWED)
    return Plain(verb)


def read_with_text(verb: str, argument: str) -> Plain:
    if not argument:
        raise CommandFault(bad_argument(f"Syntax: {verb} text"))
    return Plain(verb, argument)


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("HELO", "HELO hostname", read_hello),
        Verb("EHLO", "EHLO hostname", read_hello),
        Verb("LHLO", "LHLO hostname", read_hello),  # RFC 2033 §4.1
        Verb("MAIL", "MAIL FROM:<address> [parameters]", read_mail, MAX_MAIL_LINE),
        Verb("RCPT", "RCPT TO:<address> [parameters]", read_rcpt, MAX_RCPT_LINE),
        Verb("DATA", "DATA", read_without_argument),
        Verb("BDAT", "BDAT octets [LAST]", read_bdat),
        Verb("RSET", "RSET", read_without_argument),
        Verb("NOOP", "NOOP [text]", Plain),
        Verb("QUIT", "QUIT", read_without_argument),
        Verb("HELP", "HELP [verb]", Plain),
        Verb("VRFY", "VRFY text", read_with_text, MAX_VRFY_LINE),
        Verb("STARTTLS", "STARTTLS", read_without_argument),
        Verb("AUTH", "AUTH mechanism [initial-response]", read_auth, MAX_AUTH_LINE),
        Verb("XCLIENT", "XCLIENT attribute=value ...", read_xclient, MAX_XCLIENT_LINE, hidden=True),
        Verb("EXPN", "EXPN text", None),  # it would tell who is behind an alias
        Verb("ETRN", "ETRN domain", None),  # RFC 1985: a stranger would start our queue
        Verb("TURN", "TURN", None),  # RFC 5321 appendix F
        Verb("SEND", "SEND FROM:<address>", None),
        Verb("SOML", "SOML FROM:<address>", None),
        Verb("SAML", "SAML FROM:<address>", None),
    )
}


def _split_path(argument: str, word: str, syntax: str) -> tuple[str, str]:
    """What stands between the brackets, and the parameters behind.

    Spaces behind the colon are taken, though RFC 5321 §3.3 forbids them: old clients send them and they can mean
    nothing else. A path without brackets is refused: where it ends would be a guess.
    """
    rest = argument[len(word) :].lstrip(" ")
    if argument[: len(word)].upper() != word or not rest.startswith("<"):
        raise CommandFault(bad_argument(syntax, "5.5.2"))
    if '"' in rest:
        match = _QUOTED_PATH.match(rest)
        path, end = (match[1], match.end()) if match else ("", 0)
    else:
        end = rest.find(">") + 1
        path = rest[1 : end - 1]
    if not end or (len(rest) > end and rest[end] != " "):
        raise CommandFault(bad_argument(syntax, "5.5.2"))
    return path, rest[end + 1 :]
