"""Deliveries: the queue as owners claim it and as people see and change it."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from postroad.adapters.sql.births import EVENT, event_row, lower_next_due
from postroad.adapters.sql.connection import Connection, Row, first, in_list, slices
from postroad.adapters.sql.names import NameCaches
from postroad.adapters.sql.repositories import summary
from postroad.adapters.sql.repositories.census import count_cells
from postroad.adapters.sql.repositories.messages import MESSAGE_COLUMNS, folded, message_of
from postroad.adapters.sql.values import (
    moment,
    moment_or_none,
    recipient_terms_of,
    status_of,
    status_text,
    time_or_none,
)
from postroad.mail.status import Status
from postroad.ports.ids import DeliveryId, MessageId, NodeId
from postroad.ports.queueing import CensusPart, CensusPlace, QueueSample, QueueShares, QueueTally
from postroad.ports.store import (
    MAX_SELECTION,
    Delivery,
    DeliveryResult,
    DeliveryState,
    Event,
    QueueEntry,
    QueueFilter,
    QueueSummary,
    Wish,
)

DELIVERY_COLUMNS = (
    "delivery.id, delivery.message, dest.name, delivery.forward_path, delivery.orig, delivery.state, delivery.due,"
    " delivery.tries, delivery.expires, delivery.last_status, delivery.owner, delivery.epoch, delivery.wish,"
    " delivery.finished, delivery.held_for, delivery.terms"
)
_WIDTH = 16
DELIVERY_FROM = "FROM delivery JOIN dest ON dest.id = delivery.dest"
_ENTRY = f"SELECT {DELIVERY_COLUMNS}, {MESSAGE_COLUMNS} {DELIVERY_FROM} JOIN message ON message.id = delivery.message"
_OPEN = "delivery.state IN ('queued', 'held')"  # as the index delivery_open says it
_MOST = 5  # senders and destinations named in a tally
_DESTINATIONS = 64  # looked at together
_LOOKS = 64  # in one claim: a unit of bulk work stays short
TWICE = "possibly sent twice: the server stopped while an attempt was under way"


def delivery_of(row: Row) -> Delivery:
    (
        number, message, dest, forward_path, orig, state, due, tries, expires, last_status, owner, epoch, wish,
        finished, held_for, terms,
    ) = row  # fmt: skip
    return Delivery(
        number, message, dest, forward_path, DeliveryState(state), orig, time_or_none(due), tries,
        time_or_none(expires), status_of(last_status), owner, epoch, Wish(wish), time_or_none(finished), held_for,
        recipient_terms_of(terms),
    )  # fmt: skip


def _entry(row: Row) -> QueueEntry:
    return QueueEntry(delivery_of(row[:_WIDTH]), message_of(row[_WIDTH:]))


def _fits(where: QueueFilter, delivery: Delivery) -> bool:
    """What SQL says of a cause is a little too wide."""
    return not where.cause or _cause_of(delivery.last_status) == where.cause


def _cause_of(status: Status | None) -> str:
    from postroad.content.causes import cause_of  # its patterns take a tenth of a second: not for each command

    return cause_of(status)


def _cause_pattern(cause: str) -> str:
    from postroad.content.causes import cause_pattern

    return cause_pattern(cause)


def _owned_by(owner: NodeId | None) -> tuple[str, list[Any]]:
    return ("delivery.owner IS NULL", []) if owner is None else ("delivery.owner = ?", [owner])


class Deliveries:
    def __init__(self, connection: Connection, names: NameCaches, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._names = names
        self._now = now

    def get(self, delivery: DeliveryId) -> Delivery | None:
        row = first(
            self._connection.rows(f"SELECT {DELIVERY_COLUMNS} {DELIVERY_FROM} WHERE delivery.id = ?", (delivery,))
        )
        return delivery_of(row) if row else None

    def of_message(self, message: MessageId) -> list[Delivery]:
        sql = f"SELECT {DELIVERY_COLUMNS} {DELIVERY_FROM} WHERE delivery.message = ? ORDER BY delivery.id"
        return [delivery_of(row) for row in self._connection.rows(sql, (message,))]

    # --- owners ---

    def claim_due(
        self,
        node: NodeId,
        epoch: int,
        *,
        now: datetime,
        limit: int,
        lease: timedelta,
        avoid: Mapping[str, datetime] | None = None,
    ) -> list[QueueEntry]:
        """Through dest(next_due), then delivery(dest, due): a global ORDER BY due would read the whole queue."""
        claimed: list[DeliveryId] = []
        looks = 0
        while len(claimed) < limit and looks < _LOOKS:
            looks += 1
            found = self._connection.rows(
                f"SELECT id, name FROM dest WHERE next_due <= ? ORDER BY next_due, id LIMIT ?{self._locking}",
                (moment(now), _DESTINATIONS),
            )
            dests = self._not_avoided(found, avoid or {}, now)
            if not dests and found:
                continue
            if not dests:
                break
            share = max(1, (limit - len(claimed)) // len(dests))
            before = len(claimed)
            for dest in dests[: limit - before]:
                taken = self._claim_of(dest, now, share)
                self._own(taken, node, epoch, now + lease)
                self._recompute_hint(dest)
                claimed += taken
            if len(claimed) == before:  # what is left is locked by another node, or hints that were out of date
                break
        return self._entries(claimed)

    def _not_avoided(self, found: Sequence[Row], avoid: Mapping[str, datetime], now: datetime) -> list[int]:
        """The hints of those to be left alone are put off, so that they do not stand before all others."""
        later = [(moment(until), number) for number, name in found if (until := avoid.get(name, now)) > now]
        if not later:
            return [row[0] for row in found]
        self._connection.run_many("UPDATE dest SET next_due = ? WHERE id = ?", later)
        return [number for number, name in found if avoid.get(name, now) <= now]

    def _claim_of(self, dest: int, now: datetime, share: int) -> list[DeliveryId]:
        rows = self._connection.rows(
            "SELECT id FROM delivery WHERE dest = ? AND state = 'queued' AND owner IS NULL AND due <= ?"
            f" ORDER BY due, id LIMIT ?{self._locking}",
            (dest, moment(now), share),
        )
        return [DeliveryId(row[0]) for row in rows]

    def _recompute_hint(self, dest: int) -> None:
        self._connection.run(
            "UPDATE dest SET next_due = (SELECT MIN(due) FROM delivery WHERE dest = ? AND state = 'queued'"
            " AND owner IS NULL) WHERE id = ?",
            (dest, dest),
        )

    @property
    def _locking(self) -> str:
        return self._connection.dialect.skip_locked

    def _own(self, deliveries: Sequence[DeliveryId], node: NodeId, epoch: int, due: datetime) -> None:
        for some in slices(deliveries):
            listed, params = in_list(some)
            self._connection.run(
                f"UPDATE delivery SET owner = ?, epoch = ?, tries = tries + 1, due = ? WHERE id IN {listed}",
                [node, epoch, moment(due), *params],
            )

    def take_back(
        self,
        node: NodeId,
        epoch: int,
        *,
        now: datetime,
        limit: int,
        lease: timedelta,
        after: DeliveryId | None = None,
    ) -> list[QueueEntry]:
        rows = self._connection.rows(
            f"SELECT id FROM delivery WHERE owner = ? AND id > ? AND {_OPEN} AND state = 'queued' AND epoch <> ?"
            f" ORDER BY id LIMIT ?{self._locking}",
            (node, after or 0, epoch, limit),
        )
        taken = [DeliveryId(row[0]) for row in rows]
        self._own(taken, node, epoch, now + lease)
        return self._entries(taken)

    def release_dead(self, *, now: datetime, limit: int) -> int:
        rows = self._connection.rows(
            f"SELECT delivery.id, delivery.dest FROM node JOIN delivery ON delivery.owner = node.id AND {_OPEN}"
            " AND delivery.state = 'queued' WHERE node.lease_until < ? LIMIT ?",
            (moment(now), limit),
        )
        for some in slices([row[0] for row in rows]):
            listed, params = in_list(some)
            self._connection.run(
                f"UPDATE delivery SET owner = NULL, due = ? WHERE id IN {listed}", [moment(now), *params]
            )
        lower_next_due(self._connection, {row[1]: moment(now) for row in rows})
        return len(rows)

    def owned(self, node: NodeId, epoch: int, *, after: DeliveryId | None, limit: int) -> list[QueueEntry]:
        sql = (
            f"{_ENTRY} WHERE delivery.owner = ? AND delivery.id > ? AND {_OPEN} AND delivery.state = 'queued'"
            " AND delivery.epoch = ? ORDER BY delivery.id LIMIT ?"
        )
        return [_entry(row) for row in self._connection.rows(sql, (node, after or 0, epoch, limit))]

    def next_due(self, *, after: datetime) -> datetime | None:
        row = first(self._connection.rows("SELECT MIN(next_due) FROM dest WHERE next_due > ?", (moment(after),)))
        return time_or_none(row[0]) if row else None

    def wishes(self, node: NodeId, epoch: int) -> list[tuple[DeliveryId, Wish]]:
        rows = self._connection.rows(
            f"SELECT id, wish FROM delivery WHERE owner = ? AND {_OPEN} AND epoch = ? AND wish <> '' ORDER BY id",
            (node, epoch),
        )
        return [(DeliveryId(number), Wish(wish)) for number, wish in rows]

    def open_before_crash(self, deliveries: Sequence[DeliveryId]) -> None:
        status = status_text(status_of('[451,"4.4.2",' + f'"{TWICE}","","",""]'))
        for some in slices(deliveries):
            listed, params = in_list(some)
            self._connection.run(
                f"UPDATE delivery SET last_status = ? WHERE id IN {listed} AND {_OPEN}", [status, *params]
            )

    def _entries(self, deliveries: Sequence[DeliveryId]) -> list[QueueEntry]:
        found: dict[DeliveryId, QueueEntry] = {}
        for some in slices(deliveries):
            listed, params = in_list(some)
            for row in self._connection.rows(f"{_ENTRY} WHERE delivery.id IN {listed}", params):
                found[row[0]] = _entry(row)
        return [found[delivery] for delivery in deliveries if delivery in found]

    # --- people ---

    def queue(self, where: QueueFilter, *, after: DeliveryId | None = None, limit: int = 50) -> list[QueueEntry]:
        """By id."""
        found: list[QueueEntry] = []
        while len(found) < limit:
            page = self._page(where, after, limit)
            found += (entry for entry in page if _fits(where, entry.delivery))
            if len(page) < limit:
                break
            after = page[-1].delivery.id
        return found[:limit]

    def _page(self, where: QueueFilter, after: DeliveryId | None, limit: int) -> list[QueueEntry]:
        """What the conditions find, by id; `cause` is still to be looked at."""
        condition, params = self._condition(where)
        sql = f"{_ENTRY} WHERE {condition} AND delivery.id > ?{{}} ORDER BY delivery.id LIMIT ?"
        if where.message is not None or where.delivery is not None or where.deliveries:  # found without a walk
            return [_entry(row) for row in self._connection.rows(sql.format(""), [*params, after or 0, limit])]
        rows: list[Row] = []
        for owner in self._owners():
            term, values = _owned_by(owner)
            rows += self._connection.rows(sql.format(f" AND {term}"), [*params, after or 0, *values, limit])
        return [_entry(row) for row in sorted(rows, key=itemgetter(0))[:limit]]

    def _owners(self) -> list[NodeId | None]:
        """Whose rows the queue has: with an owner, the index of what is open is walked by id, and finished rows, of
        which there are many more, are not looked at."""
        owners: list[NodeId | None] = [None]
        while True:
            sql = f"SELECT MIN(owner) FROM delivery WHERE owner > ? AND {_OPEN}"
            ((owner,),) = self._connection.rows(sql, (owners[-1] or 0,))
            if owner is None:
                return owners
            owners.append(NodeId(owner))

    def _condition(self, where: QueueFilter) -> tuple[str, list[Any]]:
        terms: list[str] = [_OPEN]
        params: list[Any] = []

        def add(term: str, values: Sequence[Any]) -> None:
            terms.append(term)
            params.extend(values)

        for column, value in (
            ("delivery.message", where.message),
            ("delivery.id", where.delivery),
            ("dest.name", where.dest or None),
            ("delivery.state", where.state.value if where.state else None),
            ("message.account", where.account),
            ("message.token", where.token),
            ("message.server", where.server),
            ("message.stream", where.stream or None),
            ("message.tag", where.tag or None),
            ("dest.provider", where.provider or None),
        ):
            if value is not None:
                add(f"{column} = ?", [value])
        if where.deliveries:
            listed, values = in_list(where.deliveries[:MAX_SELECTION])
            add(f"delivery.id IN {listed}", values)
        if where.domain:
            term, values = folded(self._connection, ("delivery.forward_path",), "@" + where.domain)
            add(term, [value.rstrip("%") for value in values])  # the domain is the end of the path
        if where.recipient:
            add(*folded(self._connection, ("delivery.forward_path",), where.recipient))
        if where.sender:
            add(*folded(self._connection, ("message.reverse_path",), where.sender))
        if where.held_for:
            add("delivery.held_for LIKE ?", [f"{where.held_for}%"])
        if where.older_than is not None:
            add("message.created < ?", [moment(self._now() - where.older_than)])
        if where.younger_than is not None:
            add("message.created >= ?", [moment(self._now() - where.younger_than)])
        if where.cause:
            add("delivery.last_status LIKE ? ESCAPE '!'", [_cause_pattern(where.cause)])
        elif where.cause is not None:
            add("delivery.last_status IS NULL", [])
        return " AND ".join(terms), params

    def census(self, place: CensusPlace | None, bands: Sequence[datetime], limit: int) -> CensusPart:
        """Owner by owner, by id: each slice costs what it counts, however much is finished."""
        owners = self._owners()
        owner, after = place or CensusPlace(None, DeliveryId(0))
        at = owners.index(owner) if owner in owners else 0
        term, values = _owned_by(owner)
        rows = self._connection.rows(
            "SELECT delivery.id, dest.name, delivery.state, delivery.last_status, delivery.due, delivery.message"
            f" {DELIVERY_FROM} WHERE {_OPEN} AND {term} AND delivery.id > ? ORDER BY delivery.id LIMIT ?",
            [*values, after, limit],
        )
        following: CensusPlace | None = None
        if len(rows) == limit:
            following = CensusPlace(owner, DeliveryId(rows[-1][0]))
        elif at + 1 < len(owners):
            following = CensusPlace(owners[at + 1], DeliveryId(0))
        return CensusPart(tuple(count_cells(rows, bands)), following)

    def tally(self, where: QueueFilter, limit: int) -> QueueTally:
        condition, params = self._condition(where)
        rows = self._connection.rows(
            f"SELECT delivery.message, message.reverse_path, dest.name, delivery.last_status {DELIVERY_FROM}"
            f" JOIN message ON message.id = delivery.message WHERE {condition} LIMIT ?",
            [*params, limit + 1],
        )
        counted = [row for row in rows[:limit] if where.cause is None or _cause_of(status_of(row[3])) == where.cause]
        return QueueTally(
            len(counted),
            len({row[0] for row in counted}),
            tuple(Counter(row[1] for row in counted).most_common(_MOST)),
            tuple(Counter(row[2] for row in counted).most_common(_MOST)),
            more=len(rows) > limit,
        )

    def depth(self) -> tuple[int, DeliveryId | None]:
        count, oldest = self._connection.rows(
            "SELECT COUNT(*), MIN(id) FROM delivery WHERE state IN ('queued', 'held')"
        )[0]
        return int(count), oldest

    def summary(self) -> list[QueueSummary]:
        """Busiest first."""
        return summary.by_destination(self._connection, self._owners())

    def ages(self, bands: Sequence[datetime]) -> list[tuple[int, DeliveryId | None]]:
        found = summary.by_age(self._connection, self._owners(), bands)
        return [(count, None if oldest is None else DeliveryId(oldest)) for count, oldest in found]

    def shares(self, by: str, place: CensusPlace | None, limit: int) -> QueueShares:
        return summary.shares(self._connection, by, self._owners(), place, limit)

    def name_providers(self, names: Sequence[tuple[str, str]]) -> None:
        summary.name_providers(self._connection, names)

    def take_sample(self, now: datetime, before: datetime) -> None:
        summary.take_sample(self._connection, self._owners(), now, before)

    def samples(self, since: datetime) -> list[QueueSample]:
        return summary.samples(self._connection, since)

    def set_dest(self, dests: Sequence[tuple[DeliveryId, str]]) -> None:
        numbers = self._names.dests.ids(self._connection, {dest for _, dest in dests})
        self._connection.run_many(
            "UPDATE delivery SET dest = ? WHERE id = ?", [(numbers[dest], delivery) for delivery, dest in dests]
        )

    def ask_unowned(self, deliveries: Sequence[DeliveryId], wish: Wish, *, now: datetime) -> int:
        changed: dict[int, int] = {}
        for some in slices(deliveries):
            listed, params = in_list(some)
            changed |= dict(
                self._connection.rows(
                    f"UPDATE delivery SET wish = ?, due = ? WHERE id IN {listed} AND owner IS NULL"
                    " AND state = 'queued' RETURNING id, dest",
                    [wish.value, moment(now), *params],
                )
            )
        lower_next_due(self._connection, dict.fromkeys(changed.values(), moment(now)))
        return len(changed)

    def wish(self, where: QueueFilter, wish: Wish, *, after: DeliveryId | None, limit: int) -> list[DeliveryId]:
        condition, params = self._condition(where)
        rows = self._connection.rows(
            f"SELECT delivery.id {DELIVERY_FROM} JOIN message ON message.id = delivery.message WHERE {condition}"
            " AND delivery.owner IS NOT NULL AND delivery.id > ? ORDER BY delivery.id LIMIT ?",
            [*params, after or 0, limit],
        )
        wished = [DeliveryId(row[0]) for row in rows]
        for some in slices(wished):
            listed, values = in_list(some)
            self._connection.run(f"UPDATE delivery SET wish = ? WHERE id IN {listed}", [wish.value, *values])
        return wished

    def set_unowned(self, results: Sequence[DeliveryResult], events: Sequence[Event]) -> int:
        dests = self._names.dests.ids(self._connection, {r.dest for r in results if r.dest is not None})
        changed: dict[DeliveryId, int] = dict(
            self._connection.returning_many(
                "UPDATE delivery SET state = ?, last_status = COALESCE(?, last_status), tries = ?, due = ?,"
                f" dest = COALESCE(?, dest), finished = ?, held_for = ?, wish = '' WHERE id = ? AND owner IS NULL"
                f" AND {_OPEN.replace('delivery.', '')} RETURNING id, dest",
                [
                    (
                        r.state.value, status_text(r.status), r.tries, moment_or_none(r.due),
                        None if r.dest is None else dests[r.dest], moment_or_none(r.finished), r.held_for, r.delivery,
                    )
                    for r in results
                ],
            )
        )  # fmt: skip
        meant = {result.delivery for result in results}
        told = [event for event in events if event.delivery not in meant or event.delivery in changed]
        self._connection.insert("event", EVENT, [event_row(event) for event in told])
        due: dict[int, int] = {}
        for result in results:
            if result.delivery in changed and result.state is DeliveryState.QUEUED and result.due is not None:
                dest = changed[result.delivery]
                due[dest] = min(moment(result.due), due.get(dest, moment(result.due)))
        lower_next_due(self._connection, due)
        return len(changed)
