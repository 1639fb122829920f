"""IMAP commands on mailboxes: SELECT, LIST, STATUS, CREATE and their kin."""

from __future__ import annotations

from postroad.mailbox import names
from postroad.ports.store import MailboxRecord
from postroad.proto.imap import commands, responses
from postroad.proto.imap.responses import Line, ListEntry, StatusEntry, ok
from postroad.sessions.imap_core import ImapConversation


async def select(session: ImapConversation, command: commands.Select) -> None:
    session.leave_mailbox()  # RFC 3501 §6.3.1: whether the new one can be selected or not
    record, view = await session.services.mailboxes.open(session.owner.id, command.mailbox)
    session.enter_mailbox(record.id, view, read_only=command.read_only)
    send = session.machine.send
    session.machine.send_raw(responses.mailbox_flags(view.known.values(), read_only=command.read_only))
    send(responses.exists(len(view)))
    send(Line(b"0 RECENT"))
    unseen = view.first_unseen()
    if unseen:
        send(ok("the first unseen message", b"UNSEEN %d" % unseen))
    uid_next = max(record.uid_next, view.uids[-1] + 1 if len(view) else 1)
    send(ok("UIDs are valid", b"UIDVALIDITY %d" % record.uid_validity))
    send(ok("the next UID, as far as can be told", b"UIDNEXT %d" % uid_next))
    session.machine.finish(ok("selected", b"READ-ONLY" if command.read_only else b"READ-WRITE"))


async def list_names(session: ImapConversation, command: commands.List) -> None:
    if not command.pattern and not command.subscribed:  # RFC 3501 §6.3.8: asks for the delimiter alone
        session.machine.send(ListEntry("", ("\\Noselect",)))
        await session.end(ok("that is the delimiter"))
        return
    records = await session.services.mailboxes.mailboxes(session.owner.id)
    found = names.listed(records, command.reference, command.pattern, subscribed=command.subscribed)
    await session.send_lines(bytes(ListEntry(one.name, one.attributes, command.subscribed)) for one in found)
    await session.end(ok("that is all"))


async def status(session: ImapConversation, command: commands.Status) -> None:
    record = await session.services.mailboxes.find(session.owner.id, command.mailbox)
    items = tuple((item, _figure(record, item)) for item in command.items)
    session.machine.send(StatusEntry(record.name, items))
    await session.end(ok("that is its status"))


def _figure(record: MailboxRecord, item: str) -> int:
    figures = {
        "MESSAGES": record.total,
        "RECENT": 0,
        "UIDNEXT": record.uid_next,
        "UIDVALIDITY": record.uid_validity,
        "UNSEEN": record.unseen,
    }
    return figures[item]


async def create(session: ImapConversation, command: commands.Create) -> None:
    await session.services.mailboxes.create(session.owner.id, command.mailbox)
    await session.end(ok("created"))


async def delete(session: ImapConversation, command: commands.Delete) -> None:
    mailbox = await session.services.mailboxes.delete(session.owner.id, command.mailbox)
    if session.view is not None and session.view.mailbox == mailbox:
        session.leave_mailbox()
    await session.end(ok("deleted"))


async def rename(session: ImapConversation, command: commands.Rename) -> None:
    await session.services.mailboxes.rename(session.owner.id, command.mailbox, command.new_name)
    await session.end(ok("renamed"))


async def subscribe(session: ImapConversation, command: commands.Subscribe) -> None:
    owner, wanted = session.owner.id, command.subscribed
    await session.services.mailboxes.subscribe(owner, command.mailbox, subscribed=wanted)
    await session.end(ok("subscribed" if wanted else "no longer subscribed"))
