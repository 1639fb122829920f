"""Servers, their streams, suppressions and answers kept; tokens are in `tokens`."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from postroad.adapters.sql.connection import Connection, Row, in_list, slices
from postroad.adapters.sql.values import clean, moment, moment_or_none, time_of, time_or_none
from postroad.ports.ids import ServerId
from postroad.ports.sending import (
    IdempotencyRecord,
    ServerRecord,
    StreamKind,
    StreamRecord,
    SuppressionOrigin,
    SuppressionReason,
    SuppressionRecord,
)
from postroad.ports.store import Refused

_SERVER = ("id", "name", "created", "color", "sandbox")
_STREAM = ("server", "id", "name", "kind", "created", "updated", "description", "archived")
_SUPPRESSION = ("server", "stream", "address", "reason", "origin", "created")
IDEMPOTENCY = ("server", "key", "digest", "status", "answer", "expires")


def _server(row: Row) -> ServerRecord:
    number, name, created, color, sandbox = row
    return ServerRecord(ServerId(number), name, time_of(created), color, bool(sandbox))


def _stream(row: Row) -> StreamRecord:
    server, name_id, name, kind, created, updated, description, archived = row
    return StreamRecord(
        ServerId(server), name_id, name, StreamKind(kind), time_of(created), time_of(updated), description,
        time_or_none(archived),
    )  # fmt: skip


def _suppression(row: Row) -> SuppressionRecord:
    server, stream, address, reason, origin, created = row
    return SuppressionRecord(
        ServerId(server), stream, address, SuppressionReason(reason), SuppressionOrigin(origin), time_of(created)
    )


def idempotency_row(record: IdempotencyRecord) -> Row:
    return (record.server, clean(record.key), record.digest, record.status, record.answer, moment(record.expires))


class Servers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def next_id(self) -> ServerId:
        """Counted apart from the rows, so that no number comes back: messages name it for as long as they are kept."""
        rows = self._connection.rows(
            "INSERT INTO meta (name, value) VALUES ('last_server', '1') ON CONFLICT (name)"
            " DO UPDATE SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT) RETURNING value"
        )
        return ServerId(int(rows[0][0]))

    def get(self, server: ServerId) -> ServerRecord | None:
        return self._one("id = ?", server)

    def by_name(self, name: str) -> ServerRecord | None:
        return self._one("folded = ?", _folded(name))

    def _one(self, where: str, value: object) -> ServerRecord | None:
        rows = self._connection.rows(f"SELECT {', '.join(_SERVER)} FROM server WHERE {where}", (value,))
        return _server(rows[0]) if rows else None

    def list(self) -> list[ServerRecord]:
        rows = self._connection.rows(f"SELECT {', '.join(_SERVER)} FROM server ORDER BY folded")
        return [_server(row) for row in rows]

    def add(self, record: ServerRecord) -> None:
        self._refuse_taken(record)
        row = (record.id, record.name, moment(record.created), record.color, int(record.sandbox), _folded(record.name))
        self._connection.insert("server", (*_SERVER, "folded"), [row])

    def change(self, record: ServerRecord) -> None:
        self._refuse_taken(record)
        self._connection.run(
            "UPDATE server SET name = ?, folded = ?, color = ?, sandbox = ? WHERE id = ?",
            (record.name, _folded(record.name), record.color, int(record.sandbox), record.id),
        )

    def _refuse_taken(self, record: ServerRecord) -> None:
        other = self.by_name(record.name)
        if other is not None and other.id != record.id:
            raise Refused(f"there is a server called {other.name} already")

    def remove(self, server: ServerId) -> None:
        for table in ("stream", "token", "suppression", "idempotency", "return_path"):
            self._connection.run(f"DELETE FROM {table} WHERE server = ?", (server,))
        self._connection.run("DELETE FROM server WHERE id = ?", (server,))


def _folded(name: str) -> str:
    return name.casefold()


class Streams:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, server: ServerId, stream: str) -> StreamRecord | None:
        rows = self._connection.rows(
            f"SELECT {', '.join(_STREAM)} FROM stream WHERE server = ? AND id = ?", (server, clean(stream))
        )
        return _stream(rows[0]) if rows else None

    def list(self, server: ServerId, *, archived: bool = False) -> list[StreamRecord]:
        shown = "" if archived else " AND archived IS NULL"
        rows = self._connection.rows(
            f"SELECT {', '.join(_STREAM)} FROM stream WHERE server = ?{shown} ORDER BY created, id", (server,)
        )
        return [_stream(row) for row in rows]

    def add(self, record: StreamRecord) -> None:
        row = (
            record.server, record.id, record.name, record.kind.value, moment(record.created), moment(record.updated),
            record.description, moment_or_none(record.archived),
        )  # fmt: skip
        self._connection.insert("stream", _STREAM, [row])

    def change(self, record: StreamRecord) -> None:
        self._connection.run(
            "UPDATE stream SET name = ?, description = ?, updated = ?, archived = ? WHERE server = ? AND id = ?",
            (
                record.name, record.description, moment(record.updated), moment_or_none(record.archived),
                record.server, record.id,
            ),
        )  # fmt: skip


class Suppressions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, server: ServerId, stream: str, address: str) -> SuppressionRecord | None:
        found = self.among(server, stream, (address,))
        return found[0] if found else None

    def among(self, server: ServerId, stream: str, addresses: Sequence[str]) -> builtins.list[SuppressionRecord]:
        found: list[SuppressionRecord] = []
        for some in slices([clean(address) for address in addresses]):
            listed, params = in_list(some)
            rows = self._connection.rows(
                f"SELECT {', '.join(_SUPPRESSION)} FROM suppression WHERE server = ? AND stream = ?"
                f" AND address IN {listed}",
                (server, clean(stream), *params),
            )
            found += [_suppression(row) for row in rows]
        return found

    def any(self, server: ServerId, stream: str) -> bool:
        return bool(
            self._connection.rows(
                "SELECT 1 FROM suppression WHERE server = ? AND stream = ? LIMIT 1", (server, clean(stream))
            )
        )

    def list(
        self, server: ServerId, stream: str, *, after: str = "", limit: int | None = None
    ) -> builtins.list[SuppressionRecord]:
        cut, params = ("", ()) if limit is None else (" LIMIT ?", (limit,))
        rows = self._connection.rows(
            f"SELECT {', '.join(_SUPPRESSION)} FROM suppression WHERE server = ? AND stream = ? AND address > ?"
            f" ORDER BY address{cut}",
            (server, clean(stream), after, *params),
        )
        return [_suppression(row) for row in rows]

    def put(self, record: SuppressionRecord) -> bool:
        changed = self._connection.run(
            f"INSERT INTO suppression ({', '.join(_SUPPRESSION)}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                record.server, record.stream, clean(record.address), record.reason.value, record.origin.value,
                moment(record.created),
            ),
        )  # fmt: skip
        return changed > 0

    def put_all(self, records: Sequence[SuppressionRecord]) -> None:
        """The same for many; who is suppressed already stays as it was."""
        rows = [
            (
                record.server, clean(record.stream), clean(record.address), record.reason.value, record.origin.value,
                moment(record.created),
            )
            for record in sorted(records, key=lambda each: (each.server, each.stream, each.address))
        ]  # fmt: skip
        self._connection.insert("suppression", _SUPPRESSION, rows, "ON CONFLICT DO NOTHING")

    def remove(self, server: ServerId, stream: str, address: str) -> bool:
        changed = self._connection.run(
            "DELETE FROM suppression WHERE server = ? AND stream = ? AND address = ?",
            (server, clean(stream), clean(address)),
        )
        return changed > 0


class Idempotency:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, server: ServerId, key: str, now: datetime) -> IdempotencyRecord | None:
        rows = self._connection.rows(
            f"SELECT {', '.join(IDEMPOTENCY)} FROM idempotency WHERE server = ? AND key = ? AND expires > ?",
            (server, clean(key), moment(now)),
        )
        return _kept(rows[0]) if rows else None

    def put(self, record: IdempotencyRecord, now: datetime) -> bool:
        changed = self._connection.run(
            f"INSERT INTO idempotency ({', '.join(IDEMPOTENCY)}) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (server, key) DO UPDATE SET digest = excluded.digest, status = excluded.status,"
            " answer = excluded.answer, expires = excluded.expires WHERE idempotency.expires <= ?",
            (*idempotency_row(record), moment(now)),
        )
        return changed > 0


def _kept(row: Row) -> IdempotencyRecord:
    server, key, digest, status, answer, expires = row
    return IdempotencyRecord(ServerId(server), key, bytes(digest), status, bytes(answer), time_of(expires))
