"""Where content lies, file by file: for the sweep and for proving what is on the disk."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence

from postroad.adapters.sql.connection import Connection, in_list, slices
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import BlobId

# Accepted content has its message's id, which the primary keys find; the partial indexes hold the exceptions.
_UNNAMED = (
    "NOT EXISTS (SELECT 1 FROM message m WHERE m.id = b.id AND m.blob = b.id)"
    " AND NOT EXISTS (SELECT 1 FROM message m WHERE m.blob = b.id AND m.blob <> m.id)"
    " AND NOT EXISTS (SELECT 1 FROM mailbox_message m WHERE m.message = b.id AND m.blob = b.id)"
    " AND NOT EXISTS (SELECT 1 FROM mailbox_message m"
    " WHERE m.blob = b.id AND (m.message IS NULL OR m.blob <> m.message))"
)


class Places:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def segments(self) -> list[str]:
        return [row[0] for row in self._connection.rows("SELECT name FROM segment ORDER BY name")]

    def in_segment(self, name: str, *, after: int, limit: int) -> list[tuple[BlobId, BlobPlace]]:
        rows = self._connection.rows(
            "SELECT blob.id, blob.start, blob.length FROM segment JOIN blob ON blob.segment = segment.id"
            " WHERE segment.name = ? AND blob.start > ? ORDER BY blob.start LIMIT ?",
            (name, after, limit),
        )
        return [(BlobId(number), BlobPlace(name, start, length)) for number, start, length in rows]

    def forget_unnamed(self, after: BlobId, before: BlobId, limit: int = 500) -> tuple[BlobId | None, int]:
        rows = self._connection.rows(
            f"SELECT id, {_UNNAMED} FROM blob b WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (after, before, limit),
        )
        unnamed = [row[0] for row in rows if row[1]]
        for some in slices(unnamed):
            listed, params = in_list(some)
            for table in ("content", "blob"):
                self._connection.run(f"DELETE FROM {table} WHERE id IN {listed}", params)
        return (BlobId(rows[-1][0]) if len(rows) == limit else None), len(unnamed)

    def forget_empty(self, names: Sequence[str]) -> list[str]:
        empty: list[str] = []
        for some in slices(names):
            listed, params = in_list(some)
            live = {
                row[0]
                for row in self._connection.rows(
                    f"SELECT name FROM segment s WHERE name IN {listed}"
                    " AND EXISTS (SELECT 1 FROM blob WHERE blob.segment = s.id)",
                    params,
                )
            }
            gone = [name for name in some if name not in live]
            listed, params = in_list(gone)
            self._connection.run(f"DELETE FROM segment WHERE name IN {listed}", params)
            empty += gone
        return empty
