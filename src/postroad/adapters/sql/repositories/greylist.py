"""Greylisted triplets and networks that have proved themselves."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postroad.adapters.sql.connection import Connection
from postroad.adapters.sql.values import clean, moment, time_of
from postroad.ports.greylist import GreyRecord

_COLUMNS = ("network", "sender", "recipient", "first", "last", "passes", "expires")
_NEWER = "greylist.expires <= excluded.first"  # the row is a thing of the past


def _kept(column: str, better: str) -> str:
    """The better of what is there and what comes; neither engine knows the other's function for it."""
    return (
        f"{column} = CASE WHEN {_NEWER} OR excluded.{column} {better} greylist.{column}"
        f" THEN excluded.{column} ELSE greylist.{column} END"
    )


_MERGED = ", ".join(_kept(*each) for each in (("first", "<"), ("last", ">"), ("passes", ">"), ("expires", ">")))


class GreyRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, keys: Sequence[tuple[str, str, str]]) -> list[GreyRecord]:
        found = []
        for key in keys:
            rows = self._connection.rows(
                f"SELECT {', '.join(_COLUMNS)} FROM greylist WHERE network = ? AND sender = ? AND recipient = ?",
                [clean(text) for text in key],
            )
            found += [
                GreyRecord(network, sender, recipient, time_of(first), time_of(last), passes, time_of(expires))
                for network, sender, recipient, first, last, passes, expires in rows
            ]
        return found

    def put(self, records: Sequence[GreyRecord]) -> None:
        rows = [
            (
                clean(record.network), clean(record.sender), clean(record.recipient), moment(record.first),
                moment(record.last), record.passes, moment(record.expires),
            )
            for record in records
        ]  # fmt: skip
        self._connection.insert(
            "greylist", _COLUMNS, rows, f"ON CONFLICT (network, sender, recipient) DO UPDATE SET {_MERGED}"
        )

    def forget(self, now: datetime, limit: int = 500) -> int:
        return self._connection.run(
            "DELETE FROM greylist WHERE (network, sender, recipient) IN"
            " (SELECT network, sender, recipient FROM greylist WHERE expires <= ? ORDER BY expires LIMIT ?)",
            (moment(now), limit),
        )
