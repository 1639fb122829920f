"""Nodes with their leases, and small facts about the whole installation."""

from __future__ import annotations

from datetime import datetime, timedelta

from postroad.adapters.sql.connection import Connection
from postroad.adapters.sql.values import moment
from postroad.ports.ids import NodeId


class Nodes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def join(self, name: str, *, now: datetime, lease: timedelta) -> tuple[NodeId, int]:
        lease_until = moment(now + lease)
        rows = self._connection.rows(
            "UPDATE node SET epoch = epoch + 1, lease_until = ? WHERE name = ? RETURNING id, epoch", (lease_until, name)
        )
        if not rows:  # not as one upsert: that would use up a node number at each start, and they have nine bits
            rows = self._connection.rows(
                "INSERT INTO node (name, lease_until, epoch) VALUES (?, ?, 1) RETURNING id, epoch", (name, lease_until)
            )
        number, epoch = rows[0]
        return NodeId(number), epoch

    def number(self, name: str, *, now: datetime) -> NodeId:
        rows = self._connection.rows("SELECT id FROM node WHERE name = ?", (name,))
        if not rows:
            rows = self._connection.rows(
                "INSERT INTO node (name, lease_until, epoch) VALUES (?, ?, 0) RETURNING id", (name, moment(now))
            )
        return NodeId(rows[0][0])

    def renew(self, node: NodeId, epoch: int, *, now: datetime, lease: timedelta) -> bool:
        changed = self._connection.run(
            "UPDATE node SET lease_until = ? WHERE id = ? AND epoch = ?", (moment(now + lease), node, epoch)
        )
        return changed > 0


class Meta:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        rows = self._connection.rows("SELECT value FROM meta WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def put(self, name: str, value: str) -> None:
        self._connection.run(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
