"""Searching messages in the rows themselves: what no index has seen yet, and what decides in the end.

Conditions on texts are a little too wide here (a word's beginning is not looked at), never too narrow.
"""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from postroad.adapters.search.proposals import MAX_ID, bounds
from postroad.adapters.sql.connection import Connection, Row, first, in_list
from postroad.adapters.sql.repositories.deliveries import DELIVERY_COLUMNS, DELIVERY_FROM, delivery_of
from postroad.adapters.sql.repositories.messages import MESSAGE_COLUMNS, folded, message_of
from postroad.adapters.sql.values import contains, json_text, moment, status_of
from postroad.ports.ids import EventId, MessageId
from postroad.ports.search import FoundMessage, MessageQuery, SearchFacts, SearchField, SearchTerm, Walk
from postroad.ports.store import Delivery, DeliveryState, Message

_RECIPIENT = ("delivery.forward_path", "delivery.orig")
_COLUMNS = {
    SearchField.SENDER: ("message.reverse_path", "message.header_from"),
    SearchField.SUBJECT: ("message.subject",),
    SearchField.IDENT: ("message.message_id",),
    SearchField.TAG: ("message.tag",),
}
_IN_DELIVERIES = (SearchField.RECIPIENT, SearchField.REPLY)

_Condition = tuple[str, list[Any]]


class SearchRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def walk(self, query: MessageQuery, *, below: MessageId | None, above: MessageId, limit: int, window: int) -> Walk:
        bottom, top = bounds(query, below, above)
        low = self._end_of_window(top, bottom, window) if query.is_selective else None
        terms, params = self._conditions(query, query.terms)
        condition = " AND ".join(["message.id < ?", "message.id >= ?", *terms])
        rows = self._connection.rows(
            f"SELECT message.id FROM message WHERE {condition} ORDER BY message.id DESC LIMIT ?",
            [top, bottom if low is None else low, *params, limit],
        )
        found = [MessageId(row[0]) for row in rows]
        return Walk(found, found[-1] if len(found) == limit else low)

    def _end_of_window(self, top: int, bottom: int, window: int) -> MessageId | None:
        """The last of so many rows; None where there are fewer."""
        row = first(
            self._connection.rows(
                "SELECT id FROM message WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1 OFFSET ?",
                (top, bottom, window - 1),
            )
        )
        return MessageId(row[0]) if row else None

    def touched(self, since: EventId, *, below: MessageId | None, under: MessageId) -> list[MessageId]:
        # The sums keep the engine from walking the index of messages, which has every event.
        rows = self._connection.rows(
            "SELECT DISTINCT message + 0 FROM event WHERE id >= ? AND message + 0 < ? ORDER BY 1 DESC",
            (since, min(under, MAX_ID if below is None else below)),
        )
        return [MessageId(row[0]) for row in rows]

    def facts(self, query: MessageQuery, ids: Sequence[MessageId]) -> list[SearchFacts]:
        listed, params = in_list(ids)
        terms, values = self._conditions(query, ())
        condition = " AND ".join([f"message.id IN {listed}", *terms])
        rows = self._connection.rows(
            f"SELECT {MESSAGE_COLUMNS} FROM message WHERE {condition} ORDER BY message.id DESC", [*params, *values]
        )
        recipients = self._texts(query, SearchField.RECIPIENT, ids, _recipients)
        replies = self._texts(query, SearchField.REPLY, ids, _replies)
        messages = [message_of(row) for row in rows]
        return [
            SearchFacts(message, tuple(recipients.get(message.id, ())), tuple(replies.get(message.id, ())))
            for message in messages
        ]

    def found(self, messages: Sequence[Message], each: int) -> list[FoundMessage]:
        if not messages:
            return []
        listed, params = in_list([message.id for message in messages])
        states: dict[int, dict[DeliveryState, int]] = {}
        for number, state, count in self._connection.rows(
            f"SELECT message, state, COUNT(*) FROM delivery WHERE message IN {listed} GROUP BY message, state", params
        ):
            states.setdefault(number, {})[DeliveryState(state)] = count
        deliveries: dict[int, list[Delivery]] = {}
        for row in self._connection.rows(
            f"SELECT {DELIVERY_COLUMNS} {DELIVERY_FROM} WHERE delivery.id IN (SELECT id FROM (SELECT id,"
            f" ROW_NUMBER() OVER (PARTITION BY message ORDER BY id) AS place FROM delivery WHERE message IN {listed})"
            " AS placed WHERE place <= ?) ORDER BY delivery.id",
            [*params, each],
        ):
            deliveries.setdefault(row[1], []).append(delivery_of(row))
        return [
            FoundMessage(message, deliveries.get(message.id, []), sum(counts.values()), counts)
            for message in messages
            for counts in (states.get(message.id, {}),)
        ]

    def owner_of(self, number: int) -> MessageId | None:
        row = first(
            self._connection.rows(
                "SELECT id FROM message WHERE id = ? UNION ALL SELECT message FROM delivery WHERE id = ?",
                (number, number),
            )
        )
        return MessageId(row[0]) if row else None

    def _conditions(self, query: MessageQuery, texts: Sequence[SearchTerm]) -> tuple[list[str], list[Any]]:
        conditions = [*self._facets(query), *(self._term(term) for term in texts)]
        return [term for term, _ in conditions], [value for _, values in conditions for value in values]

    def _facets(self, query: MessageQuery) -> list[_Condition]:
        found: list[_Condition] = []
        for column, value in (
            ("message.created >= ?", moment(query.since) if query.since else None),
            ("message.created < ?", moment(query.until) if query.until else None),
            ("message.stream = ?", query.stream or None),
            ("message.server = ?", query.server_id),
        ):
            if value is not None:
                found.append((column, [value]))
        if query.ids:
            found.append(("message.id >= ? AND message.id < ?", [query.ids[0], min(query.ids[1], MAX_ID)]))
        if query.states or query.deferred:
            found.append(self._some_state(query))
        return found

    def _some_state(self, query: MessageQuery) -> _Condition:
        terms: list[str] = []
        params: list[Any] = []
        if query.states:
            terms.append(f"delivery.state IN ({','.join('?' * len(query.states))})")
            params += [state.value for state in query.states]
        if query.deferred:
            terms.append("(delivery.state = 'queued' AND delivery.last_status IS NOT NULL)")
        return f"{_OF_MESSAGE} AND ({' OR '.join(terms)}))", params

    def _term(self, term: SearchTerm) -> _Condition:
        conditions = []
        columns = [column for field in term.fields for column in _COLUMNS.get(field, ())]
        if columns:
            conditions.append(folded(self._connection, columns, term.text))
        for field in _IN_DELIVERIES:
            if field in term.fields:
                condition, params = self._delivery_text(field, term.text)
                conditions.append((f"{_OF_MESSAGE} AND {condition})", params))
        return _any(conditions)

    def _delivery_text(self, field: SearchField, text: str) -> _Condition:
        if field is SearchField.RECIPIENT:
            return folded(self._connection, _RECIPIENT, text)
        pieces = [self._reply_piece(piece) for piece in text.split()] or [("1 = 1", [])]
        return "(" + " AND ".join(term for term, _ in pieces) + ")", [value for _, params in pieces for value in params]

    def _reply_piece(self, piece: str) -> _Condition:
        """A status is kept as JSON, its parts side by side."""
        fold = "lower" if piece.isascii() else self._connection.dialect.fold
        return f"{fold}(delivery.last_status) LIKE ? ESCAPE '!'", [contains(json_text(piece)[1:-1].lower())]

    def _texts(
        self,
        query: MessageQuery,
        field: SearchField,
        ids: Sequence[MessageId],
        read: Callable[[Row], list[str]],
    ) -> dict[int, list[str]]:
        """Texts of one field that stand with the recipients and may fit a term, by message."""
        terms = [term for term in query.terms if field in term.fields]
        if not terms:
            return {}
        listed, params = in_list(ids)
        condition, values = _any([self._delivery_text(field, term.text) for term in terms])
        texts: dict[int, list[str]] = {}
        for row in self._connection.rows(
            "SELECT delivery.message, delivery.forward_path, delivery.orig, delivery.last_status FROM delivery"
            f" WHERE delivery.message IN {listed} AND {condition}",
            [*params, *values],
        ):
            texts.setdefault(row[0], []).extend(read(row))
        return texts


_OF_MESSAGE = "EXISTS (SELECT 1 FROM delivery WHERE delivery.message = message.id"


def _any(conditions: Sequence[_Condition]) -> _Condition:
    return (
        "(" + " OR ".join(term for term, _ in conditions) + ")",
        [value for _, params in conditions for value in params],
    )


def _recipients(row: Row) -> list[str]:
    return [text for text in row[1:3] if text]


def _replies(row: Row) -> list[str]:
    status = status_of(row[3])
    return [f"{status} {status.cause} {status.remote} {status.diagnostic} {status.reason}"] if status else []
