"""One IMAP conversation: logins, the selected mailbox and what the client is told of it, IDLE.

What commands do stands in `imap_mailboxes.py`, `imap_messages.py` and `imap_fetch.py`; `imap.py` joins them. Short
commands are answered in place; a task lives only while a long answer is given, never while a client idles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from postroad.accounts.authenticator import Login
from postroad.mail.envelope import TlsInfo
from postroad.mail.status import Status
from postroad.mailbox.append import Appender, Appending
from postroad.mailbox.names import BadName
from postroad.mailbox.quota import OverQuota
from postroad.mailbox.reading import Reader
from postroad.mailbox.service import MailboxService, NameTaken, NoSuchMailbox, NotPossible
from postroad.mailbox.view import Changed, Count, Gone, NewKeywords, NoSuchMessage, Update, View
from postroad.observe import log
from postroad.ports.ids import MailboxId
from postroad.ports.net import Connection
from postroad.ports.store import AccountRecord, Refused, StoreUnavailable
from postroad.proto.imap import commands, events, responses
from postroad.proto.imap.responses import Result, bad, no, ok
from postroad.proto.imap.server import ImapServer
from postroad.sessions.idle import IdlePoll
from postroad.sessions.login import LoginDialogue, Logins

PIECE = 64 * 1024  # octets gathered before the peer has to read
READ_SIZE = 64 * 1024  # after login
MAX_LOGIN_FAILURES = 5  # on one connection

_log = log.get("imap")
Waiting = Awaitable[None] | None
Handler = Callable[["ImapConversation", Any], Waiting]
EventHandler = Handler


@dataclass(frozen=True, slots=True)
class ImapServices:
    """What every session of the process shares."""

    mailboxes: MailboxService
    reader: Reader
    appender: Appender
    logins: Logins
    poll: IdlePoll


class ImapConversation:
    """Implements ports.net.Session. `handlers` says which function answers which command, `append_handlers` which
    answers the events of APPEND."""

    __slots__ = (
        "_connection", "_failures", "_idle", "_login", "_pushing", "_stale", "_unlisten", "account", "appending",
        "machine", "read_only", "services", "view",
    )  # fmt: skip

    handlers: ClassVar[Mapping[type[commands.Command], Handler]]
    append_handlers: ClassVar[Mapping[type[events.Event], EventHandler]]

    def __init__(self, machine: ImapServer, services: ImapServices) -> None:
        self.machine = machine
        self.services = services
        self.account: AccountRecord | None = None
        self.view: View | None = None  # of the selected mailbox
        self.read_only = False
        self.appending: Appending | None = None
        self._connection: Connection | None = None
        self._login: LoginDialogue | None = None  # from the first try to the one that is right
        self._failures = 0
        self._unlisten: Callable[[], None] | None = None
        self._stale = False  # the mailbox has changed since the view was last compared with the rows
        self._idle = False
        self._pushing: asyncio.Task[None] | None = None  # tells an idle client of a change

    # --- ports.net.Session --------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        if connection.tls is not None:
            self.machine.certified = connection.tls.verified
        self.machine.greet()

    def answer(self, event: Any) -> Waiting:
        try:
            handler = _EVENTS.get(type(event)) or self.append_handlers[type(event)]
            waiting = handler(self, event)
        except EXPECTED as error:
            self.machine.fail(refusal(error))
            return None
        return None if waiting is None else self._guarded(waiting)

    async def _guarded(self, waiting: Awaitable[None]) -> None:
        """Outcomes that are expected are answers; everything else is a bug, which the driver reports."""
        try:
            await waiting
        except EXPECTED as error:
            if self.machine.literal_open:
                self.peer.abort()  # inside a message nothing can be said, and a cut one must not look whole
                return
            self._discard()
            self.machine.fail(refusal(error))

    def secured(self, info: TlsInfo) -> None:
        """The machine has been told; but not whose certificate it was."""
        self.machine.certified = info.verified

    def failed(self, error: Exception) -> None:  # noqa: ARG002 - the driver has logged it
        self._discard()
        if self.machine.literal_open:
            self.peer.abort()
        else:
            self.machine.fail(no("trouble on our side; it has been logged", b"SERVERBUG"))

    def disconnected(self, error: Exception | None) -> None:  # noqa: ARG002 - all the same
        self._leave_idle()
        if self._pushing is not None:
            self._pushing.cancel()
        self.leave_mailbox()
        self._discard()
        self._connection = self._login = None

    @property
    def peer(self) -> Connection:
        if self._connection is None:
            raise ConnectionResetError("the client has gone")
        return self._connection

    @property
    def owner(self) -> AccountRecord:
        assert self.account is not None  # the machine lets these commands through only after a login
        return self.account

    @property
    def selected(self) -> View:
        assert self.view is not None  # the machine lets these commands through only in the selected state
        return self.view

    # --- answering ----------------------------------------------------------------------------------------------------

    def done(self, result: Result) -> Waiting:
        """Tell what has changed, then end the command."""
        if self._stale:
            return self._done_after_look(result)
        self._finish(result)
        return None

    async def _done_after_look(self, result: Result) -> None:
        """What was done is done, also when the store cannot say just now what else has changed."""
        with suppress(StoreUnavailable):
            await self.look()
        self._finish(result)

    async def end(self, result: Result) -> None:
        """`done`, for those who can wait anyway."""
        if self._stale:
            await self._done_after_look(result)
        else:
            self._finish(result)

    def _finish(self, result: Result) -> None:
        if self.view is not None and self.view.has_pending:
            self.tell()
        self.machine.finish(result)

    def tell(self) -> None:
        """Send what the view has pending, as far as the command allows."""
        self.send_updates(self.selected.updates(expunge=self.machine.may_report_expunge))

    def send_updates(self, updates: Iterable[Update]) -> None:
        self.machine.send_raw(b"".join([_SPELLED[type(update)](self, update) for update in updates]))

    async def room(self) -> None:
        """Send what is gathered, and wait until the peer has read enough."""
        self.peer.send(self.machine.data_to_send())
        await self.peer.drained()
        await asyncio.sleep(0)  # others have their turn, however fast this peer reads

    async def send_lines(self, lines: Iterable[bytes]) -> None:
        """Lines in pieces of at most 64 KiB or one line, each after the peer has read enough."""
        gathered, size = [], 0
        for line in lines:
            gathered.append(line)
            size += len(line)
            if size >= PIECE:
                self.machine.send_raw(b"".join(gathered))
                gathered, size = [], 0
                await self.room()
        self.machine.send_raw(b"".join(gathered))

    def _discard(self) -> None:
        if self.appending is not None:
            self.appending.discard()
            self.appending = None

    # --- the selected mailbox -----------------------------------------------------------------------------------------

    def enter_mailbox(self, mailbox: MailboxId, view: View, *, read_only: bool) -> None:
        self.view, self.read_only = view, read_only
        self._unlisten = self.services.mailboxes.listen(mailbox, self.changed)
        self._stale = True  # a change may have been told between the look at the rows and now
        self.machine.selected()

    def leave_mailbox(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
            self.machine.unselected()
        self.view, self._stale = None, False

    def changed(self) -> None:
        """The selected mailbox has changed, or it is time to look whether it has."""
        self._stale = True
        if self._idle and self._pushing is None and self.view is not None:
            self._pushing = asyncio.ensure_future(self._push())

    def was_ours(self, *, stale_before: bool) -> None:
        """What made the view stale was this session's own change, which the view has already."""
        self._stale = stale_before

    @property
    def stale(self) -> bool:
        return self._stale

    async def look(self) -> None:
        """Queue in the view what has changed in the rows."""
        view = self.view
        if view is None:
            return
        self._stale = False
        try:
            await self.services.mailboxes.refresh(view)
        except NoSuchMailbox:
            if self.view is view:
                self.leave_mailbox()
                self.machine.bye("the selected mailbox has been deleted")
        except StoreUnavailable:
            self._stale = True
            raise

    # --- IDLE (RFC 2177) ----------------------------------------------------------------------------------------------

    async def start_idle(self) -> None:
        await self.look()
        if self.view is not None:
            self.tell()
        self.machine.start_idle()
        self._idle = True
        self.services.poll.enter(self)

    def _leave_idle(self) -> None:
        if self._idle:
            self._idle = False
            self.services.poll.leave(self)

    async def _push(self) -> None:
        """One at a time, so that an older look never overtakes a newer one."""
        try:
            while self._stale and self._idle and self.view is not None:
                await self.look()
                if not self._idle:
                    return
                if self.view is not None:
                    self.tell()
                self.peer.wake()
                await self.peer.drained()
        except (StoreUnavailable, ConnectionResetError):
            return  # the next signal or poll looks again
        finally:
            self._pushing = None

    def _idle_ended(self, _: events.IdleEnded) -> Waiting:
        self._leave_idle()
        if self._pushing is not None:
            return self._end_push(self._pushing)
        return self.done(ok("IDLE ended"))

    async def _end_push(self, pushing: asyncio.Task[None]) -> None:
        await asyncio.wait([pushing])
        await self.end(ok("IDLE ended"))

    # --- other events -------------------------------------------------------------------------------------------------

    def _command(self, event: events.CommandReceived) -> Waiting:
        return self.handlers[type(event.command)](self, event.command)

    def _refused(self, _: events.CommandRefused) -> None:
        self._leave_idle()  # whatever was refused, it was not DONE

    def _conversation_ended(self, _: events.ConversationEnded) -> None:
        self._leave_idle()
        self.peer.close()

    def _tls_requested(self, _: events.TlsRequested) -> None:
        self.machine.accept_tls()
        self.peer.start_tls()

    def _append_aborted(self, _: events.AppendAborted) -> None:
        self._discard()

    # --- logging in ---------------------------------------------------------------------------------------------------

    @property
    def login(self) -> LoginDialogue:
        if self._login is None:
            self._login = self.services.logins.dialogue(self, self.peer)
        return self._login

    def _auth_started(self, event: events.AuthStarted) -> Waiting:
        return self.login.begin(event.mechanism, event.initial)

    def _auth_response(self, event: events.AuthResponse) -> Waiting:
        return self.login.respond(event.data)

    # What `sessions.login` has us say.

    def challenge(self, data: bytes) -> None:
        self.machine.challenge(data)

    def admit(self, login: Login) -> None:
        self.account, self._login = login.account, None
        self.machine.authenticated()
        self.peer.set_read_size(READ_SIZE)
        self.machine.finish(ok("logged in", b"CAPABILITY " + self.machine.capabilities()))

    def turn_away(self, status: Status) -> None:
        self._failures += 1
        if self._failures >= MAX_LOGIN_FAILURES:
            self.machine.bye("too many wrong logins")
        self.machine.finish(_WRONG_LOGIN if status.is_permanent else no(status.text, b"UNAVAILABLE"))

    # --- spelling updates ---------------------------------------------------------------------------------------------

    def _spell_gone(self, update: Gone) -> bytes:
        return bytes(responses.expunged(update.seq))

    def _spell_count(self, update: Count) -> bytes:
        return bytes(responses.exists(update.total))

    def _spell_changed(self, update: Changed) -> bytes:
        return bytes(responses.fetch_flags(update.seq, update.flags, update.keywords, update.uid))

    def _spell_keywords(self, update: NewKeywords) -> bytes:
        return responses.mailbox_flags(update.keywords, read_only=self.read_only)


# --- expected outcomes as answers -------------------------------------------------------------------------------------

_WRONG_LOGIN = no("the name or the password is wrong", b"AUTHENTICATIONFAILED")
EXPECTED = (Refused, BadName, NoSuchMessage, StoreUnavailable)
_CODES: dict[type[Exception], bytes] = {  # RFC 5530
    NoSuchMailbox: b"NONEXISTENT",
    NameTaken: b"ALREADYEXISTS",
    NotPossible: b"CANNOT",
    BadName: b"CANNOT",
    OverQuota: b"OVERQUOTA",
}


def refusal(error: Exception) -> Result:
    """The answer that an expected exception stands for."""
    if isinstance(error, NoSuchMessage):
        return bad(str(error))  # RFC 3501 §6.4.5: a number that is not there is the client's mistake
    if isinstance(error, StoreUnavailable):
        _log.warning("command put off", cause=str(error))
        return no("the store cannot take this now, try again later", b"UNAVAILABLE")
    return no(str(error), _CODES.get(type(error), b""))


# --- the tables -------------------------------------------------------------------------------------------------------

_EVENTS: dict[type[events.Event], Callable[[ImapConversation, Any], Waiting]] = {
    events.CommandReceived: ImapConversation._command,
    events.CommandRefused: ImapConversation._refused,
    events.ConversationEnded: ImapConversation._conversation_ended,
    events.TlsRequested: ImapConversation._tls_requested,
    events.AuthStarted: ImapConversation._auth_started,
    events.AuthResponse: ImapConversation._auth_response,
    events.AppendAborted: ImapConversation._append_aborted,
    events.IdleEnded: ImapConversation._idle_ended,
}
_SPELLED: dict[type[Update], Callable[[ImapConversation, Any], bytes]] = {
    Gone: ImapConversation._spell_gone,
    Count: ImapConversation._spell_count,
    Changed: ImapConversation._spell_changed,
    NewKeywords: ImapConversation._spell_keywords,
}
