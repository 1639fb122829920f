"""What time takes away, a slice at a time; the rows of mailboxes stay until somebody deletes them."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postroad.adapters.sql.connection import Connection, in_list, slices
from postroad.adapters.sql.values import moment
from postroad.ports.ids import BlobId


class Retention:
    """Each function deletes at most one slice and says how much; 0 means that nothing is left to delete."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def messages(self, before: datetime, limit: int = 50) -> int:
        """Messages accepted, and all their recipients finished, before then: with deliveries, attempts and events."""
        rows = self._connection.rows(
            "SELECT m.id FROM message m WHERE m.created < ? AND NOT EXISTS (SELECT 1 FROM delivery d"
            " WHERE d.message = m.id AND (d.state IN ('queued', 'held') OR COALESCE(d.finished, m.created) >= ?))"
            " ORDER BY m.created LIMIT ?",
            (moment(before), moment(before), limit),
        )
        for some in slices([row[0] for row in rows]):
            listed, params = in_list(some)
            self._connection.run(
                f"DELETE FROM delivery_attempt WHERE attempt IN (SELECT id FROM attempt WHERE message IN {listed})",
                params,
            )
            for table in ("attempt", "event", "delivery"):
                self._connection.run(f"DELETE FROM {table} WHERE message IN {listed}", params)
            self._connection.run(f"DELETE FROM message WHERE id IN {listed}", params)
        return len(rows)

    def attempts(self, before: datetime, limit: int = 200) -> int:
        """Attempts that ended before then, with their dialogues."""
        rows = self._connection.rows(
            "SELECT id FROM attempt WHERE ended < ? ORDER BY ended LIMIT ?", (moment(before), limit)
        )
        for some in slices([row[0] for row in rows]):
            listed, params = in_list(some)
            self._connection.run(f"DELETE FROM delivery_attempt WHERE attempt IN {listed}", params)
            self._connection.run(f"DELETE FROM attempt WHERE id IN {listed}", params)
        return len(rows)

    def events(self, before: datetime, limit: int = 500) -> int:
        """Events about no message; a message takes its own with it."""
        return self._delete("event", "SELECT id FROM event WHERE at < ? AND message IS NULL LIMIT ?", before, limit)

    def refusals(self, before: datetime, limit: int = 500) -> int:
        return self._delete("refusal", "SELECT id FROM refusal WHERE at < ? ORDER BY at LIMIT ?", before, limit)

    def _delete(self, table: str, select: str, before: datetime, limit: int) -> int:
        return self._connection.run(f"DELETE FROM {table} WHERE id IN ({select})", (moment(before), limit))

    def deleted_mailboxes(self, limit: int = 500) -> int:
        """Rows of mailboxes that were deleted, then the mailboxes themselves."""
        rows = self._connection.rows("SELECT id FROM mailbox WHERE deleted = 1 ORDER BY id LIMIT 1")
        if not rows:
            return 0
        mailbox = rows[0][0]
        taken = self._connection.run(
            "DELETE FROM mailbox_message WHERE mailbox = ? AND uid IN"
            " (SELECT uid FROM mailbox_message WHERE mailbox = ? ORDER BY uid LIMIT ?)",
            (mailbox, mailbox, limit),
        )
        if taken < limit:
            self._connection.run("DELETE FROM vanished WHERE mailbox = ?", (mailbox,))
            self._connection.run("DELETE FROM mailbox WHERE id = ?", (mailbox,))
        return taken or 1

    def unnamed_blobs(self, after: BlobId, before: BlobId, limit: int = 500) -> tuple[BlobId | None, int]:
        """Look at one slice of blobs between two ids and forget those that no row names.

        Returns where the next slice begins (None: done) and how many were forgotten.
        """
        rows = self._connection.rows(
            "SELECT id, NOT EXISTS (SELECT 1 FROM message WHERE message.blob = b.id)"
            " AND NOT EXISTS (SELECT 1 FROM mailbox_message WHERE mailbox_message.blob = b.id)"
            " FROM blob b WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (after, before, limit),
        )
        unnamed = [row[0] for row in rows if row[1]]
        for some in slices(unnamed):
            listed, params = in_list(some)
            for table in ("content", "blob"):
                self._connection.run(f"DELETE FROM {table} WHERE id IN {listed}", params)
        return (BlobId(rows[-1][0]) if len(rows) == limit else None), len(unnamed)

    def empty_segments(self, names: Sequence[str]) -> list[str]:
        """Which of these files no blob lies in any more; their rows go with the answer."""
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
