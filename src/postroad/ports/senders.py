"""Senders of ours: who may send as whom by grant, who is held back, and what each has sent of late."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from postroad.ports.ids import AccountId, ServerId, TokenId
from postroad.ports.store import Message, Record


class SenderKind(StrEnum):
    """What mail can be held back by."""

    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 - of a sending project
    STREAM = "stream"  # of a sending project
    ALL = "all"  # whatever is to leave this server


class SenderKey(NamedTuple):
    """`subject` is the account, the token, or the server that the stream is of; 0 for all."""

    kind: SenderKind
    subject: int = 0
    stream: str = ""


class SenderHold(Record, frozen=True):
    """Mail of this sender is held until somebody releases it."""

    key: SenderKey
    name: str  # for people: an address, server/token, server/stream
    since: datetime
    actor: str  # who has decided so
    why: str


class SenderCount(Record, frozen=True):
    """What one node has counted of a sender, as `accounts.allowance` writes it."""

    key: SenderKey
    at: datetime
    counts: bytes


class HeldMail(Record, frozen=True):
    """Recipients that are held alike."""

    held_for: str
    account: AccountId | None
    token: TokenId | None
    server: ServerId | None
    stream: str
    count: int
    since: datetime  # when the first of them was accepted


class Holding(Protocol):
    """Asked for each message that comes into the queue's memory; accounts.freezes implements it."""

    @property
    def any(self) -> bool:
        """Whether anybody is held back at all: as a rule not, and nothing more is asked."""

    def why(self, message: Message) -> str:
        """Why this message is held, as deliveries say it; "" when it is not."""


class SenderRows(Protocol):
    def may_send_as(self, account: AccountId, addresses: Sequence[str]) -> bool:
        """Whether one of these (canonical keys, `*@domain`) was granted."""

    def send_as(self, account: AccountId) -> builtins.list[str]:
        """What was granted, in order."""

    def grant(self, account: AccountId, address: str) -> bool:
        """False when it was granted already."""

    def withdraw(self, account: AccountId, address: str) -> bool: ...
    def holds(self) -> builtins.list[SenderHold]:
        """Oldest first."""

    def hold(self, record: SenderHold) -> bool:
        """False when that sender is held already, which stays as it is."""

    def release(self, key: SenderKey) -> bool: ...
    def held(self) -> builtins.list[HeldMail]:
        """All that is held, in groups."""

    def counts(self, node: str) -> builtins.list[SenderCount]: ...
    def put_counts(self, node: str, counts: Sequence[SenderCount]) -> None: ...
    def forget_counts(self, before: datetime, limit: int = 500) -> int:
        """Of senders that have sent nothing since then."""
