"""IMAP commands on messages: STORE, COPY, MOVE, EXPUNGE, CLOSE, SEARCH and APPEND; FETCH is in `imap_fetch.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing

from postroad.mailbox.append import AppendOrder
from postroad.mailbox.search import Search
from postroad.mailbox.service import FlagChange, NoSuchMailbox
from postroad.mailbox.view import View
from postroad.ports.ids import ModSeq, Uid
from postroad.ports.store import MailboxChange, MailboxRecord, SystemFlag
from postroad.proto.imap import commands, events, responses
from postroad.proto.imap.commands import StoreMode
from postroad.proto.imap.responses import Result, no, ok
from postroad.proto.imap.sequence import compact
from postroad.sessions.imap_core import ImapConversation, Waiting

MAX_KEYWORDS = 200  # of one mailbox: each session holds them, and SELECT lists them
_READ_ONLY = no("the mailbox was opened with EXAMINE", b"READ-ONLY")


# --- STORE ------------------------------------------------------------------------------------------------------------


def store(session: ImapConversation, command: commands.Store) -> Waiting:
    if session.read_only:
        return session.done(_READ_ONLY)
    view = session.selected
    new = {word.lower() for word in command.keywords} - view.known.keys()
    if new and len(view.known) + len(new) > MAX_KEYWORDS:
        return session.done(no(f"a mailbox has at most {MAX_KEYWORDS} keywords", b"LIMIT"))
    uids = view.uids_of(view.resolve(command.numbers, uid=command.uid))
    return _store(session, command, uids) if uids else session.done(ok("there was nothing to do"))


async def _store(session: ImapConversation, command: commands.Store, uids: Sequence[Uid]) -> None:
    view = session.selected
    mode = command.mode
    words = tuple([view.known.get(word.lower(), word) for word in command.keywords])  # the first spelling holds
    change = FlagChange(command.flags, words, remove=mode is StoreMode.REMOVE, replace=mode is StoreMode.REPLACE)
    stored = 0
    async for changes in changing(session, uids, change):
        stored += len(changes)
        if not command.silent:
            view.tell([change.uid for change in changes])
            session.send_updates(view.new_keywords())
            await session.send_lines(_flag_lines(view, changes, uid=command.uid))
    await session.end(ok("stored") if stored == len(uids) else _some_gone())


async def changing(
    session: ImapConversation, uids: Sequence[Uid], change: FlagChange
) -> AsyncIterator[list[MailboxChange]]:
    """Change flags, slice by slice, and put what came of it into the view at once."""
    view, stale, ours = session.selected, session.stale, True
    async with aclosing(session.services.mailboxes.change_flags(view.mailbox, uids, change)) as slices:
        async for changes in slices:
            ours = view.made(changes) and ours
            view.apply(changes, silent=True)
            yield changes
    if ours:
        session.was_ours(stale_before=stale)


def _flag_lines(view: View, changes: Iterable[MailboxChange], *, uid: bool) -> Iterator[bytes]:
    for change in changes:
        at = view.place(change.uid)
        names = responses.flag_names(change.flags, change.keywords)
        if uid:
            yield b"* %d FETCH (UID %d FLAGS (%b))\r\n" % (at + 1, change.uid, names)
        else:
            yield b"* %d FETCH (FLAGS (%b))\r\n" % (at + 1, names)


def _some_gone() -> Result:
    """RFC 5530 §3: the client learns the rest with its next command that may report it."""
    return ok("done, less messages that have been expunged", b"EXPUNGEISSUED")


# --- COPY and MOVE ----------------------------------------------------------------------------------------------------


def copy(session: ImapConversation, command: commands.Copy) -> Waiting:
    if command.move and session.read_only:
        return session.done(_READ_ONLY)
    view = session.selected
    uids = view.uids_of(view.resolve(command.numbers, uid=command.uid))
    if not uids:
        return session.done(ok("there was nothing to do"))
    return _transfer(session, command, uids)


async def _transfer(session: ImapConversation, command: commands.Copy, uids: Sequence[Uid]) -> None:
    target = await _target(session, command.mailbox)
    if target is None:
        await session.end(_try_create(command.mailbox))
        return
    view = session.selected
    transfer = await session.services.mailboxes.transfer(view.mailbox, uids, target, move=command.move)
    code = _copy_code(target, transfer.pairs)
    if not command.move:
        await session.end(ok("copied", code))
        return
    if code:
        session.machine.send(ok("moved to these", code))  # RFC 6851 §4.3: before the EXPUNGE responses
    _vanish(view, [old for old, _ in transfer.pairs])
    await session.end(ok("moved"))


def _copy_code(target: MailboxRecord, pairs: Sequence[tuple[Uid, Uid]]) -> bytes:
    """RFC 4315 §3: the two sets correspond, one to one."""
    if not pairs:
        return b""
    old, new = compact(pair[0] for pair in pairs), compact(pair[1] for pair in pairs)
    return b"COPYUID %d %b %b" % (target.uid_validity, old, new)


async def _target(session: ImapConversation, name: str) -> MailboxRecord | None:
    try:
        return await session.services.mailboxes.find(session.owner.id, name)
    except NoSuchMailbox:
        return None


def _try_create(name: str) -> Result:
    return no(f"there is no mailbox {name}", b"TRYCREATE")


def _vanish(view: View, uids: Iterable[Uid]) -> None:
    view.apply([MailboxChange(uid, ModSeq(0), vanished=True) for uid in uids])


# --- EXPUNGE and CLOSE ------------------------------------------------------------------------------------------------


def expunge(session: ImapConversation, command: commands.Expunge) -> Waiting:
    return session.done(_READ_ONLY) if session.read_only else _expunge(session, command)


async def _expunge(session: ImapConversation, command: commands.Expunge) -> None:
    if session.stale:
        await session.look()
    view = session.view
    if view is not None:
        marked = view.with_flag(SystemFlag.DELETED)
        if command.uids is not None:
            named = set(view.uids_of(view.resolve(command.uids, uid=True)))
            marked = [uid for uid in marked if uid in named]
        if marked:
            _vanish(view, await session.services.mailboxes.expunge(view.mailbox, marked))
    await session.end(ok("expunged"))


async def close(session: ImapConversation, command: commands.Close) -> None:
    """Without EXPUNGE responses (RFC 3501 §6.4.2)."""
    if not command.keep and not session.read_only:
        if session.stale:
            await session.look()
        view = session.view
        marked = view.with_flag(SystemFlag.DELETED) if view is not None else []
        if view is not None and marked:
            await session.services.mailboxes.expunge(view.mailbox, marked)
    session.leave_mailbox()
    session.machine.finish(ok("closed"))


# --- SEARCH -----------------------------------------------------------------------------------------------------------


def search(session: ImapConversation, command: commands.Search) -> Waiting:
    looking = Search(session.selected, session.services.reader, command.key)
    if looking.quick():
        return _found(session, looking, uid=command.uid)
    return _search(session, looking, uid=command.uid)


async def _search(session: ImapConversation, looking: Search, *, uid: bool) -> None:
    await looking.finish()
    waiting = _found(session, looking, uid=uid)
    if waiting is not None:
        await waiting


def _found(session: ImapConversation, looking: Search, *, uid: bool) -> Waiting:
    uids = session.selected.uids
    session.machine.send(responses.search([uids[at] if uid else at + 1 for at in looking.places]))
    return session.done(ok("searched"))


# --- APPEND -----------------------------------------------------------------------------------------------------------


async def append_started(session: ImapConversation, event: events.AppendStarted) -> None:
    """Says no before the message is sent, where that is known."""
    if not event.size:
        session.machine.fail(no("a message has at least one octet"))
        return
    target = await session.services.appender.target(session.owner.id, event.mailbox, event.size)
    target = target or await _target(session, event.mailbox)  # INBOX is made when it is missing
    if target is None:
        session.machine.fail(_try_create(event.mailbox))
        return
    order = AppendOrder(target, event.size, event.flags, event.keywords, event.internal_date)
    session.appending = session.services.appender.open(order)
    session.machine.accept_literal()


def append_chunk(session: ImapConversation, event: events.LiteralChunk) -> Waiting:
    assert session.appending is not None  # the machine hands out chunks of an accepted literal alone
    return session.appending.write(event.data)


async def append_end(session: ImapConversation, _: events.AppendEnd) -> None:
    appending, session.appending = session.appending, None
    assert appending is not None
    uid = await appending.finish()
    await session.end(ok("appended", b"APPENDUID %d %d" % (appending.order.mailbox.uid_validity, uid)))
