"""Figures: events counted by minute, and what is kept of that. An id tells when an event was recorded."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from postroad.adapters.ids import EPOCH, first_id_at, ids_in, made_at
from postroad.adapters.sql.connection import Connection, Row, first
from postroad.adapters.sql.values import status_of, time_or_none
from postroad.events.stats import FIGURES
from postroad.ports.figures import HOUR, MINUTE, NO_SERVER, Count, Figure, Sum, Trouble
from postroad.ports.ids import ServerId

_MINUTES = "(event.id >> 21) / 60000"  # since EPOCH, which begins a minute and an hour
_KINDS = ", ".join(f"'{kind}'" for kind in sorted(FIGURES))
_STAT = ("width", "bucket", "server", "stream", "kind", "n")
_ONCE = "ON CONFLICT (width, bucket, server, stream, kind) DO NOTHING"  # another node has counted the same meanwhile
_WAITING = "state = 'queued' AND owner IS NULL"  # as the index delivery_due says it
_LOOKED_AT = 20  # of a destination's waiting mail, for its last reply
_EPOCH = int(EPOCH.timestamp())
_MINUTE = ids_in(timedelta(minutes=1))
_FEW_MINUTES = timedelta(minutes=3)
_STRETCH = ("event.id >= ?", "event.id < ?")


class Figures:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- events ---

    def count(self, start: datetime, end: datetime) -> list[Count]:
        rows = self._connection.rows(
            f"SELECT COALESCE(message.server, {NO_SERVER}), COALESCE(message.stream, ''), event.kind, {_MINUTES},"
            " COUNT(*) FROM event LEFT JOIN message ON message.id = event.message"
            f" WHERE event.id >= ? AND event.id < ? AND event.kind IN ({_KINDS}) GROUP BY 1, 2, 3, 4",
            (first_id_at(start), first_id_at(end)),
        )
        return [Count(server, stream, kind, _second(minute), n) for server, stream, kind, minute, n in rows]

    def fresh(
        self, start: datetime, end: datetime, *, server: ServerId | None = None, stream: str | None = None
    ) -> list[Sum]:
        """Minute by minute where they are few: sums take half of what grouping does."""
        low, high = first_id_at(start), first_id_at(end)
        if end - start > _FEW_MINUTES:
            return self._grouped(low, high, *_of("message.", server, stream))
        edges = range(low - low % _MINUTE + _MINUTE, high, _MINUTE)
        bounds = pairwise([low, *edges, high]) if low < high else ()
        return [one for a, b in bounds for one in self._summed(a, b, *_of("message.", server, stream))]

    def _grouped(self, low: int, high: int, terms: list[str], params: list[Any]) -> list[Sum]:
        rows = self._connection.rows(
            f"SELECT event.kind, {_MINUTES}, COUNT(*) FROM event{_joined(terms)} WHERE"
            f" {' AND '.join([*_STRETCH, f'event.kind IN ({_KINDS})', *terms])} GROUP BY 1, 2",
            [low, high, *params],
        )
        return [Sum(kind, _second(minute), n) for kind, minute, n in rows]

    def _summed(self, low: int, high: int, terms: list[str], params: list[Any]) -> list[Sum]:
        """Of a stretch inside one minute."""
        sums = ", ".join(f"SUM(CASE WHEN event.kind = '{kind}' THEN 1 ELSE 0 END)" for kind in FIGURES)
        sql = f"SELECT {sums} FROM event{_joined(terms)} WHERE {' AND '.join([*_STRETCH, *terms])}"
        (row,) = self._connection.rows(sql, [low, high, *params])
        second = _second(low // _MINUTE)
        return [Sum(kind.value, second, int(n)) for kind, n in zip(FIGURES, row, strict=True) if n]

    def events(self, start: datetime, end: datetime) -> int:
        sql = "SELECT COUNT(*) FROM event WHERE id >= ? AND id < ?"
        return int(self._connection.rows(sql, (first_id_at(start), first_id_at(end)))[0][0])

    def first_event(self, since: datetime) -> datetime | None:
        row = first(self._connection.rows("SELECT MIN(id) FROM event WHERE id >= ?", (first_id_at(since),)))
        return made_at(row[0]) if row and row[0] is not None else None

    def event_behind(self, since: datetime, others: int) -> datetime | None:
        sql = "SELECT id FROM event WHERE id >= ? ORDER BY id LIMIT 1 OFFSET ?"
        row = first(self._connection.rows(sql, (first_id_at(since), others)))
        return made_at(row[0]) if row else None

    # --- what is kept ---

    def put(self, width: int, start: datetime, end: datetime, figures: Sequence[Figure]) -> None:
        low, high = _seconds(start), _seconds(end)
        self._delete(width, low, high)
        rows: list[Row] = [(width, one.bucket, one.server, one.stream, one.kind, one.n) for one in figures]
        self._connection.insert("stat", _STAT, rows, _ONCE)
        if width == MINUTE:
            self._sum_hours(low - low % HOUR, high + -high % HOUR)

    def _sum_hours(self, low: int, high: int) -> None:
        self._delete(HOUR, low, high)
        self._connection.run(
            f"INSERT INTO stat ({', '.join(_STAT)}) SELECT {HOUR}, bucket - bucket % {HOUR}, server, stream, kind,"
            f" SUM(n) FROM stat WHERE width = {MINUTE} AND bucket >= ? AND bucket < ? GROUP BY 2, 3, 4, 5 {_ONCE}",
            (low, high),
        )

    def _delete(self, width: int, low: int, high: int) -> None:
        self._connection.run("DELETE FROM stat WHERE width = ? AND bucket >= ? AND bucket < ?", (width, low, high))

    def sums(
        self, width: int, start: datetime, end: datetime, *, server: ServerId | None = None, stream: str | None = None
    ) -> list[Sum]:
        terms, params = _of("", server, stream)
        condition = " AND ".join(["width = ?", "bucket >= ?", "bucket < ?", *terms])
        rows = self._connection.rows(
            f"SELECT kind, bucket, SUM(n) FROM stat WHERE {condition} GROUP BY kind, bucket",
            [width, _seconds(start), _seconds(end), *params],
        )
        return [Sum(kind, bucket, int(n)) for kind, bucket, n in rows]

    def trim(self, minutes: datetime, hours: datetime, limit: int = 500) -> int:
        return sum(self._trim(width, _seconds(before), limit) for width, before in ((MINUTE, minutes), (HOUR, hours)))

    def _trim(self, width: int, before: int, limit: int) -> int:
        rows = self._connection.rows(
            "SELECT bucket FROM stat WHERE width = ? AND bucket < ? ORDER BY bucket LIMIT ?", (width, before, limit)
        )
        if not rows:
            return 0
        return self._connection.run("DELETE FROM stat WHERE width = ? AND bucket <= ?", (width, rows[-1][0]))

    # --- the queue ---

    def troubles(self, limit: int) -> list[Trouble]:
        """The index delivery_due alone says how many wait where."""
        rows = self._connection.rows(
            "SELECT waiting.dest, dest.name, waiting.n, waiting.oldest, waiting.due FROM (SELECT dest, COUNT(*) AS n,"
            f" MIN(id) AS oldest, MIN(due) AS due FROM delivery WHERE {_WAITING} GROUP BY dest"
            " ORDER BY n DESC, dest LIMIT ?) AS waiting JOIN dest ON dest.id = waiting.dest"
            " ORDER BY waiting.n DESC, dest.name",
            (limit,),
        )
        return [
            Trouble(name, queued, made_at(oldest), time_or_none(due), reply)
            for dest, name, queued, oldest, due in rows
            if (reply := self._last_reply(dest))
        ]

    def _last_reply(self, dest: int) -> str:
        """Of the mail that was tried last, which is the last to be tried again; what waits for its first try has
        none."""
        rows = self._connection.rows(
            f"SELECT last_status FROM delivery WHERE dest = ? AND {_WAITING} ORDER BY due DESC LIMIT ?",
            (dest, _LOOKED_AT),
        )
        return next((str(status) for row in rows if (status := status_of(row[0]))), "")


def _of(table: str, server: ServerId | None, stream: str | None) -> tuple[list[str], list[Any]]:
    wanted = [(f"{table}{name} = ?", value) for name, value in (("server", server), ("stream", stream))]
    given = [(term, value) for term, value in wanted if value is not None]
    return [term for term, _ in given], [value for _, value in given]


def _joined(terms: list[str]) -> str:
    return " JOIN message ON message.id = event.message" if terms else ""


def _second(minute: int) -> int:
    return _EPOCH + minute * MINUTE


def _seconds(time: datetime) -> int:
    return int(time.astimezone(UTC).timestamp())
