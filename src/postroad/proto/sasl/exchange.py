"""SASL exchanges seen from the server (RFC 4422): bytes in, a step out. SMTP, IMAP and POP3 share them.

An exchange decides nothing: it reads what the client proves itself with, and whoever drives it has that verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

MAX_FIELD = 1024  # octets of a name or password: more is no person's, and hashing it would be our work


@dataclass(frozen=True, slots=True)
class Challenge:
    """Say this to the client (in base64, as the protocol's profile has it) and step on with its response."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and a password to be verified."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(name={self.name!r})"  # no password in a traceback or a log


@dataclass(frozen=True, slots=True)
class KeysWanted:
    """The exchange needs what is kept for this name; it goes on with `provide`."""

    name: str


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that somebody else has given out, and perhaps whose it is said to be; a wrong one is told by `refuse`."""

    name: str
    token: str

    def __repr__(self) -> str:
        return f"Bearer(name={self.name!r})"


@dataclass(frozen=True, slots=True)
class Certified:
    """The certificate of the connection shall prove who this is; a name is given where it proves several."""

    name: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The client has proved to be `name`: nothing is left to verify. `key` numbers the key that it had."""

    name: str
    key: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """The exchange cannot succeed; `cause` is for the operator. The client is told what a wrong password is told."""

    cause: str


Step = Challenge | Credentials | KeysWanted | Bearer | Certified | Proven | Failure


class ServerExchange(Protocol):
    """One exchange. After Credentials, Certified, Proven or Failure it is over."""

    def step(self, response: bytes | None) -> Step:
        """The client's response; first its initial response, None where it sent none."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What an exchange may be bound to: data by channel binding type (`tls-exporter`, `tls-server-end-point`).

    `offered` tells whether -PLUS was offered: a client that could bind and was told that we cannot has met somebody
    in between (RFC 5802 §6).
    """

    data: Mapping[str, bytes] = field(default_factory=dict)
    offered: bool = False


NO_BINDING: Final = Binding()


def read_field(octets: bytes) -> str | None:
    """A name or a password; None when it is not UTF-8, holds a NUL or is too long."""
    if len(octets) > MAX_FIELD or b"\0" in octets:
        return None
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return None
