"""The port for what is kept of others' TLS: policies that were fetched (RFC 8461), and how sessions went (RFC 8460)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from msgspec import Struct


class StsRecord(Struct, frozen=True):
    """A policy as it was fetched."""

    domain: str
    id: str  # of the TXT record that announced it
    text: str
    fetched: datetime
    expires: datetime


class TlsResultKey(Struct, frozen=True):
    """What sessions are counted by: one row for all of a day that went alike."""

    day: date  # UTC
    domain: str  # of the recipients
    policy: str  # tlsa, sts, or no-policy-found
    policy_text: str  # the records or the policy, a line each
    result: str  # a result type of RFC 8460 §4.3; empty: it went well
    host: str  # that took it, or did not
    address: str
    source: str  # our own address
    reason: str = ""  # in words


class TlsResult(Struct, frozen=True):
    key: TlsResultKey
    sessions: int


class TlsRows(Protocol):
    """`tx.tls`."""

    def policy(self, domain: str) -> StsRecord | None: ...

    def put_policy(self, record: StsRecord) -> None:
        """In place of what was there."""

    def drop_policy(self, domain: str) -> None: ...

    def policies(self, after: str = "", limit: int = 500) -> list[StsRecord]:
        """By domain, from behind `after` on."""

    def count(self, results: Sequence[TlsResult]) -> None:
        """Add to what is there. At most 500."""

    def results(
        self, *, first: date, last: date, domain: str = "", after: tuple[str, str] = ("", ""), limit: int = 500
    ) -> list[tuple[tuple[str, str], TlsResult]]:
        """Of these days, one domain or all, each with its place; from behind the place `after` on."""

    def forget_results(self, before: date, limit: int = 500) -> int:
        """Delete what is older, one slice; how much."""
