"""What time takes away, a slice at a time; the rows of mailboxes stay until somebody deletes them."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from datetime import datetime, timedelta

from postroad.adapters.ids import first_id_at
from postroad.adapters.sql.connection import Connection, in_list, slices
from postroad.adapters.sql.values import moment


class Retention:
    """Each function deletes at most one slice and says how much; 0 means that nothing is left to delete."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def messages(self, before: datetime, limit: int = 50) -> int:
        """Messages accepted, and all their recipients finished, before then: with deliveries, attempts and events."""
        rows = self._connection.rows(
            "SELECT m.id FROM message m WHERE m.id < ? AND m.created < ? AND NOT EXISTS (SELECT 1 FROM delivery d"
            " WHERE d.message = m.id AND (d.state IN ('queued', 'held') OR COALESCE(d.finished, m.created) >= ?))"
            " ORDER BY m.id LIMIT ?",
            (_ids_until(before), moment(before), moment(before), limit),
        )
        for some in slices([row[0] for row in rows]):
            listed, params = in_list(some)
            theirs = f"delivery IN (SELECT id FROM delivery WHERE message IN {listed})"
            self._connection.run(
                f"DELETE FROM attempt WHERE id IN (SELECT attempt FROM delivery_attempt WHERE {theirs})", params
            )
            self._connection.run(f"DELETE FROM delivery_attempt WHERE {theirs}", params)
            for table in ("event", "delivery"):
                self._connection.run(f"DELETE FROM {table} WHERE message IN {listed}", params)
            self._connection.run(f"DELETE FROM message WHERE id IN {listed}", params)
        return len(rows)

    def attempts(self, before: datetime, limit: int = 200) -> int:
        """Attempts that ended before then, with their dialogues."""
        rows = self._connection.rows(
            "SELECT id FROM attempt WHERE id < ? AND ended < ? ORDER BY id LIMIT ?",
            (_ids_until(before), moment(before), limit),
        )
        for some in slices([row[0] for row in rows]):
            listed, params = in_list(some)
            self._connection.run(
                f"DELETE FROM delivery_attempt WHERE attempt IN {listed} AND delivery IN (SELECT d.id FROM attempt a"
                f" JOIN delivery d ON d.message = a.message WHERE a.id IN {listed})",
                [*params, *params],
            )
            self._connection.run(f"DELETE FROM attempt WHERE id IN {listed}", params)
        return len(rows)

    def events(self, before: datetime, limit: int = 500) -> int:
        """Events about no message; a message takes its own with it."""
        return self._delete("event", "SELECT id FROM event WHERE at < ? AND message IS NULL LIMIT ?", before, limit)

    def refusals(self, before: datetime, limit: int = 500) -> int:
        return self._delete("refusal", "SELECT id FROM refusal WHERE at < ? ORDER BY at LIMIT ?", before, limit)

    def audit(self, before: datetime, limit: int = 500) -> int:
        return self._delete("audit", "SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?", before, limit)

    def idempotency(self, now: datetime, limit: int = 500) -> int:
        return self._connection.run(
            "DELETE FROM idempotency WHERE (server, key) IN"
            " (SELECT server, key FROM idempotency WHERE expires <= ? ORDER BY expires LIMIT ?)",
            (moment(now), limit),
        )

    def logins(self, *, sessions_before: datetime, failures_before: datetime, now: datetime, limit: int = 500) -> int:
        total = 0
        for table, key, column, before in (
            ("admin_session", "id", "seen", sessions_before),
            ("login_link", "digest", "expires", now),
            ("login_failure", "subject", "last", failures_before),
        ):
            total += self._connection.run(
                f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {column} < ? LIMIT ?)",
                (moment(before), limit),
            )
        return total

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


def _ids_until(moment: datetime) -> int:
    """Ids grow with time, so that the primary key bounds a look for old rows; a day allows for clocks that differ."""
    return first_id_at(moment + timedelta(days=1))
