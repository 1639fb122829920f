"""App passwords: found by the SHA-256 of their secret, which itself is nowhere."""

# ruff: noqa: S608 - what is put into statements is our own column names

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from postroad.adapters.sql.connection import Connection, Row
from postroad.adapters.sql.values import json_text, json_value, moment, moment_or_none, time_of, time_or_none
from postroad.ports.apppasswords import AppPasswordRecord, Scope
from postroad.ports.ids import AccountId, AppPasswordId

_COLUMNS = ("id", "account", "name", "scopes", "created", "last_used", "scram")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM app_password"


def _record(row: Row) -> AppPasswordRecord:
    number, account, name, scopes, created, last_used, scram = row
    return AppPasswordRecord(
        AppPasswordId(number), AccountId(account), name, tuple(Scope(scope) for scope in json_value(scopes)),
        time_of(created), time_or_none(last_used), bytes(scram),
    )  # fmt: skip


class AppPasswords:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def by_digest(self, digest: bytes) -> AppPasswordRecord | None:
        rows = self._connection.rows(f"{_SELECT} WHERE digest = ?", (digest,))
        return _record(rows[0]) if rows else None

    def list(self, account: AccountId) -> builtins.list[AppPasswordRecord]:
        rows = self._connection.rows(f"{_SELECT} WHERE account = ? ORDER BY created, id", (account,))
        return [_record(row) for row in rows]

    def add(self, record: AppPasswordRecord, digest: bytes) -> None:
        row = (
            record.id, record.account, record.name, json_text(record.scopes), moment(record.created),
            moment_or_none(record.last_used), record.scram, digest,
        )  # fmt: skip
        self._connection.insert("app_password", (*_COLUMNS, "digest"), [row])

    def remove(self, number: AppPasswordId) -> bool:
        return self._connection.run("DELETE FROM app_password WHERE id = ?", (number,)) > 0

    def used(self, times: Sequence[tuple[AppPasswordId, datetime]]) -> None:
        self._connection.run_many(
            "UPDATE app_password SET last_used = ? WHERE id = ?", [(moment(now), one) for one, now in sorted(times)]
        )
