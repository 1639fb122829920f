"""The IMAP front end: which function answers which command of `proto.imap.commands`.

A new command is a row there and a line here. The conversation itself is in `imap_core.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from postroad.proto.imap import commands, events
from postroad.sessions import imap_basic, imap_mailboxes, imap_messages
from postroad.sessions.imap_core import EventHandler, Handler, ImapConversation, ImapServices
from postroad.sessions.imap_fetch import fetch

__all__ = ["HANDLERS", "ImapServices", "ImapSession"]

HANDLERS: dict[type[commands.Command], Handler] = {
    commands.Capability: imap_basic.capability,
    commands.Noop: imap_basic.noop,
    commands.Logout: imap_basic.logout,
    commands.Id: imap_basic.identify,
    commands.Login: imap_basic.login,
    commands.Namespace: imap_basic.namespace,
    commands.Idle: imap_basic.start_idle,
    commands.Select: imap_mailboxes.select,
    commands.List: imap_mailboxes.list_names,
    commands.Status: imap_mailboxes.status,
    commands.Create: imap_mailboxes.create,
    commands.Delete: imap_mailboxes.delete,
    commands.Rename: imap_mailboxes.rename,
    commands.Subscribe: imap_mailboxes.subscribe,
    commands.Fetch: fetch,
    commands.Store: imap_messages.store,
    commands.Copy: imap_messages.copy,
    commands.Search: imap_messages.search,
    commands.Expunge: imap_messages.expunge,
    commands.Close: imap_messages.close,
}
APPEND_EVENTS: dict[type[events.Event], EventHandler] = {
    events.AppendStarted: imap_messages.append_started,
    events.LiteralChunk: imap_messages.append_chunk,
    events.AppendEnd: imap_messages.append_end,
}


class ImapSession(ImapConversation):
    """One connection's front end, complete."""

    __slots__ = ()

    handlers: ClassVar[Mapping[type[commands.Command], Handler]] = HANDLERS
    append_handlers: ClassVar[Mapping[type[events.Event], EventHandler]] = APPEND_EVENTS
