"""Sending projects ("servers" in Postmark's words): their streams, tokens and suppressions, and what was asked twice.

A `server` here is never a machine: it is one application that sends, with history and secrets of its own.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from postroad.ports.ids import ServerId, TokenId
from postroad.ports.store import Record

DEFAULT_STREAM = "outbound"  # what a message belongs to that names no stream


class StreamKind(StrEnum):
    TRANSACTIONAL = "transactional"
    BROADCASTS = "broadcasts"
    INBOUND = "inbound"


class TokenKind(StrEnum):
    SERVER = "server"  # sends for one server: Postmark's API, and SMTP as user and password
    KEY = "key"  # opens our own API, as far as its scopes reach


class SuppressionReason(StrEnum):
    HARD_BOUNCE = "hard bounce"
    SPAM_COMPLAINT = "spam complaint"
    MANUAL = "manual"


class SuppressionOrigin(StrEnum):
    RECIPIENT = "recipient"
    CUSTOMER = "customer"
    ADMIN = "admin"


class ServerRecord(Record, frozen=True):
    id: ServerId
    name: str
    created: datetime
    color: str = ""
    sandbox: bool = False  # what it sends is accepted and shown, and goes nowhere


class StreamRecord(Record, frozen=True):
    server: ServerId
    id: str
    name: str
    kind: StreamKind
    created: datetime
    updated: datetime
    description: str = ""
    archived: datetime | None = None


class TokenRecord(Record, frozen=True):
    """What is kept of a token: never its secret, whose SHA-256 stands in a column of its own."""

    id: TokenId
    kind: TokenKind
    name: str
    hint: str  # the last four characters, by which people know theirs
    created: datetime
    server: ServerId | None = None  # SERVER: whose it is
    scopes: tuple[str, ...] = ()  # KEY: what it opens
    last_used: datetime | None = None  # to the minute
    revoked: datetime | None = None


class SuppressionRecord(Record, frozen=True):
    """`address` (canonical key) gets nothing more on this stream."""

    server: ServerId
    stream: str
    address: str
    reason: SuppressionReason
    origin: SuppressionOrigin
    created: datetime


class ReturnPathRecord(Record, frozen=True):
    """Where bounces come back to: of a domain, or (before that) of one stream of a server."""

    name: str  # of the return addresses' domain, A-labels
    created: datetime
    domain: str = ""  # A-labels; empty for a stream's
    server: ServerId | None = None
    stream: str = ""


class IdempotencyRecord(Record, frozen=True):
    """A request that was carried out: the same key again gets the same answer, as long as it asks for the same."""

    server: ServerId
    key: str
    digest: bytes  # of the request
    status: int
    answer: bytes
    expires: datetime


class Servers(Protocol):
    def next_id(self) -> ServerId:
        """A number that no server has had."""

    def get(self, server: ServerId) -> ServerRecord | None: ...
    def by_name(self, name: str) -> ServerRecord | None:
        """Without regard to case."""

    def list(self) -> list[ServerRecord]:
        """By name."""

    def add(self, record: ServerRecord) -> None:
        """Raises Refused when the name is taken."""

    def change(self, record: ServerRecord) -> None:
        """Write name, colour and sandbox anew. Raises Refused when the name is taken by another."""

    def remove(self, server: ServerId) -> None:
        """With its streams, tokens and suppressions; what it has sent stays."""


class Streams(Protocol):
    def get(self, server: ServerId, stream: str) -> StreamRecord | None: ...
    def list(self, server: ServerId, *, archived: bool = False) -> list[StreamRecord]:
        """Oldest first; with `archived` those too."""

    def add(self, record: StreamRecord) -> None: ...
    def change(self, record: StreamRecord) -> None:
        """Write name, description, updated and archived anew."""


class Tokens(Protocol):
    def get(self, token: TokenId) -> TokenRecord | None: ...
    def by_digest(self, digest: bytes) -> TokenRecord | None:
        """Revoked ones too."""

    def list(self, server: ServerId | None = None, *, revoked: bool = False) -> list[TokenRecord]:
        """Oldest first: all, or those of one server; with `revoked` those too."""

    def add(self, record: TokenRecord, digest: bytes) -> None: ...
    def revoke(self, token: TokenId, now: datetime) -> bool: ...
    def used(self, times: Sequence[tuple[TokenId, datetime]]) -> None: ...


class Suppressions(Protocol):
    def get(self, server: ServerId, stream: str, address: str) -> SuppressionRecord | None: ...
    def among(self, server: ServerId, stream: str, addresses: Sequence[str]) -> builtins.list[SuppressionRecord]:
        """Those of `addresses` (canonical keys) that are suppressed."""

    def any(self, server: ServerId, stream: str) -> bool: ...
    def list(
        self, server: ServerId, stream: str, *, after: str = "", limit: int | None = None
    ) -> builtins.list[SuppressionRecord]:
        """By address, from the one behind `after`."""

    def put(self, record: SuppressionRecord) -> bool:
        """Add it; False when the address was suppressed already, which stays as it was."""

    def remove(self, server: ServerId, stream: str, address: str) -> bool: ...


class ReturnPaths(Protocol):
    def list(self) -> builtins.list[ReturnPathRecord]:
        """By name: all of them, which are as many as there are domains."""

    def put(self, record: ReturnPathRecord) -> None:
        """Set that of the domain or stream, whatever it was."""

    def remove(self, *, domain: str = "", server: ServerId | None = None, stream: str = "") -> bool: ...


class Idempotency(Protocol):
    def get(self, server: ServerId, key: str, now: datetime) -> IdempotencyRecord | None:
        """None too once it has expired."""

    def put(self, record: IdempotencyRecord, now: datetime) -> bool:
        """Keep an answer; False when there is a younger one under this key."""
