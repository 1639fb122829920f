"""The queue in figures, quickly: by destination from indexes alone, by other keys in slices. Runs in a reader's thread.

Counting a million recipients row by row takes seconds; an index that holds no more than the destination and the due
time is read in a fraction of one. When something was accepted is read from its id.
"""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from postroad.adapters.ids import first_id_at, made_at
from postroad.adapters.sql.connection import Connection, in_list, slices
from postroad.adapters.sql.values import json_value, moment, status_of, time_or_none
from postroad.ports.ids import DeliveryId, NodeId
from postroad.ports.queueing import CensusPlace, QueueSample, QueueShare, QueueShares
from postroad.ports.store import QueueSummary

_OPEN = "state IN ('queued', 'held')"
_WAITING = "state = 'queued' AND owner IS NULL"  # as the index delivery_due says it
_LOOKED_AT = 20  # deliveries of one destination, for a reply that it gave lately
_REPLY = (
    "(SELECT last_status FROM (SELECT last_status FROM delivery WHERE delivery.dest = dest.id AND {where}"
    f" {{order}} LIMIT {_LOOKED_AT}) AS looked WHERE last_status IS NOT NULL LIMIT 1)"
)
_REPLIES = (
    "SELECT dest.id, dest.name, dest.provider, COALESCE("
    + _REPLY.format(where=_WAITING, order="ORDER BY due DESC")
    + ", "
    + _REPLY.format(where="state = 'held'", order="")
    + ") FROM dest WHERE dest.id IN {}"
)


class _Part:
    """What is known of one destination so far."""

    __slots__ = ("due", "held", "oldest", "queued")

    def __init__(self) -> None:
        self.queued = self.held = 0
        self.oldest: int | None = None
        self.due: int | None = None

    def see(self, oldest: int, due: int | None) -> None:
        self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)
        if due is not None:
            self.due = due if self.due is None else min(self.due, due)


def by_destination(connection: Connection, owners: Sequence[NodeId | None]) -> list[QueueSummary]:
    """Busiest first."""
    parts: dict[int, _Part] = {}
    rows = connection.rows(f"SELECT dest, COUNT(*), MIN(id), MIN(due) FROM delivery WHERE {_WAITING} GROUP BY dest")
    for owner in owners:
        if owner is not None:
            rows += connection.rows(
                f"SELECT dest, COUNT(*), MIN(id), MIN(due) FROM delivery WHERE owner = ? AND {_OPEN}"
                " AND state = 'queued' GROUP BY dest",
                (owner,),
            )
    for dest, count, oldest, due in rows:
        part = parts.setdefault(dest, _Part())
        part.queued += int(count)
        part.see(oldest, due)
    for dest, count, oldest in connection.rows(
        "SELECT dest, COUNT(*), MIN(id) FROM delivery WHERE state = 'held' GROUP BY dest"
    ):
        part = parts.setdefault(dest, _Part())
        part.held += int(count)
        part.see(oldest, None)
    found = [_summary(name, provider, parts[dest], reply) for dest, name, provider, reply in _named(connection, parts)]
    return sorted(found, key=lambda one: (-one.queued - one.held, one.dest))


def _named(connection: Connection, parts: dict[int, _Part]) -> Iterator[tuple[int, str, str, str | None]]:
    for some in slices(list(parts)):
        listed, params = in_list(some)
        yield from connection.rows(_REPLIES.format(listed), params)


def _summary(name: str, provider: str, part: _Part, reply: str | None) -> QueueSummary:
    text = json_value(reply)[2] if reply else ""
    return QueueSummary(name, part.queued, part.held, made_at(part.oldest or 0), time_or_none(part.due), text, provider)


def by_age(
    connection: Connection, owners: Sequence[NodeId | None], bands: Sequence[datetime]
) -> list[tuple[int, int | None]]:
    """For each band how many wait that were accepted since it began and before the band before it, and the oldest id;
    one more for what is older than all. `bands` are times, latest first."""
    edges = [None, *(first_id_at(time) for time in bands), 0]
    found = []
    for upper, lower in pairwise(edges):
        below, params = ("AND id < ?", [upper]) if upper is not None else ("", [])
        count, oldest = 0, None
        for owner in owners:
            term, values = ("owner IS NULL", []) if owner is None else ("owner = ?", [owner])
            (row,) = connection.rows(
                f"SELECT COUNT(*), MIN(id) FROM delivery WHERE {term} AND {_OPEN} AND id >= ? {below}",
                [*values, lower, *params],
            )
            count += int(row[0])
            oldest = row[1] if oldest is None else min(oldest, row[1] or oldest)
        found.append((count, oldest))
    return found


def shares(
    connection: Connection, by: str, owners: Sequence[NodeId | None], place: CensusPlace | None, limit: int
) -> QueueShares:
    """One slice of the queue by `domain`, `tenant` or `cause`."""
    owner, after = place or CensusPlace(owners[0], DeliveryId(0))
    at = owners.index(owner) if owner in owners else 0
    term, values = ("delivery.owner IS NULL", []) if owner is None else ("delivery.owner = ?", [owner])
    columns, join = _KEYS[by]
    rows = connection.rows(
        f"SELECT delivery.id, delivery.state, {columns} FROM delivery {join} WHERE delivery.{_OPEN} AND {term}"
        " AND delivery.id > ? ORDER BY delivery.id LIMIT ?",
        [*values, after, limit],
    )
    counted: dict[str, list[int]] = {}
    keys: dict[object, str] = {}
    for number, state, *found in rows:
        what = tuple(found) if len(found) > 1 else found[0]
        key = keys.get(what)
        if key is None:
            key = keys[what] = _READ[by](what)
        cell = counted.setdefault(key, [0, 0, number])
        cell[state == "held"] += 1
    following = None
    if len(rows) == limit:
        following = CensusPlace(owner, DeliveryId(rows[-1][0]))
    elif at + 1 < len(owners):
        following = CensusPlace(owners[at + 1], DeliveryId(0))
    return QueueShares(
        tuple(QueueShare(key, queued, held, made_at(oldest)) for key, (queued, held, oldest) in counted.items()),
        following,
    )


_KEYS = {
    "domain": ("delivery.forward_path", ""),
    "tenant": (
        "message.server, message.stream, account.address",
        "JOIN message ON message.id = delivery.message LEFT JOIN account ON account.id = message.account",
    ),
    "cause": ("delivery.last_status", ""),
}


def _tenant(found: tuple[int | None, str, str | None]) -> str:
    server, stream, account = found
    if server is not None:
        return f"server {server}, stream {stream}" if stream else f"server {server}"
    return account or "nobody's"


def _cause(text: str | None) -> str:
    from postroad.content.causes import cause_of  # its patterns take a tenth of a second: not for each command

    return cause_of(status_of(text))


_READ: dict[str, Callable[[Any], str]] = {
    "domain": lambda path: path.rpartition("@")[2],
    "tenant": _tenant,
    "cause": _cause,
}


def name_providers(connection: Connection, names: Sequence[tuple[str, str]]) -> None:
    """`names` are destinations and who takes their mail."""
    connection.run_many(
        "UPDATE dest SET provider = ? WHERE name = ? AND provider <> ?",
        [(provider, dest, provider) for dest, provider in sorted(names)],
    )


def take_sample(connection: Connection, owners: Sequence[NodeId | None], now: datetime, before: datetime) -> None:
    """How much waits now; samples from before `before` go."""
    (waiting,) = connection.rows(f"SELECT COUNT(*) FROM delivery WHERE {_WAITING}")
    (held,) = connection.rows("SELECT COUNT(*) FROM delivery WHERE state = 'held'")
    queued, oldest = int(waiting[0]), None
    for owner in owners:
        term, values = ("owner IS NULL", []) if owner is None else ("owner = ?", [owner])
        (row,) = connection.rows(
            f"SELECT {'MIN(id), 0' if owner is None else 'MIN(id), COUNT(*)'} FROM delivery WHERE {term} AND {_OPEN}",
            values,
        )
        oldest = row[0] if oldest is None else min(oldest, row[0] or oldest)
        queued += int(row[1])
    connection.run(
        "INSERT INTO queue_sample (at, queued, held, oldest) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (moment(now), queued, int(held[0]), moment(made_at(oldest)) if oldest is not None else None),
    )
    connection.run("DELETE FROM queue_sample WHERE at < ?", (moment(before),))


def samples(connection: Connection, since: datetime) -> list[QueueSample]:
    rows = connection.rows(
        "SELECT at, queued, held, oldest FROM queue_sample WHERE at >= ? ORDER BY at", (moment(since),)
    )
    return [QueueSample(time_or_none(at) or since, int(q), int(h), time_or_none(oldest)) for at, q, h, oldest in rows]
