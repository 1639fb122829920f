"""Mailboxes and what lies in them: UIDs, mod-sequences, flags, counters."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence

from postroad.adapters.sql.births import BLOB, CONTENT, change_used, content_row, enter, remove
from postroad.adapters.sql.connection import Connection, Row, in_list, slices
from postroad.adapters.sql.names import NameCaches
from postroad.adapters.sql.values import time_of, time_or_none
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import AccountId, BlobId, MailboxId, MessageId, ModSeq, Uid
from postroad.ports.store import (
    Content,
    MailboxChange,
    MailboxMessage,
    MailboxRecord,
    MessageSource,
    MessageText,
    NewMailboxMessage,
    Refused,
    SystemFlag,
)

_MAILBOX = (
    "id", "account", "name", "uid_validity", "uid_next", "highest_modseq", "special_use", "subscribed", "total",
    "unseen", "size",
)  # fmt: skip
_MAILBOX_COLUMNS = ", ".join(_MAILBOX)
_MESSAGE_COLUMNS = "mailbox, uid, blob, flags, keywords, modseq, internal_date, size, prefix"


def _mailbox(row: Row) -> MailboxRecord:
    number, account, name, validity, uid_next, highest, use, subscribed, total, unseen, size = row
    return MailboxRecord(
        MailboxId(number), AccountId(account), name, validity, Uid(uid_next), ModSeq(highest), use, bool(subscribed),
        total, unseen, size,
    )  # fmt: skip


def _message(row: Row) -> MailboxMessage:
    mailbox, uid, blob, flags, keywords, modseq, internal_date, size, prefix = row
    return MailboxMessage(
        mailbox, uid, blob, flags, tuple(keywords.split()), modseq, time_of(internal_date), size, bytes(prefix)
    )


class Mailboxes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, mailbox: MailboxId) -> MailboxRecord | None:
        return self._one("id = ?", mailbox)

    def by_name(self, account: AccountId, name: str) -> MailboxRecord | None:
        return self._one("account = ? AND name = ?", account, name)

    def _one(self, where: str, *params: object) -> MailboxRecord | None:
        rows = self._connection.rows(f"SELECT {_MAILBOX_COLUMNS} FROM mailbox WHERE {where} AND deleted = 0", params)
        return _mailbox(rows[0]) if rows else None

    def list(self, account: AccountId) -> builtins.list[MailboxRecord]:
        rows = self._connection.rows(
            f"SELECT {_MAILBOX_COLUMNS} FROM mailbox WHERE account = ? AND deleted = 0 ORDER BY name", (account,)
        )
        return [_mailbox(row) for row in rows]

    def create(self, record: MailboxRecord) -> None:
        self._refuse_taken(record.account, record.name)
        row = (
            record.id, record.account, record.name, record.uid_validity, record.uid_next, record.highest_modseq,
            record.special_use, int(record.subscribed), record.total, record.unseen, record.size, 0,
        )  # fmt: skip
        self._connection.insert("mailbox", (*_MAILBOX, "deleted"), [row])

    def rename(self, mailbox: MailboxId, name: str) -> None:
        record = self.get(mailbox)
        if record is None:
            raise Refused("the mailbox is gone")
        if record.name != name:
            self._refuse_taken(record.account, name)
            self._connection.run("UPDATE mailbox SET name = ? WHERE id = ?", (name, mailbox))

    def _refuse_taken(self, account: AccountId, name: str) -> None:
        if self.by_name(account, name):
            raise Refused(f"the mailbox {name} is there already")

    def delete(self, mailbox: MailboxId) -> None:
        """Gone at once for everybody; its rows go later, in slices."""
        rows = self._connection.rows(
            "UPDATE mailbox SET deleted = 1 WHERE id = ? AND deleted = 0 RETURNING account, size", (mailbox,)
        )
        for account, size in rows:
            change_used(self._connection, {account: -size})

    def subscribe(self, mailbox: MailboxId, subscribed: bool) -> None:
        self._connection.run("UPDATE mailbox SET subscribed = ? WHERE id = ?", (int(subscribed), mailbox))

    def next_uid_validity(self, account: AccountId) -> int:
        rows = self._connection.rows(
            "UPDATE account SET last_uid_validity = last_uid_validity + 1 WHERE id = ? RETURNING last_uid_validity",
            (account,),
        )
        if not rows:
            raise Refused("the account is gone")
        return int(rows[0][0])


class MailboxMessages:
    def __init__(self, connection: Connection, names: NameCaches) -> None:
        self._connection = connection
        self._names = names

    # --- reading ---

    def page(self, mailbox: MailboxId, *, after: Uid | None = None, limit: int = 1000) -> list[MailboxMessage]:
        rows = self._connection.rows(
            f"SELECT {_MESSAGE_COLUMNS} FROM mailbox_message WHERE mailbox = ? AND uid > ? ORDER BY uid LIMIT ?",
            (mailbox, after or 0, limit),
        )
        return [_message(row) for row in rows]

    def get(self, mailbox: MailboxId, uids: Sequence[Uid]) -> list[MailboxMessage]:
        return [_message(row) for row in self._of(_MESSAGE_COLUMNS, mailbox, uids)]

    def _of(self, columns: str, mailbox: MailboxId, uids: Sequence[Uid]) -> list[Row]:
        found: list[Row] = []
        for some in slices(sorted(set(uids))):
            listed, params = in_list(some)
            found += self._connection.rows(
                f"SELECT {columns} FROM mailbox_message WHERE mailbox = ? AND uid IN {listed} ORDER BY uid",
                [mailbox, *params],
            )
        return found

    def view(self, mailbox: MailboxId, *, after: Uid | None, limit: int) -> list[tuple[Uid, int, tuple[str, ...]]]:
        rows = self._connection.rows(
            "SELECT uid, flags, keywords FROM mailbox_message WHERE mailbox = ? AND uid > ? ORDER BY uid LIMIT ?",
            (mailbox, after or 0, limit),
        )
        return [(uid, flags, tuple(keywords.split()) if keywords else ()) for uid, flags, keywords in rows]

    def changes(self, mailbox: MailboxId, since: ModSeq, limit: int) -> list[MailboxChange]:
        """A page never ends inside one mod-sequence, since the next begins above its last: it may be longer.

        What is new lies at the end of the UIDs, what has changed in an index of its own, what is gone in `vanished`.
        """
        new = self._new(mailbox, since, limit)
        last = self._last_of_page(mailbox, since, limit, [change.modseq for change in new])
        found = [change for change in new if change.modseq <= last]
        found += [
            MailboxChange(uid, modseq, False, flags, tuple(keywords.split()))
            for uid, modseq, flags, keywords in self._connection.rows(
                "SELECT uid, modseq, flags, keywords FROM mailbox_message"
                " WHERE mailbox = ? AND modseq > ? AND modseq <= ? AND modseq <> born",
                (mailbox, since, last),
            )
        ]
        for modseq, low, high in self._connection.rows(
            "SELECT modseq, uid_low, uid_high FROM vanished WHERE mailbox = ? AND modseq > ? AND modseq <= ?",
            (mailbox, since, last),
        ):
            found += [MailboxChange(Uid(uid), modseq, vanished=True) for uid in range(low, high + 1)]
        return sorted(found, key=lambda change: (change.modseq, change.uid))

    def _last_of_page(self, mailbox: MailboxId, since: ModSeq, limit: int, new: Sequence[ModSeq]) -> ModSeq:
        """The mod-sequence that the page ends with."""
        changed = self._connection.rows(
            "SELECT modseq FROM mailbox_message WHERE mailbox = ? AND modseq > ? AND modseq <> born"
            " ORDER BY modseq LIMIT ?",
            (mailbox, since, limit),
        )
        gone = self._connection.rows(
            "SELECT modseq FROM vanished WHERE mailbox = ? AND modseq > ? ORDER BY modseq LIMIT ?",
            (mailbox, since, limit),
        )
        modseqs = sorted([*new, *(row[0] for row in changed), *(row[0] for row in gone)])[:limit]
        return modseqs[-1] if modseqs else since

    def _new(self, mailbox: MailboxId, since: ModSeq, limit: int) -> list[MailboxChange]:
        """Rows that came after `since` and have not changed: `born` grows with the UID, so that a few looks, twice as
        far from the end each time, find where to begin."""
        highest = self._connection.rows(
            "SELECT uid FROM mailbox_message WHERE mailbox = ? ORDER BY uid DESC LIMIT 1", (mailbox,)
        )
        begin, step = (highest[0][0] if highest else 0), 1
        while begin > 0:
            row = self._connection.rows(
                "SELECT uid, born FROM mailbox_message WHERE mailbox = ? AND uid <= ? ORDER BY uid DESC LIMIT 1",
                (mailbox, begin),
            )
            if not row or row[0][1] <= since:
                break
            begin, step = row[0][0] - step, step * 2
        rows = self._connection.rows(
            "SELECT uid, modseq, flags, keywords FROM mailbox_message"
            " WHERE mailbox = ? AND uid >= ? AND born > ? AND modseq = born ORDER BY uid LIMIT ?",
            (mailbox, begin, since, limit),
        )
        return [
            MailboxChange(uid, modseq, False, flags, tuple(keywords.split())) for uid, modseq, flags, keywords in rows
        ]

    # --- changing ---

    def add(self, messages: Sequence[NewMailboxMessage]) -> list[Uid]:
        entering = [(new, new.message) for new in messages]
        return enter(self._connection, entering, self._present(entering))

    def _present(
        self, entering: Iterable[tuple[NewMailboxMessage, MessageId | None]]
    ) -> dict[tuple[MailboxId, MessageId], Uid]:
        """A local delivery that is done a second time finds what the first time wrote."""
        found: dict[tuple[MailboxId, MessageId], Uid] = {}
        for new, message in entering:
            if message is not None:
                for row in self._connection.rows(
                    "SELECT uid FROM mailbox_message WHERE mailbox = ? AND message = ?", (new.mailbox, message)
                ):
                    found[new.mailbox, message] = row[0]
        return found

    def store(
        self,
        mailbox: MailboxId,
        uids: Sequence[Uid],
        *,
        add: int = 0,
        remove: int = 0,
        replace: int | None = None,
        add_keywords: Sequence[str] = (),
        remove_keywords: Sequence[str] = (),
        replace_keywords: Sequence[str] | None = None,
    ) -> list[MailboxChange]:
        found = self._of("uid, flags, keywords", mailbox, uids)
        if not found:
            return []
        modseq = self._next_modseq(mailbox)
        changed: list[MailboxChange] = []
        groups: dict[tuple[int, str], list[Uid]] = {}  # rows that end alike are written by one statement
        unseen = 0
        for uid, flags, text in found:
            new_flags = ((flags if replace is None else replace) | add) & ~remove
            keywords = _keywords(text, add_keywords, remove_keywords, replace_keywords)
            unseen += (not new_flags & SystemFlag.SEEN) - (not flags & SystemFlag.SEEN)
            groups.setdefault((new_flags, " ".join(keywords)), []).append(uid)
            changed.append(MailboxChange(uid, modseq, False, new_flags, keywords))
        for (flags, text), some in groups.items():
            self._set_flags(mailbox, some, flags, text, modseq)
        if unseen:
            self._connection.run("UPDATE mailbox SET unseen = unseen + ? WHERE id = ?", (unseen, mailbox))
        return changed

    def _next_modseq(self, mailbox: MailboxId) -> ModSeq:
        rows = self._connection.rows(
            "UPDATE mailbox SET highest_modseq = highest_modseq + 1 WHERE id = ? RETURNING highest_modseq", (mailbox,)
        )
        if not rows:
            raise Refused("the mailbox is gone")
        return ModSeq(rows[0][0])

    def _set_flags(self, mailbox: MailboxId, uids: Sequence[Uid], flags: int, keywords: str, modseq: ModSeq) -> None:
        for some in slices(uids):
            listed, params = in_list(some)
            self._connection.run(
                f"UPDATE mailbox_message SET flags = ?, keywords = ?, modseq = ? WHERE mailbox = ? AND uid IN {listed}",
                [flags, keywords, modseq, mailbox, *params],
            )

    def copy(self, source: MailboxId, uids: Sequence[Uid], target: MailboxId) -> list[tuple[Uid, Uid]]:
        originals = self.get(source, uids)
        copies = [
            NewMailboxMessage(
                target, original.blob, original.size, original.internal_date, original.flags, original.keywords,
                original.prefix,
            )
            for original in originals
        ]  # fmt: skip
        given = enter(self._connection, [(new, None) for new in copies])
        return [(original.uid, uid) for original, uid in zip(originals, given, strict=True)]

    def expunge(self, mailbox: MailboxId, uids: Sequence[Uid]) -> list[Uid]:
        gone: list[Uid] = []
        for some in slices(sorted(set(uids))):
            gone += remove(self._connection, mailbox, some)
        return gone

    # --- content ---

    def texts(
        self, mailbox: MailboxId, *, low: Uid, high: Uid, limit: int, envelope: bool, structure: bool, body: bool
    ) -> list[MessageText]:
        empty = self._connection.dialect.empty_bytes
        columns = ", ".join(
            f"c.{name}" if wanted else empty
            for name, wanted in (("envelope", envelope), ("bodystructure", structure), ("body", body))
        )
        rows = self._connection.rows(
            f"SELECT m.uid, m.size, m.internal_date / 1000000, m.blob, c.renderer, {columns} FROM mailbox_message m"
            " JOIN content c ON c.id = m.blob WHERE m.mailbox = ? AND m.uid >= ? AND m.uid <= ? ORDER BY m.uid LIMIT ?",
            (mailbox, low, high, limit),
        )
        return [MessageText._make(row) for row in rows]

    def sources(
        self, mailbox: MailboxId, uids: Sequence[Uid], *, layout: bool, envelope: bool, structure: bool, body: bool
    ) -> list[MessageSource]:
        empty = self._connection.dialect.empty_bytes
        names = ("envelope", "bodystructure", "body", "sections")
        wanted = dict(zip(names, (envelope, structure, body, layout), strict=True))
        columns = [f"COALESCE(c.{name}, {empty})" if wanted[name] else empty for name in names]
        rendered = any(wanted.values())
        numbers = "COALESCE(c.renderer, 0), COALESCE(c.header_size, 0)" if rendered else "0, 0"
        join = "LEFT JOIN content c ON c.id = m.blob" if rendered else ""
        found: list[MessageSource] = []
        for some in slices(sorted(set(uids))):
            listed, params = in_list(some)
            rows = self._connection.rows(
                "SELECT m.uid, m.size, m.internal_date / 1000000, m.blob, m.prefix, s.name, b.start, b.length,"
                f" {numbers}, {', '.join(columns)} FROM mailbox_message m JOIN blob b ON b.id = m.blob"
                f" JOIN segment s ON s.id = b.segment {join} WHERE m.mailbox = ? AND m.uid IN {listed} ORDER BY m.uid",
                [mailbox, *params],
            )
            found += [_source(row) for row in rows]
        return found

    def contents(self, blobs: Sequence[BlobId]) -> dict[BlobId, Content]:
        found: dict[BlobId, Content] = {}
        for some in slices(sorted(set(blobs))):
            listed, params = in_list(some)
            for row in self._connection.rows(f"SELECT {', '.join(CONTENT)} FROM content WHERE id IN {listed}", params):
                found[row[0]] = _content(row)
        return found

    def put_content(self, content: Content) -> None:
        replaced = ", ".join(f"{name} = excluded.{name}" for name in CONTENT[1:])
        self._connection.insert(
            "content", CONTENT, [content_row(content)], f"ON CONFLICT (id) DO UPDATE SET {replaced}"
        )

    def add_blob(self, blob: BlobId, place: BlobPlace) -> None:
        segment = self._names.segments.ids(self._connection, (place.segment,))[place.segment]
        self._connection.insert("blob", BLOB, [(blob, segment, place.offset, place.length)])


def _source(row: Row) -> MessageSource:
    (
        uid,
        size,
        date,
        blob,
        prefix,
        segment,
        start,
        length,
        renderer,
        header_size,
        envelope,
        structure,
        body,
        sections,
    ) = row
    text = MessageText(uid, size, date, blob, renderer, envelope, structure, body)
    return MessageSource(text, prefix, BlobPlace(segment, start, length), header_size, sections)


def _content(row: Row) -> Content:
    blob, renderer, size, header_size, envelope, bodystructure, body, sections, message_id, subject, sent = row
    return Content(
        blob, renderer, size, header_size, envelope, bodystructure, body, sections, message_id, subject,
        time_or_none(sent),
    )  # fmt: skip


def _keywords(text: str, add: Sequence[str], remove: Sequence[str], replace: Sequence[str] | None) -> tuple[str, ...]:
    if not (add or remove) and replace is None:
        return tuple(text.split())
    before = text.split() if replace is None else replace
    return tuple(sorted((set(before) | set(add)) - set(remove)))
