"""The domains that return addresses are in, of domains and of streams."""

from __future__ import annotations

import builtins

from postroad.adapters.sql.connection import Connection
from postroad.adapters.sql.values import clean, moment, time_of
from postroad.ports.ids import ServerId
from postroad.ports.sending import ReturnPathRecord

_NO_SERVER = 0  # servers are counted from 1


class ReturnPaths:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> builtins.list[ReturnPathRecord]:
        rows = self._connection.rows(
            "SELECT name, created, domain, server, stream FROM return_path ORDER BY name, domain, server, stream"
        )
        return [
            ReturnPathRecord(name, time_of(created), domain, ServerId(server) if server else None, stream)
            for name, created, domain, server, stream in rows
        ]

    def put(self, record: ReturnPathRecord) -> None:
        self._connection.run(
            "INSERT INTO return_path (domain, server, stream, name, created) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (domain, server, stream) DO UPDATE SET name = excluded.name, created = excluded.created",
            (clean(record.domain), record.server or _NO_SERVER, clean(record.stream), clean(record.name),
             moment(record.created)),
        )  # fmt: skip

    def remove(self, *, domain: str = "", server: ServerId | None = None, stream: str = "") -> bool:
        changed = self._connection.run(
            "DELETE FROM return_path WHERE domain = ? AND server = ? AND stream = ?",
            (clean(domain), server or _NO_SERVER, clean(stream)),
        )
        return changed > 0
