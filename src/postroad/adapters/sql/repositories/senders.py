"""Grants to send as somebody, senders that are held back, and what was counted of them."""

# ruff: noqa: S608 - what is put into statements is our own lists of placeholders

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime

from postroad.adapters.sql.connection import Connection, in_list
from postroad.adapters.sql.values import clean, moment, time_of
from postroad.ports.ids import AccountId
from postroad.ports.senders import HeldMail, SenderCount, SenderHold, SenderKey, SenderKind


class SenderRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- grants ---

    def may_send_as(self, account: AccountId, addresses: Sequence[str]) -> bool:
        listed, params = in_list([clean(address) for address in addresses])
        sql = f"SELECT 1 FROM send_as WHERE account = ? AND address IN {listed} LIMIT 1"
        return bool(self._connection.rows(sql, [account, *params]))

    def send_as(self, account: AccountId) -> builtins.list[str]:
        sql = "SELECT address FROM send_as WHERE account = ? ORDER BY address"
        return [row[0] for row in self._connection.rows(sql, (account,))]

    def grant(self, account: AccountId, address: str) -> bool:
        sql = "INSERT INTO send_as (account, address) VALUES (?, ?) ON CONFLICT (account, address) DO NOTHING"
        return self._connection.run(sql, (account, clean(address))) > 0

    def withdraw(self, account: AccountId, address: str) -> bool:
        return self._connection.run("DELETE FROM send_as WHERE account = ? AND address = ?", (account, address)) > 0

    # --- holds ---

    def holds(self) -> builtins.list[SenderHold]:
        rows = self._connection.rows(
            "SELECT kind, subject, stream, name, since, actor, why FROM sender_hold ORDER BY since, kind, subject"
        )
        return [
            SenderHold(SenderKey(SenderKind(kind), subject, stream), name, time_of(since), actor, why)
            for kind, subject, stream, name, since, actor, why in rows
        ]

    def hold(self, record: SenderHold) -> bool:
        values = (*record.key, clean(record.name), moment(record.since), clean(record.actor), clean(record.why))
        sql = (
            "INSERT INTO sender_hold (kind, subject, stream, name, since, actor, why) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (kind, subject, stream) DO NOTHING"
        )
        return self._connection.run(sql, (str(values[0]), *values[1:])) > 0

    def release(self, key: SenderKey) -> bool:
        sql = "DELETE FROM sender_hold WHERE kind = ? AND subject = ? AND stream = ?"
        return self._connection.run(sql, (str(key.kind), key.subject, key.stream)) > 0

    def held(self) -> builtins.list[HeldMail]:
        rows = self._connection.rows(
            "SELECT delivery.held_for, message.account, message.token, message.server, message.stream, COUNT(*),"
            " MIN(message.created) FROM delivery JOIN message ON message.id = delivery.message"
            " WHERE delivery.state = 'held' AND delivery.state IN ('queued', 'held')"  # as an index says it
            " GROUP BY delivery.held_for, message.account, message.token, message.server, message.stream"
        )
        return [
            HeldMail(why, account, token, server, stream, count, time_of(since))
            for why, account, token, server, stream, count, since in rows
        ]

    # --- counts ---

    def counts(self, node: str) -> builtins.list[SenderCount]:
        sql = "SELECT kind, subject, at, counts FROM sender_count WHERE node = ?"
        return [
            SenderCount(SenderKey(SenderKind(kind), subject), time_of(at), bytes(counts))
            for kind, subject, at, counts in self._connection.rows(sql, (clean(node),))
        ]

    def put_counts(self, node: str, counts: Sequence[SenderCount]) -> None:
        rows = [
            (clean(node), str(each.key.kind), each.key.subject, moment(each.at), each.counts)
            for each in sorted(counts, key=lambda each: each.key)
        ]
        self._connection.insert(
            "sender_count", ("node", "kind", "subject", "at", "counts"), rows,
            "ON CONFLICT (node, kind, subject) DO UPDATE SET at = excluded.at, counts = excluded.counts",
        )  # fmt: skip

    def forget_counts(self, before: datetime, limit: int = 500) -> int:
        return self._connection.run(
            "DELETE FROM sender_count WHERE (node, kind, subject) IN"
            " (SELECT node, kind, subject FROM sender_count WHERE at < ? LIMIT ?)",
            (moment(before), limit),
        )
