"""Where content lies: for the sweep and for proving what is on the disk."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence

from postroad.adapters.sql.connection import Connection, in_list, slices
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import BlobId

# Accepted content has its message's id, which the primary keys find; the partial indexes hold the exceptions, and each
# EXISTS repeats the condition of its index.
_NAMED = """(EXISTS (SELECT 1 FROM message m WHERE m.id = b.id AND m.blob = b.id)
 OR EXISTS (SELECT 1 FROM message m WHERE m.blob = b.id AND m.blob <> m.id)
 OR EXISTS (SELECT 1 FROM mailbox_message m WHERE m.message = b.id AND m.blob = b.id)
 OR EXISTS (SELECT 1 FROM mailbox_message m WHERE m.blob = b.id AND (m.message IS NULL OR m.blob <> m.message)))"""


class Places:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def walk(self, after: BlobId, limit: int = 500) -> list[tuple[BlobId, BlobPlace, bool]]:
        rows = self._connection.rows(
            f"SELECT b.id, segment.name, b.start, b.length, {_NAMED} FROM blob b"
            " JOIN segment ON segment.id = b.segment WHERE b.id > ? ORDER BY b.id LIMIT ?",
            (after, limit),
        )
        return [(BlobId(row[0]), BlobPlace(*row[1:4]), bool(row[4])) for row in rows]

    def forget(self, blobs: Sequence[BlobId]) -> list[BlobId]:
        gone: list[BlobId] = []
        for some in slices(blobs):
            listed, params = in_list(some)
            sql = f"SELECT b.id FROM blob b WHERE b.id IN {listed} AND NOT {_NAMED}"
            unnamed = [BlobId(row[0]) for row in self._connection.rows(sql, params)]
            listed, params = in_list(unnamed)
            for table in ("content", "blob"):
                self._connection.run(f"DELETE FROM {table} WHERE id IN {listed}", params)
            gone += unnamed
        return gone

    def forget_segments(self, names: Sequence[str]) -> None:
        for some in slices(names):
            listed, params = in_list(some)
            self._connection.run(f"DELETE FROM segment WHERE name IN {listed}", params)
