"""The audit log: rows that are added beside what they tell of."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from typing import Any

from postroad.adapters.sql.connection import Connection, Row
from postroad.adapters.sql.repositories.messages import folded
from postroad.adapters.sql.values import clean, json_text, json_value, moment, time_of
from postroad.ports.admins import AuditRecord
from postroad.ports.ids import AuditId

_AUDIT = ("id", "at", "kind", "actor", "client", "action", "target", "detail")
_SEARCHED = ("kind", "actor", "client", "action", "target", "detail")


def _audit(row: Row) -> AuditRecord:
    number, at, kind, actor, client, action, target, detail = row
    return AuditRecord(AuditId(number), time_of(at), kind, actor, client, action, target, json_value(detail))


class Audit:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, record: AuditRecord) -> None:
        row = (
            record.id, moment(record.at), record.kind, clean(record.actor), clean(record.client), record.action,
            clean(record.target), json_text(record.detail),
        )  # fmt: skip
        self._connection.insert("audit", _AUDIT, [row], "ON CONFLICT (id) DO UPDATE SET detail = excluded.detail")

    def page(self, after: AuditId | None = None, limit: int = 50, text: str = "") -> list[AuditRecord]:
        terms, params = ["1 = 1"], list[Any]()
        if after is not None:
            terms.append("id < ?")
            params.append(after)
        if text:
            term, values = folded(self._connection, _SEARCHED, text)
            terms.append(term)
            params += values
        rows = self._connection.rows(
            f"SELECT {', '.join(_AUDIT)} FROM audit WHERE {' AND '.join(terms)} ORDER BY id DESC LIMIT ?",
            [*params, limit],
        )
        return [_audit(row) for row in rows]
