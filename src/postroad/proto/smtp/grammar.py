"""Command lines and ESMTP parameters, read and written by both sides (RFC 5321 §4.1.1, §4.1.2).

`VERBS` and `MAIL_PARAMETERS` are the tables. A line that cannot be read raises `CommandFault` with the reply that says
so; `smtp.server` sends it. Where we are more lenient than the grammar, it is written beside the line.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import Struct

from postroad.mail.address import (
    MAX_DOMAIN,
    AddressError,
    ForwardPath,
    ReversePath,
    parse_forward_path,
    parse_reverse_path,
)
from postroad.proto.smtp.reply import (
    BAD_BASE64,
    NO_ARGUMENT_ALLOWED,
    UNKNOWN_PARAMETER,
    Reply,
    bad_argument,
)

MAX_COMMAND_LINE = 512  # octets with CRLF, RFC 5321 §4.5.3.1.4
MAX_MAIL_LINE = 512 + 26 + 17 + 500  # what SIZE (RFC 1870 §3), BODY (RFC 6152 §2) and AUTH (RFC 4954 §3) add
MAX_AUTH_LINE = 12288  # octets with CRLF, RFC 4954 §4.3

_QUOTED_PATH = re.compile(r'<((?:[^"<>]|"(?:[^"\\]|\\.)*")*)>')
_HELLO_NAME = re.compile(r"[!-~]+")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")


class CommandFault(Exception):  # noqa: N818 - the peer's, and an answer rather than an error
    """The line is not a command that we can read; `reply` is what to answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


# --- the commands -----------------------------------------------------------------------------------------------------


class MailParameters(NamedTuple):
    """The ESMTP parameters of MAIL."""

    size: int | None = None  # SIZE=, RFC 1870
    body: str = ""  # BODY=: "", 7BIT or 8BITMIME, RFC 6152
    auth: str | None = None  # AUTH=, decoded; "" for `<>`, RFC 4954 §5


NO_PARAMETERS = MailParameters()


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
        written = "".join(
            f" {keyword}={parameter.write(value)}"
            for keyword, parameter in MAIL_PARAMETERS.items()
            if (value := getattr(self.parameters, parameter.field)) != getattr(NO_PARAMETERS, parameter.field)
        )
        return f"MAIL FROM:<{self.reverse_path}>{written}\r\n".encode("ascii")


class Rcpt(Struct, frozen=True, gc=False):
    forward_path: ForwardPath

    def line(self) -> bytes:
        return f"RCPT TO:<{self.forward_path}>\r\n".encode("ascii")


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
        return f"{self.verb} {self.argument}".rstrip().encode("ascii") + b"\r\n"


Command = Hello | Mail | Rcpt | Auth | Plain


# --- reading them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verb:
    """A row of the table. `read` is None for what we know and do not do (502, not 500; RFC 5321 §4.2.4)."""

    name: str
    syntax: str
    read: Callable[[str, str], Any] | None
    max_line: int = MAX_COMMAND_LINE


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
    return Mail(reverse_path, read_parameters(parameters) if parameters else NO_PARAMETERS)


def read_rcpt(_verb: str, argument: str) -> Rcpt:
    path, parameters = _split_path(argument, "TO:", "Syntax: RCPT TO:<address>")
    if parameters:
        raise CommandFault(UNKNOWN_PARAMETER)
    try:
        return Rcpt(parse_forward_path(path))
    except AddressError as error:
        raise CommandFault(bad_argument(f"Bad recipient address: {error}", "5.1.3")) from None


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
        Verb("MAIL", "MAIL FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME] [AUTH=address]", read_mail, MAX_MAIL_LINE),
        Verb("RCPT", "RCPT TO:<address>", read_rcpt),
        Verb("DATA", "DATA", read_without_argument),
        Verb("RSET", "RSET", read_without_argument),
        Verb("NOOP", "NOOP [text]", Plain),
        Verb("QUIT", "QUIT", read_without_argument),
        Verb("HELP", "HELP [verb]", Plain),
        Verb("VRFY", "VRFY text", read_with_text),
        Verb("STARTTLS", "STARTTLS", read_without_argument),
        Verb("AUTH", "AUTH mechanism [initial-response]", read_auth, MAX_AUTH_LINE),
        Verb("EXPN", "EXPN text", None),
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


# --- ESMTP parameters of MAIL -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parameter:
    """`read` returns None for a bad value."""

    field: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _read_size(value: str) -> int | None:
    """1 to 20 digits (RFC 1870 §3)."""
    return int(value) if value.isdigit() and len(value) <= 20 else None


def _read_body(value: str) -> str | None:
    value = value.upper()
    return value if value in ("7BIT", "8BITMIME") else None


def _read_auth(value: str) -> str | None:
    text = decode_xtext(value)
    return "" if text == "<>" else text or None


MAIL_PARAMETERS: Mapping[str, Parameter] = {
    "SIZE": Parameter("size", _read_size, str),
    "BODY": Parameter("body", _read_body, str),
    "AUTH": Parameter("auth", _read_auth, lambda value: encode_xtext(value) or "<>"),
}


def read_parameters(text: str) -> MailParameters:
    """Read ` KEYWORD=value` words. Raises CommandFault: 555 for unknown ones, 501 for bad values."""
    values: dict[str, Any] = {}
    for word in text.split():
        keyword, _, value = word.partition("=")
        parameter = MAIL_PARAMETERS.get(keyword.upper())
        if parameter is None:
            raise CommandFault(UNKNOWN_PARAMETER)
        read = parameter.read(value)
        if read is None or parameter.field in values:
            raise CommandFault(bad_argument(f"Bad value of {keyword.upper()}"))
        values[parameter.field] = read
    return MailParameters(**values)


# --- encodings --------------------------------------------------------------------------------------------------------


def decode_base64(data: bytes) -> bytes | None:
    """Strict base64 (RFC 4648 §4): no other characters, padded; None otherwise."""
    try:
        return a2b_base64(data, strict_mode=True) if data else b""
    except Base64Error:
        return None


def encode_base64(data: bytes) -> bytes:
    return b2a_base64(data, newline=False)


def decode_xtext(text: str) -> str | None:
    """RFC 3461 §4; None when it is not xtext or hides what a line may not have."""
    if not _XTEXT.fullmatch(text):
        return None
    decoded = re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)
    return decoded if decoded.isascii() and decoded.isprintable() else None


def encode_xtext(text: str) -> str:
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)
