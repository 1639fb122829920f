"""POP3 commands: one row each (RFC 1939, RFC 2449, RFC 2595, RFC 5034). A new command is a new row.

A row says in which states the command may come and how its arguments are read. What it does is the session's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

MAX_LINE = 255 + 257  # RFC 2449 §4 says 255 octets; names and passwords have grown since
MAX_AUTH_LINE = 12 * 1024  # answers to challenges; RFC 4954 §4 has this figure for SMTP
MAX_NUMBER = 2**31 - 1


class State(Enum):
    """RFC 1939 §3."""

    AUTHORIZATION = "authorization"
    TRANSACTION = "transaction"


_EITHER = (State.AUTHORIZATION, State.TRANSACTION)
_BEFORE = (State.AUTHORIZATION,)
_AFTER = (State.TRANSACTION,)


class Mistake(Exception):  # noqa: N818 - the peer's mistake, in words
    """The command is not one that we take, or not here, or not like this."""


class User(NamedTuple):
    name: str


class Pass(NamedTuple):
    password: str


class Auth(NamedTuple):
    mechanism: str
    initial: str | None


class Stat(NamedTuple):
    pass


class List(NamedTuple):
    number: int | None


class Uidl(NamedTuple):
    number: int | None


class Retr(NamedTuple):
    number: int


class Top(NamedTuple):
    number: int
    lines: int


class Dele(NamedTuple):
    number: int


class Rset(NamedTuple):
    pass


class Noop(NamedTuple):
    pass


class Quit(NamedTuple):
    pass


class Capa(NamedTuple):
    pass


class Stls(NamedTuple):
    pass


Command = User | Pass | Auth | Stat | List | Uidl | Retr | Top | Dele | Rset | Noop | Quit | Capa | Stls


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One row. `parse` gets what stands behind the keyword and its space."""

    states: tuple[State, ...]
    parse: Callable[[bytes], Command]


def _bare(make: Callable[[], Command]) -> Callable[[bytes], Command]:
    def parse(rest: bytes) -> Command:
        if rest.strip():
            raise Mistake("this command takes no argument")
        return make()

    return parse


def _one(make: Callable[[int], Command]) -> Callable[[bytes], Command]:
    return lambda rest: make(_number(rest.strip(), least=1))


def _one_or_none(make: Callable[[int | None], Command]) -> Callable[[bytes], Command]:
    return lambda rest: make(_number(rest.strip(), least=1) if rest.strip() else None)


def _top(rest: bytes) -> Command:
    words = rest.split()
    if len(words) != 2:
        raise Mistake("TOP takes a message number and a number of lines")
    return Top(_number(words[0], least=1), _number(words[1], least=0))


def _user(rest: bytes) -> Command:
    if not rest.strip():
        raise Mistake("USER takes a name")
    return User(_text(rest.strip()))


def _password(rest: bytes) -> Command:
    # RFC 1939 §7: one argument, so all that follows is the password, with spaces at either end if it has them.
    return Pass(_text(rest))


def _auth(rest: bytes) -> Command:
    words = _text(rest).split(" ")
    if not words[0] or len(words) > 2:
        raise Mistake("AUTH takes a mechanism and at most one initial response")
    return Auth(words[0].upper(), words[1] if len(words) == 2 else None)


def _number(word: bytes, *, least: int) -> int:
    if not word.isdigit() or len(word) > 10 or not least <= int(word) <= MAX_NUMBER:
        raise Mistake(f"a number of {least} or more is wanted")
    return int(word)


def _text(octets: bytes) -> str:
    """RFC 6856 §2.2: UTF-8. What is not matches no name and no password."""
    return octets.decode("utf-8", "surrogateescape")


COMMANDS: dict[bytes, CommandSpec] = {
    b"USER": CommandSpec(_BEFORE, _user),
    b"PASS": CommandSpec(_BEFORE, _password),
    b"AUTH": CommandSpec(_BEFORE, _auth),
    b"STLS": CommandSpec(_BEFORE, _bare(Stls)),
    b"CAPA": CommandSpec(_EITHER, _bare(Capa)),
    b"QUIT": CommandSpec(_EITHER, _bare(Quit)),
    b"NOOP": CommandSpec(_AFTER, _bare(Noop)),
    b"STAT": CommandSpec(_AFTER, _bare(Stat)),
    b"LIST": CommandSpec(_AFTER, _one_or_none(List)),
    b"UIDL": CommandSpec(_AFTER, _one_or_none(Uidl)),
    b"RETR": CommandSpec(_AFTER, _one(Retr)),
    b"TOP": CommandSpec(_AFTER, _top),
    b"DELE": CommandSpec(_AFTER, _one(Dele)),
    b"RSET": CommandSpec(_AFTER, _bare(Rset)),
}
