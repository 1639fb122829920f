"""SASL exchanges seen from the server (RFC 4422): bytes in, a step out. SMTP, IMAP and POP3 share them.

An exchange decides nothing: it reads what the client proves itself with, and whoever drives it has that verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


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
class Failure:
    """The exchange cannot succeed; `cause` is for the operator. The client is told what a wrong password is told."""

    cause: str


Step = Challenge | Credentials | Failure


class ServerExchange(Protocol):
    """One exchange. After Credentials or Failure it is over."""

    def step(self, response: bytes | None) -> Step:
        """The client's response; first its initial response, None where it sent none."""
