"""The one place where mailboxes change: create, rename, delete, flags, copy, move, expunge; and what a session opens.

What is asked is written in slices, so that bulk work never holds the one writer; each change is told by the signal
`mailbox:<id>`. Appending is in `append.py`, reading in `reading.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from postroad.mailbox import names, quota
from postroad.mailbox.view import View
from postroad.ports.ids import AccountId, IdSource, MailboxId, ModSeq, Uid
from postroad.ports.signals import Signals
from postroad.ports.store import (
    Lane,
    MailboxChange,
    MailboxMessage,
    MailboxRecord,
    Refused,
    Store,
    SystemFlag,
    Tx,
)

T = TypeVar("T")

SLICE = 500  # rows of one unit of bulk work
PAGE = 5000  # rows of one read
MAX_MAILBOXES = 5000  # of one account: LIST holds them all in memory


class NoSuchMailbox(Refused):
    """There is no mailbox of this name."""


class NameTaken(Refused):
    """There is one already."""


class NotPossible(Refused):
    """The rules of mailboxes forbid it; says why."""


@dataclass(frozen=True, slots=True)
class FlagChange:
    """What STORE does to the flags of a message; `replace` sets exactly `flags` and `keywords`."""

    flags: int
    keywords: tuple[str, ...] = ()
    remove: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Transfer:
    """What COPY or MOVE did: (old, new) UIDs in order, and the target they are in."""

    target: MailboxRecord
    pairs: tuple[tuple[Uid, Uid], ...]


def topic(mailbox: MailboxId) -> str:
    return f"mailbox:{mailbox}"


class MailboxService:
    """Made once; holds no state of a session."""

    def __init__(self, store: Store, signals: Signals, ids: IdSource) -> None:
        self._store = store
        self._signals = signals
        self._ids = ids

    # --- finding ------------------------------------------------------------------------------------------------------

    async def mailboxes(self, account: AccountId) -> list[MailboxRecord]:
        """All of an account; INBOX always among them (RFC 3501 §5.1)."""
        records = await self._store.read(lambda tx: tx.mailboxes.list(account))
        if any(record.name == names.INBOX for record in records):
            return records
        return [await self._make_inbox(account), *records]

    async def find(self, account: AccountId, name: str) -> MailboxRecord:
        """Raises NoSuchMailbox."""
        name = names.canonical(name)
        record = await self._store.read(lambda tx: tx.mailboxes.by_name(account, name))
        if record is not None:
            return record
        if name != names.INBOX:
            raise NoSuchMailbox(f"there is no mailbox {name}")
        return await self._make_inbox(account)

    async def _make_inbox(self, account: AccountId) -> MailboxRecord:
        def make(tx: Tx) -> MailboxRecord:
            found = tx.mailboxes.by_name(account, names.INBOX)
            return found or _create(tx, account, names.INBOX, self._ids)

        return await self._store.write(make)

    # --- names --------------------------------------------------------------------------------------------------------

    async def create(self, account: AccountId, name: str) -> None:
        """With its superiors (RFC 3501 §6.3.3). Raises BadName or Refused."""
        name = names.new_name(name)

        def run(tx: Tx) -> None:
            if name == names.INBOX or tx.mailboxes.by_name(account, name):
                raise NameTaken(f"there is a mailbox {name} already")
            if len(tx.mailboxes.list(account)) >= MAX_MAILBOXES:
                raise NotPossible(f"an account has at most {MAX_MAILBOXES} mailboxes")
            _create_superiors(tx, account, name, self._ids)
            _create(tx, account, name, self._ids)

        await self._store.write(run)

    async def delete(self, account: AccountId, name: str) -> MailboxId:
        """Its inferiors stay, and its name stays visible above them (RFC 3501 §6.3.4). Raises Refused."""
        name = names.canonical(name)

        def run(tx: Tx) -> MailboxId:
            if name == names.INBOX:
                raise NotPossible("INBOX cannot be deleted")
            record = _existing(tx, account, name)
            tx.mailboxes.delete(record.id)
            return record.id

        mailbox = await self._store.write(run)
        self._signals.publish(topic(mailbox))
        return mailbox

    async def rename(self, account: AccountId, old: str, new: str) -> None:
        """With its inferiors; of INBOX only its messages move (RFC 3501 §6.3.5). Raises BadName or Refused."""
        old, new = names.canonical(old), names.new_name(new)
        if old == names.INBOX:
            await self._rename_inbox(account, new)
            return
        if names.is_below(new, old):
            raise NotPossible("a mailbox cannot be put below itself")

        def run(tx: Tx) -> None:
            records = tx.mailboxes.list(account)
            moved = [record for record in records if record.name == old or names.is_below(record.name, old)]
            if not moved:
                raise NoSuchMailbox(f"there is no mailbox {old}")
            targets = {record.id: names.new_name(new + record.name[len(old) :]) for record in moved}
            taken = {record.name for record in records} & set(targets.values())
            if taken:
                raise NameTaken(f"there is a mailbox {min(taken)} already")
            _create_superiors(tx, account, new, self._ids)
            for mailbox, name in targets.items():
                tx.mailboxes.rename(mailbox, name)

        await self._store.write(run)

    async def _rename_inbox(self, account: AccountId, new: str) -> None:
        inbox = await self.find(account, names.INBOX)
        await self.create(account, new)
        target = await self.find(account, new)
        while rows := await self._store.read(lambda tx: tx.mailbox_messages.view(inbox.id, after=None, limit=PAGE)):
            await self.transfer(inbox.id, [row[0] for row in rows], target, move=True)

    async def subscribe(self, account: AccountId, name: str, *, subscribed: bool) -> None:
        """Raises NoSuchMailbox."""
        name = names.canonical(name)
        await self._store.write(lambda tx: tx.mailboxes.subscribe(_existing(tx, account, name).id, subscribed))

    # --- a session's view ---------------------------------------------------------------------------------------------

    async def open(self, account: AccountId, name: str) -> tuple[MailboxRecord, View]:
        """The mailbox and a view of it. Raises NoSuchMailbox."""
        record = await self.find(account, name)
        view = View(record.id, record.highest_modseq)
        after: Uid | None = None
        while record.total:
            rows = await self._page(record.id, after)
            view.load(rows)
            if len(rows) < PAGE:
                break
            after = rows[-1][0]
        await self.refresh(view)  # what changed between the pages
        view.loaded()
        return record, view

    async def _page(self, mailbox: MailboxId, after: Uid | None) -> list[tuple[Uid, int, tuple[str, ...]]]:
        return await self._store.read(lambda tx: tx.mailbox_messages.view(mailbox, after=after, limit=PAGE))

    async def refresh(self, view: View) -> None:
        """Queue what has changed in the view. Raises NoSuchMailbox when the mailbox is gone."""
        while await self._refresh_page(view):
            pass

    async def _refresh_page(self, view: View) -> bool:
        since = view.modseq

        def run(tx: Tx) -> tuple[MailboxRecord | None, list[MailboxChange]]:
            record = tx.mailboxes.get(view.mailbox)
            if record is None or record.highest_modseq <= since:
                return record, []
            return record, tx.mailbox_messages.changes(view.mailbox, since, PAGE)

        record, changes = await self._store.read(run)
        if record is None:
            raise NoSuchMailbox("the mailbox has been deleted")
        view.apply(changes)
        if len(changes) < PAGE:
            view.caught_up(record.highest_modseq)
            return False
        view.caught_up(changes[-1].modseq)  # a page never ends inside one modseq
        return True

    def listen(self, mailbox: MailboxId, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when the mailbox has changed; the returned function ends that."""
        return self._signals.listen(topic(mailbox), listener)

    # --- messages -----------------------------------------------------------------------------------------------------

    async def change_flags(
        self, mailbox: MailboxId, uids: Sequence[Uid], change: FlagChange
    ) -> AsyncGenerator[list[MailboxChange], None]:
        """Slice by slice: the rows that exist, as they are now."""
        try:
            for part in _slices(uids):
                yield await self._write(uids, partial(_change_flags, mailbox=mailbox, uids=part, change=change))
        finally:
            self._signals.publish(topic(mailbox))

    async def expunge(self, mailbox: MailboxId, uids: Sequence[Uid], *, marked: bool = True) -> list[Uid]:
        """Remove messages for good; `marked`: only those that still have \\Deleted. Returns those that were removed."""
        gone: list[Uid] = []
        try:
            for part in _slices(uids):
                gone += await self._write(uids, partial(_expunge, mailbox=mailbox, uids=part, marked=marked))
        finally:
            if gone:
                self._signals.publish(topic(mailbox))
        return gone

    async def transfer(
        self, source: MailboxId, uids: Sequence[Uid], target: MailboxRecord, *, move: bool = False
    ) -> Transfer:
        """COPY or MOVE. A copy that fails half way is taken back (RFC 3501 §6.4.7). Raises Refused."""
        pairs: list[tuple[Uid, Uid]] = []
        try:
            for part in _slices(uids):
                pairs += await self._write(uids, partial(_transfer, source=source, uids=part, target=target, move=move))
        except Exception:
            if pairs and not move:
                await self.expunge(target.id, [new for _, new in pairs], marked=False)
            raise
        finally:
            if pairs:
                self._signals.publish(topic(target.id))
                if move:
                    self._signals.publish(topic(source))
        return Transfer(target, tuple(pairs))

    def _write(self, uids: Sequence[Uid], run: Callable[[Tx], T]) -> Awaitable[T]:
        """One slice; what takes several is bulk work and lets others go first."""
        return self._store.write(run, lane=Lane.LOW if len(uids) > SLICE else Lane.NORMAL)


def _slices(uids: Sequence[Uid]) -> Iterator[Sequence[Uid]]:
    return (uids[start : start + SLICE] for start in range(0, len(uids), SLICE))


def _existing(tx: Tx, account: AccountId, name: str) -> MailboxRecord:
    record = tx.mailboxes.by_name(account, name)
    if record is None:
        raise NoSuchMailbox(f"there is no mailbox {name}")
    return record


def _create(tx: Tx, account: AccountId, name: str, ids: IdSource) -> MailboxRecord:
    record = MailboxRecord(
        id=MailboxId(ids.new()),
        account=account,
        name=name,
        uid_validity=tx.mailboxes.next_uid_validity(account),
        uid_next=Uid(1),
        highest_modseq=ModSeq(1),
    )
    tx.mailboxes.create(record)
    return record


def _create_superiors(tx: Tx, account: AccountId, name: str, ids: IdSource) -> None:
    for superior in names.superiors(name):
        if tx.mailboxes.by_name(account, superior) is None:
            _create(tx, account, superior, ids)


def _change_flags(tx: Tx, mailbox: MailboxId, uids: Sequence[Uid], change: FlagChange) -> list[MailboxChange]:
    rows = tx.mailbox_messages
    if change.replace:
        return rows.store(mailbox, uids, replace=change.flags, replace_keywords=change.keywords)
    if change.remove:
        return rows.store(mailbox, uids, remove=change.flags, remove_keywords=change.keywords)
    return rows.store(mailbox, uids, add=change.flags, add_keywords=change.keywords)


def _expunge(tx: Tx, mailbox: MailboxId, uids: Sequence[Uid], *, marked: bool) -> list[Uid]:
    if marked:  # another session may have taken the mark away
        rows = tx.mailbox_messages.get(mailbox, uids)
        uids = [row.uid for row in rows if row.flags & SystemFlag.DELETED]
    return tx.mailbox_messages.expunge(mailbox, uids) if uids else []


def _transfer(
    tx: Tx, source: MailboxId, uids: Sequence[Uid], target: MailboxRecord, *, move: bool
) -> list[tuple[Uid, Uid]]:
    if tx.mailboxes.get(target.id) is None:
        raise NoSuchMailbox("the target mailbox has been deleted")
    if not move:
        account = tx.accounts.get(target.account)
        if account is not None and account.quota_bytes:
            rows: list[MailboxMessage] = tx.mailbox_messages.get(source, uids)
            quota.require_room(account, sum(row.size for row in rows))
    pairs = tx.mailbox_messages.copy(source, uids, target.id)
    if move:
        tx.mailbox_messages.expunge(source, [old for old, _ in pairs])
    return pairs
