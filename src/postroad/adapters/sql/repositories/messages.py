"""Messages, their events and refused attempts: what people search."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from postroad.adapters.ids import first_id_at
from postroad.adapters.sql.births import EVENT, MESSAGE, TERMS, event_row
from postroad.adapters.sql.connection import Connection, Row, in_list, slices
from postroad.adapters.sql.values import (
    clean,
    contains,
    json_value,
    moment,
    origin_of,
    status_of,
    terms_of,
    time_of,
)
from postroad.mail.envelope import BodyFlag
from postroad.mail.status import Status
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import AccountId, AttemptId, BlobId, DeliveryId, EventId, MessageId, ServerId, TokenId
from postroad.ports.store import Attempt, Event, Message, MessageFilter, Refusal

MESSAGE_COLUMNS = ", ".join(f"message.{name}" for name in MESSAGE + TERMS)
_EVENT_COLUMNS = ", ".join(EVENT)
_REFUSAL = (
    "at", "service", "connection", "client", "helo", "account", "reverse_path", "recipient", "stage", "reply_code",
    "enhanced", "text", "cause",
)  # fmt: skip
_NOTHING: dict[str, str] = {}
_SEARCHED = ("connection", "client", "helo", "account", "reverse_path", "recipient", "text", "cause")


def message_of(row: Row) -> Message:
    (
        number, created, origin, reverse_path, size, flags, blob, header_size, subject, header_from, message_id,
        body_type, account, bounce_of, server, stream, tag, metadata, token, terms,
    ) = row  # fmt: skip
    return Message(
        MessageId(number), time_of(created), origin_of(origin), reverse_path, size, BodyFlag(flags), BlobId(blob),
        header_size, subject, header_from, message_id, body_type,
        None if account is None else AccountId(account), None if bounce_of is None else MessageId(bounce_of),
        None if server is None else ServerId(server), stream, tag, json_value(metadata) if metadata else _NOTHING,
        terms_of(terms), None if token is None else TokenId(token),
    )  # fmt: skip


def _event(row: Row) -> Event:
    number, at, kind, message, delivery, detail = row
    return Event(EventId(number), time_of(at), kind, message, delivery, json_value(detail))


def folded(connection: Connection, columns: Sequence[str], text: str) -> tuple[str, list[Any]]:
    """A condition: `text` anywhere in one of the columns, without regard to case."""
    fold = "lower" if text.isascii() else connection.dialect.fold
    needle = contains(text.lower())
    terms = [f"{fold}({column}) LIKE ? ESCAPE '!'" for column in columns]
    return "(" + " OR ".join(terms) + ")", [needle] * len(columns)


class Messages:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, message: MessageId) -> Message | None:
        rows = self._connection.rows(f"SELECT {MESSAGE_COLUMNS} FROM message WHERE id = ?", (message,))
        return message_of(rows[0]) if rows else None

    def search(self, where: MessageFilter, *, after: MessageId | None = None, limit: int = 50) -> list[Message]:
        """Newest first: the primary key is walked downwards, so that a page costs what it has to look at."""
        terms, params = self._terms(where)
        if after is not None:
            terms.append("message.id < ?")
            params.append(after)
        condition = " AND ".join(terms) or "1 = 1"
        sql = f"SELECT {MESSAGE_COLUMNS} FROM message WHERE {condition} ORDER BY message.id DESC LIMIT ?"
        return [message_of(row) for row in self._connection.rows(sql, [*params, limit])]

    def _terms(self, where: MessageFilter) -> tuple[list[str], list[Any]]:
        terms: list[str] = []
        params: list[Any] = []

        def add(term: str, values: Sequence[Any]) -> None:
            terms.append(term)
            params.extend(values)

        for text, columns in (
            (where.sender, ("message.reverse_path",)),
            (where.subject, ("message.subject",)),
            (where.message_id, ("message.message_id",)),
        ):
            if text:
                add(*folded(self._connection, columns, text))
        if where.recipient:
            add(*self._recipient(where.recipient))
        if where.address:
            sender, sender_params = folded(self._connection, ("message.reverse_path",), where.address)
            recipient, recipient_params = self._recipient(where.address)
            add(f"({sender} OR {recipient})", [*sender_params, *recipient_params])
        if where.state:
            add(
                "EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND delivery.state = ?)",
                [where.state.value],
            )
        if where.since:
            add("message.created >= ?", [moment(where.since)])
        if where.until:
            add("message.created < ?", [moment(where.until)])
        return terms, params

    def _recipient(self, text: str) -> tuple[str, list[Any]]:
        term, params = folded(self._connection, ("delivery.forward_path", "delivery.orig"), text)
        return f"EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id AND {term})", params

    def recent_hosts(self, since: datetime, limit: int) -> list[str]:
        rows = self._connection.rows(
            "SELECT host FROM attempt WHERE id >= ? ORDER BY id DESC LIMIT ?", (first_id_at(since), limit)
        )
        return [host for (host,) in rows]

    def attempts(self, message: MessageId) -> list[tuple[Attempt, dict[DeliveryId, Status]]]:
        statuses: dict[int, dict[DeliveryId, Status]] = {}
        for attempt, delivery, status in self._connection.rows(
            "SELECT attempt, delivery, status FROM delivery_attempt"
            " WHERE delivery IN (SELECT id FROM delivery WHERE message = ?)",
            (message,),
        ):
            found = status_of(status)
            if found:
                statuses.setdefault(attempt, {})[DeliveryId(delivery)] = found
        return [
            (
                Attempt(
                    AttemptId(number), message, time_of(started), time_of(ended), host, address, tls,
                    json_value(timings), dialogue,
                ),
                statuses.get(number, {}),
            )
            for number, started, ended, host, address, tls, timings, dialogue in self._connection.rows(
                "SELECT id, started, ended, host, address, tls, timings, dialogue FROM attempt WHERE id IN"
                " (SELECT attempt FROM delivery_attempt WHERE delivery IN (SELECT id FROM delivery WHERE message = ?))"
                " ORDER BY started, id",
                (message,),
            )
        ]  # fmt: skip

    def place(self, blob: BlobId) -> BlobPlace | None:
        return self.places((blob,)).get(blob)

    def places(self, blobs: Sequence[BlobId]) -> dict[BlobId, BlobPlace]:
        found: dict[BlobId, BlobPlace] = {}
        for some in slices(blobs):
            listed, params = in_list(some)
            for number, *place in self._connection.rows(
                "SELECT blob.id, segment.name, blob.start, blob.length FROM blob"
                f" JOIN segment ON segment.id = blob.segment WHERE blob.id IN {listed}",
                params,
            ):
                found[BlobId(number)] = BlobPlace(*place)
        return found


class Events:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, events: Sequence[Event]) -> None:
        self._connection.insert("event", EVENT, [event_row(event) for event in events])

    def of_message(self, message: MessageId) -> list[Event]:
        rows = self._connection.rows(
            f"SELECT {_EVENT_COLUMNS} FROM event WHERE message = ? ORDER BY at, id", (message,)
        )
        return [_event(row) for row in rows]

    def since(self, after: EventId | None, limit: int) -> list[Event]:
        rows = self._connection.rows(
            f"SELECT {_EVENT_COLUMNS} FROM event WHERE id > ? ORDER BY id LIMIT ?", (after or 0, limit)
        )
        return [_event(row) for row in rows]


class Refusals:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, refusals: Sequence[Refusal]) -> None:
        rows: list[Row] = [
            (moment(refusal.at), *(_cleaned(getattr(refusal, name)) for name in _REFUSAL[1:])) for refusal in refusals
        ]
        self._connection.insert("refusal", _REFUSAL, rows)

    def search(self, *, text: str = "", since: datetime | None = None, limit: int = 50) -> list[Refusal]:
        """Newest first."""
        terms, params = ["at >= ?"], [moment(since) if since else 0]
        if text:
            term, values = folded(self._connection, _SEARCHED, text)
            terms.append(term)
            params += values
        rows = self._connection.rows(
            f"SELECT {', '.join(_REFUSAL)} FROM refusal WHERE {' AND '.join(terms)} ORDER BY at DESC, id DESC LIMIT ?",
            [*params, limit],
        )
        return [Refusal(time_of(at), *rest) for at, *rest in rows]


def _cleaned(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value
