"""Tokens of servers and keys of the API: found by the SHA-256 of their secret, which itself is nowhere."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from postroad.adapters.sql.connection import Connection, Row
from postroad.adapters.sql.values import json_text, json_value, moment, moment_or_none, time_of, time_or_none
from postroad.ports.ids import ServerId, TokenId
from postroad.ports.sending import TokenKind, TokenRecord

_TOKEN = ("id", "kind", "name", "hint", "created", "server", "scopes", "last_used", "revoked")
_SELECT = f"SELECT {', '.join(_TOKEN)} FROM token"


def _token(row: Row) -> TokenRecord:
    number, kind, name, hint, created, server, scopes, last_used, revoked = row
    return TokenRecord(
        TokenId(number), TokenKind(kind), name, hint, time_of(created), None if server is None else ServerId(server),
        tuple(json_value(scopes)), time_or_none(last_used), time_or_none(revoked),
    )  # fmt: skip


class Tokens:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, token: TokenId) -> TokenRecord | None:
        rows = self._connection.rows(f"{_SELECT} WHERE id = ?", (token,))
        return _token(rows[0]) if rows else None

    def by_digest(self, digest: bytes) -> TokenRecord | None:
        rows = self._connection.rows(f"{_SELECT} WHERE digest = ?", (digest,))
        return _token(rows[0]) if rows else None

    def list(self, server: ServerId | None = None, *, revoked: bool = False) -> builtins.list[TokenRecord]:
        terms = ["1 = 1"]
        params: list[int] = []
        if server is not None:
            terms.append("server = ?")
            params.append(server)
        if not revoked:
            terms.append("revoked IS NULL")
        rows = self._connection.rows(f"{_SELECT} WHERE {' AND '.join(terms)} ORDER BY created, id", params)
        return [_token(row) for row in rows]

    def add(self, record: TokenRecord, digest: bytes) -> None:
        row = (
            record.id, record.kind.value, record.name, record.hint, moment(record.created), record.server,
            json_text(record.scopes), moment_or_none(record.last_used), moment_or_none(record.revoked), digest,
        )  # fmt: skip
        self._connection.insert("token", (*_TOKEN, "digest"), [row])

    def revoke(self, token: TokenId, now: datetime) -> bool:
        changed = self._connection.run(
            "UPDATE token SET revoked = ? WHERE id = ? AND revoked IS NULL", (moment(now), token)
        )
        return changed > 0

    def used(self, times: Sequence[tuple[TokenId, datetime]]) -> None:
        self._connection.run_many(
            "UPDATE token SET last_used = ? WHERE id = ?", [(moment(now), token) for token, now in sorted(times)]
        )
