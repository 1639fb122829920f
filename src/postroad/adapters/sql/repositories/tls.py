"""Policies of MTA-STS that were fetched, and how TLS sessions went by day."""

# ruff: noqa: S608 - what is put into statements is our own column names

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any

from msgspec import structs

from postroad.adapters.sql.connection import Connection
from postroad.adapters.sql.values import clean, moment, time_of
from postroad.ports.tls import StsRecord, TlsResult, TlsResultKey

_POLICY = ("domain", "id", "text", "fetched", "expires")
_RESULT = ("day", "key", "domain", "policy", "policy_text", "result", "host", "address", "source", "reason", "sessions")


class TlsRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def policy(self, domain: str) -> StsRecord | None:
        rows = self._connection.rows(f"SELECT {', '.join(_POLICY)} FROM sts_policy WHERE domain = ?", [clean(domain)])
        return _record(*rows[0]) if rows else None

    def put_policy(self, record: StsRecord) -> None:
        row = (
            clean(record.domain), clean(record.id), clean(record.text), moment(record.fetched), moment(record.expires),
        )  # fmt: skip
        changes = ", ".join(f"{column} = excluded.{column}" for column in _POLICY[1:])
        self._connection.insert("sts_policy", _POLICY, [row], f"ON CONFLICT (domain) DO UPDATE SET {changes}")

    def drop_policy(self, domain: str) -> None:
        self._connection.run("DELETE FROM sts_policy WHERE domain = ?", [clean(domain)])

    def policies(self, after: str = "", limit: int = 500) -> list[StsRecord]:
        rows = self._connection.rows(
            f"SELECT {', '.join(_POLICY)} FROM sts_policy WHERE domain > ? ORDER BY domain LIMIT ?", [after, limit]
        )
        return [_record(*row) for row in rows]

    def count(self, results: Sequence[TlsResult]) -> None:
        rows = [_row(result) for result in results]
        self._connection.insert(
            "tls_result", _RESULT, rows,
            "ON CONFLICT (day, key) DO UPDATE SET sessions = tls_result.sessions + excluded.sessions",
        )  # fmt: skip

    def results(
        self, *, first: date, last: date, domain: str = "", after: tuple[str, str] = ("", ""), limit: int = 500
    ) -> list[tuple[tuple[str, str], TlsResult]]:
        day, key = after
        values: list[Any] = [max(first.isoformat(), day), last.isoformat(), day, day, key]
        narrowed = ""
        if domain:
            narrowed = " AND domain = ?"
            values.append(clean(domain))
        rows = self._connection.rows(
            f"SELECT {', '.join(_RESULT)} FROM tls_result WHERE day >= ? AND day <= ?"
            f" AND (day > ? OR (day = ? AND key > ?)){narrowed} ORDER BY day, key LIMIT ?",
            [*values, limit],
        )
        return [_result(*row) for row in rows]

    def forget_results(self, before: date, limit: int = 500) -> int:
        return self._connection.run(
            "DELETE FROM tls_result WHERE (day, key) IN"
            " (SELECT day, key FROM tls_result WHERE day < ? ORDER BY day, key LIMIT ?)",
            (before.isoformat(), limit),
        )


def _record(domain: str, policy_id: str, text: str, fetched: int, expires: int) -> StsRecord:
    return StsRecord(domain, policy_id, text, time_of(fetched), time_of(expires))


def _row(result: TlsResult) -> tuple[Any, ...]:
    texts = [clean(text) for text in structs.astuple(result.key)[1:]]
    key = sha256("\n\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return (result.key.day.isoformat(), key, *texts, result.sessions)


def _result(day: str, key: str, *rest: Any) -> tuple[tuple[str, str], TlsResult]:
    *texts, sessions = rest
    return (day, key), TlsResult(TlsResultKey(date.fromisoformat(day), *texts), sessions)
