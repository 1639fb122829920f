"""The first hot path: rows of accepted messages, set-wise for a whole group.

Also how rows enter a mailbox (uids, mod-sequences, counters), which APPEND and the like share through the repositories.
"""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from postroad.adapters.sql.connection import Connection, Row, in_list, slices
from postroad.adapters.sql.names import NameCaches
from postroad.adapters.sql.repositories.sending import Idempotency
from postroad.adapters.sql.values import clean, json_text, moment, moment_or_none, origin_text, status_text
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import MailboxId, MessageId, Uid
from postroad.ports.store import (
    Acceptance,
    Accepted,
    Content,
    Delivery,
    DeliveryState,
    Event,
    MailboxAppend,
    Message,
    NewMailboxMessage,
    Refused,
    SystemFlag,
)

MESSAGE = (
    "id", "created", "origin", "reverse_path", "size", "flags", "blob", "header_size", "subject", "header_from",
    "message_id", "body_type", "account", "bounce_of", "server", "stream", "tag", "metadata",
    "token",
)  # fmt: skip
DELIVERY = (
    "id", "message", "dest", "forward_path", "orig", "state", "due", "tries", "expires", "last_status", "owner",
    "epoch", "wish", "finished", "held_for",
)  # fmt: skip
TERMS = ("terms",)  # columns that only the few rows have that need them
BLOB = ("id", "segment", "start", "length")
EVENT = ("id", "at", "kind", "message", "delivery", "detail")
CONTENT = (
    "id", "renderer", "size", "header_size", "envelope", "bodystructure", "body", "sections", "message_id", "subject",
    "sent",
)  # fmt: skip
MAILBOX_MESSAGE = (
    "mailbox", "uid", "blob", "flags", "keywords", "modseq", "born", "internal_date", "size", "prefix", "message",
)  # fmt: skip


class _Moments:
    """`moment` for a group, whose records live meanwhile: one acceptance repeats the same few times in many rows."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[int, int] = {}

    def __call__(self, time: datetime | None) -> int | None:
        if time is None:
            return None
        found = self._found.get(id(time))
        if found is None:
            found = self._found[id(time)] = moment(time)
        return found


def message_row(message: Message, moment_of: _Moments) -> Row:
    return (
        message.id, moment_of(message.created), origin_text(message.origin), clean(message.reverse_path), message.size,
        int(message.flags), message.blob, message.header_size, clean(message.subject), clean(message.header_from),
        clean(message.message_id), message.body_type, message.account, message.bounce_of, message.server,
        message.stream, clean(message.tag), clean(json_text(message.metadata)) if message.metadata else "",
        message.token,
    )  # fmt: skip


def delivery_row(delivery: Delivery, dest: int, moment_of: _Moments) -> Row:
    return (
        delivery.id, delivery.message, dest, clean(delivery.forward_path), clean(delivery.orig), delivery.state._value_,
        moment_of(delivery.due), delivery.tries, moment_of(delivery.expires), status_text(delivery.last_status),
        delivery.owner, delivery.epoch, delivery.wish._value_, moment_of(delivery.finished), delivery.held_for,
    )  # fmt: skip


def event_row(event: Event, moment_of: _Moments | None = None) -> Row:
    at = moment_of(event.at) if moment_of else moment(event.at)
    return (event.id, at, str(event.kind), event.message, event.delivery, json_text(event.detail))


def content_row(content: Content) -> Row:
    return (
        content.blob, content.renderer, content.size, content.header_size, content.envelope, content.bodystructure,
        content.body, content.sections, clean(content.message_id), clean(content.subject), moment_or_none(content.sent),
    )  # fmt: skip


def insert_group(
    connection: Connection, names: NameCaches, group: Sequence[tuple[Acceptance, BlobPlace]]
) -> list[Accepted]:
    """Write all rows of a group of acceptances. Any error leaves the caller to roll back and try them one by one."""
    moment_of = _Moments()
    segments = names.segments.ids(connection, {place.segment for _, place in group})
    dests = names.dests.ids(connection, {d.dest for acceptance, _ in group for d in acceptance.deliveries})
    blobs: list[Row] = []
    messages: list[Row] = []
    deliveries: list[Row] = []
    messages_asked: list[Row] = []  # the same with what their senders asked for
    deliveries_asked: list[Row] = []
    events: list[Row] = []
    unowned: dict[int, int] = {}
    for acceptance, place in group:
        message = acceptance.message
        blobs.append((message.blob, segments[place.segment], place.offset, place.length))
        if message.terms is None:
            messages.append(message_row(message, moment_of))
        else:
            messages_asked.append((*message_row(message, moment_of), clean(json_text(message.terms))))
        for delivery in acceptance.deliveries:
            row = delivery_row(delivery, dests[delivery.dest], moment_of)
            if delivery.terms is None:
                deliveries.append(row)
            else:
                deliveries_asked.append((*row, clean(json_text(delivery.terms))))
            if delivery.owner is None and delivery.state is DeliveryState.QUEUED and row[6] is not None:
                unowned[row[2]] = min(row[6], unowned.get(row[2], row[6]))
        events += [event_row(event, moment_of) for event in acceptance.events]
    connection.insert("blob", BLOB, blobs)
    connection.insert("message", MESSAGE, messages)
    connection.insert("delivery", DELIVERY, deliveries)
    if messages_asked:
        connection.insert("message", MESSAGE + TERMS, messages_asked)
    if deliveries_asked:
        connection.insert("delivery", DELIVERY + TERMS, deliveries_asked)
    connection.insert("event", EVENT, events)
    _keep_answers(connection, group)
    lower_next_due(connection, unowned)
    return _enter_mailboxes(connection, group)


def _keep_answers(connection: Connection, group: Sequence[tuple[Acceptance, BlobPlace]]) -> None:
    """What was answered to a request with a key is kept with what it asked for, or neither is."""
    for acceptance, _ in group:
        record = acceptance.idempotency
        if record is not None and not Idempotency(connection).put(record, acceptance.message.created):
            raise Refused("another request with this idempotency key was carried out meanwhile")


def lower_next_due(connection: Connection, due: dict[int, int]) -> None:
    """The hint of each destination: no later than these. Births that have an owner never come here."""
    if due:
        connection.run_many(
            "UPDATE dest SET next_due = ? WHERE id = ? AND (next_due IS NULL OR next_due > ?)",
            [(time, dest, time) for dest, time in sorted(due.items())],
        )


def _enter_mailboxes(connection: Connection, group: Sequence[tuple[Acceptance, BlobPlace]]) -> list[Accepted]:
    entering: list[tuple[NewMailboxMessage, MessageId | None]] = []
    contents: list[Row] = []
    for acceptance, _ in group:
        if acceptance.local:
            entering += [(new, new.message or acceptance.message.id) for new in acceptance.local]
            if acceptance.rendered:
                contents.append(content_row(acceptance.rendered))
    if not entering:
        return [Accepted()] * len(group)
    connection.insert("content", CONTENT, contents, "ON CONFLICT (id) DO NOTHING")
    uids = iter(enter(connection, entering))
    return [Accepted(uids=tuple(next(uids) for _ in acceptance.local)) for acceptance, _ in group]


def insert_appended(
    connection: Connection, names: NameCaches, group: Sequence[tuple[MailboxAppend, BlobPlace]]
) -> list[Uid]:
    """What APPEND brings, for a whole group."""
    segments = names.segments.ids(connection, {place.segment for _, place in group})
    blobs = [(append.blob, segments[place.segment], place.offset, place.length) for append, place in group]
    connection.insert("blob", BLOB, blobs)
    rendered = [content_row(append.rendered) for append, _ in group]
    connection.insert("content", CONTENT, rendered, "ON CONFLICT (id) DO NOTHING")
    return enter(connection, [(append.local, append.local.message) for append, _ in group])


def enter(
    connection: Connection,
    entering: Sequence[tuple[NewMailboxMessage, MessageId | None]],
    present: dict[tuple[MailboxId, MessageId], Uid] | None = None,
) -> list[Uid]:
    """Give each its UID and mod-sequence, write the rows, and let the counters of mailbox and account follow.

    A second one for the same (mailbox, message), here or in `present`, finds the first.
    """
    once = dict(present or {})
    fresh: list[tuple[NewMailboxMessage, MessageId | None]] = []
    claimed: set[tuple[MailboxId, MessageId]] = set(once)
    for new, message in entering:
        if message is None or (new.mailbox, message) not in claimed:
            fresh.append((new, message))
            if message is not None:
                claimed.add((new.mailbox, message))
    rows, given = _numbered(fresh, _advance(connection, fresh))
    connection.insert("mailbox_message", MAILBOX_MESSAGE, rows)
    uids: list[Uid] = []
    following = iter(given)
    for new, message in entering:
        first = once.get((new.mailbox, message)) if message is not None else None
        if first is None:
            first = next(following)
            if message is not None:
                once[new.mailbox, message] = first
        uids.append(first)
    return uids


def _numbered(
    fresh: Sequence[tuple[NewMailboxMessage, MessageId | None]], starts: dict[MailboxId, list[int]]
) -> tuple[list[Row], list[Uid]]:
    rows: list[Row] = []
    uids: list[Uid] = []
    moment_of = _Moments()
    for new, message in fresh:
        start = starts[new.mailbox]
        uid, modseq = start
        start[0] += 1
        start[1] += 1
        rows.append((
            new.mailbox, uid, new.blob, new.flags, " ".join(new.keywords) if new.keywords else "", modseq, modseq,
            moment_of(new.internal_date), new.size, new.prefix, message,
        ))  # fmt: skip
        uids.append(Uid(uid))
    return rows, uids


def _advance(
    connection: Connection, fresh: Sequence[tuple[NewMailboxMessage, MessageId | None]]
) -> dict[MailboxId, list[int]]:
    """Move the counters of each mailbox once for the whole group; the first UID and mod-sequence that it gave."""
    totals: dict[MailboxId, list[int]] = {}
    for new, _ in fresh:
        total = totals.setdefault(new.mailbox, [0, 0, 0])
        total[0] += 1
        total[1] += not new.flags & SystemFlag.SEEN
        total[2] += new.size
    if not totals:
        return {}
    moved = connection.update_from(
        "UPDATE mailbox SET uid_next = uid_next + v.n, highest_modseq = highest_modseq + v.n, total = total + v.n,"
        " unseen = mailbox.unseen + v.unseen, size = mailbox.size + v.size",
        ("mailbox", "n", "unseen", "size"),
        [(mailbox, *total) for mailbox, total in sorted(totals.items())],
        "WHERE mailbox.id = v.mailbox AND deleted = 0"
        " RETURNING mailbox.id, mailbox.uid_next, mailbox.highest_modseq, mailbox.account",
    )
    if len(moved) != len(totals):
        raise Refused("the mailbox is gone")
    used: dict[int, int] = {}
    starts: dict[MailboxId, list[int]] = {}
    for mailbox, uid_next, highest, account in moved:
        n, _, size = totals[mailbox]
        starts[mailbox] = [uid_next - n, highest - n + 1]
        used[account] = used.get(account, 0) + size
    change_used(connection, used)
    return starts


def change_used(connection: Connection, used: dict[int, int]) -> None:
    """Move the used octets of accounts, in id order so that two writers never wait for each other."""
    connection.update_from(
        "UPDATE account SET used_bytes = used_bytes + v.size",
        ("account", "size"),
        sorted(used.items()),
        "WHERE account.id = v.account",
    )


def withdraw(connection: Connection, messages: Sequence[MessageId]) -> list[MessageId]:
    """Take back acceptances that were refused after a commit of unknown outcome; those that had been written."""
    found: list[MessageId] = []
    for some in slices(messages):
        listed, params = in_list(some)
        found += [row[0] for row in connection.rows(f"SELECT id FROM message WHERE id IN {listed}", params)]
        for table in ("event", "delivery"):
            connection.run(f"DELETE FROM {table} WHERE message IN {listed}", params)
        _leave_mailboxes(connection, listed, params)
        blobs = f"(SELECT blob FROM message WHERE id IN {listed})"
        connection.run(f"DELETE FROM content WHERE id IN {blobs}", params)
        connection.run(f"DELETE FROM blob WHERE id IN {blobs}", params)
        connection.run(f"DELETE FROM message WHERE id IN {listed}", params)
    return found


def _leave_mailboxes(connection: Connection, listed: str, params: list[Any]) -> None:
    entered = connection.rows(
        f"SELECT mailbox, uid FROM mailbox_message WHERE message IN {listed} ORDER BY mailbox, uid", params
    )
    by_mailbox: dict[MailboxId, list[Uid]] = {}
    for mailbox, uid in entered:
        by_mailbox.setdefault(mailbox, []).append(uid)
    for mailbox, uids in by_mailbox.items():
        remove(connection, mailbox, uids)


def remove(connection: Connection, mailbox: MailboxId, uids: Sequence[Uid]) -> list[Uid]:
    """Take rows out of a mailbox: `vanished` ranges, counters of mailbox and account. Those that were there."""
    listed, params = in_list(uids)
    gone = connection.returning_many(
        f"DELETE FROM mailbox_message WHERE mailbox = ? AND uid IN {listed} RETURNING uid, flags, size",
        [[mailbox, *params]],
    )
    if not gone:
        return []
    unseen = sum(not flags & SystemFlag.SEEN for _, flags, _ in gone)
    size = sum(row[2] for row in gone)
    moved = connection.rows(
        "UPDATE mailbox SET highest_modseq = highest_modseq + 1, total = total - ?, unseen = unseen - ?,"
        " size = size - ? WHERE id = ? RETURNING highest_modseq, account",
        (len(gone), unseen, size, mailbox),
    )
    removed = sorted(row[0] for row in gone)
    for modseq, account in moved:
        rows = [(mailbox, modseq, low, high) for low, high in _ranges(removed)]
        connection.insert("vanished", ("mailbox", "modseq", "uid_low", "uid_high"), rows)
        change_used(connection, {account: -size})
    return removed


def _ranges(uids: Sequence[Uid]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for uid in uids:
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1] = (ranges[-1][0], uid)
        else:
            ranges.append((uid, uid))
    return ranges
