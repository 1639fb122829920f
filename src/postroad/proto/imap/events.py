"""What the server machine tells its session: the documented events, and no others whatever the octets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from postroad.proto.imap.commands import Command


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """Answer with `finish`."""

    tag: bytes
    command: Command


@dataclass(frozen=True, slots=True)
class AuthStarted:
    """Answer with `challenge` or `finish`. `initial` is None when the client sent none."""

    tag: bytes
    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The client's answer to a challenge; None: it cancelled, and has had its BAD."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class TlsRequested:
    """Answer with `accept_tls`, or `finish` with NO."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class AppendStarted:
    """APPEND, before its continuation. Answer with `accept_literal` or `refuse_literal`."""

    tag: bytes
    mailbox: str
    flags: int
    keywords: tuple[str, ...]
    internal_date: datetime | None
    size: int


@dataclass(frozen=True, slots=True)
class LiteralChunk:
    """A piece of an accepted literal; needs no answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AppendEnd:
    """All of the literal and the end of its command are here: answer with `finish`."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class AppendAborted:
    """What followed the literal was wrong, and has had its BAD; nothing is to be kept."""


@dataclass(frozen=True, slots=True)
class IdleEnded:
    """DONE: answer with `finish`."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """The machine has said BAD or NO by itself. Needs no answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ConversationEnded:
    """BYE has been said, or the peer has stopped sending: close the connection."""

    reason: str


Event = (
    CommandReceived | AuthStarted | AuthResponse | TlsRequested | AppendStarted | LiteralChunk | AppendEnd
    | AppendAborted | IdleEnded | CommandRefused | ConversationEnded
)  # fmt: skip
