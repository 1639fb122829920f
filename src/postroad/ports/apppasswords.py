"""App passwords: secrets that open one account for one program, as far as their scopes go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from postroad.ports.ids import AccountId, AppPasswordId
from postroad.ports.store import Record


class Scope(StrEnum):
    """What somebody logs in for."""

    SEND = "send"  # submission
    READ = "read"  # IMAP, POP3


class AppPasswordRecord(Record, frozen=True):
    """The secret's SHA-256 stands in a column of its own."""

    id: AppPasswordId
    account: AccountId
    name: str  # what it is for
    scopes: tuple[Scope, ...]
    created: datetime
    last_used: datetime | None = None  # to the minute
    scram: bytes = b""  # SCRAM keys, msgpack

    def __repr__(self) -> str:
        return f"AppPasswordRecord({self.name!r})"


class AppPasswords(Protocol):
    def by_digest(self, digest: bytes) -> AppPasswordRecord | None: ...
    def list(self, account: AccountId) -> list[AppPasswordRecord]:
        """Oldest first."""

    def add(self, record: AppPasswordRecord, digest: bytes) -> None: ...
    def remove(self, number: AppPasswordId) -> bool: ...
    def used(self, times: Sequence[tuple[AppPasswordId, datetime]]) -> None: ...
