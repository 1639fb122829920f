"""The POP3 front end: answers each event of `proto.pop3.server` from a `Maildrop`.

Nothing is deleted before QUIT (RFC 1939 §6). Long answers go out in pieces, each after the peer has read enough.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from postroad.accounts.authenticator import Login
from postroad.mail.envelope import TlsInfo
from postroad.mail.status import Status
from postroad.mailbox.service import MailboxService
from postroad.observe import log
from postroad.ports.blobs import BlobStore
from postroad.ports.net import Connection
from postroad.ports.store import Refused, Store, StoreUnavailable
from postroad.proto.pop3 import commands
from postroad.proto.pop3.body import NO_LIMIT, BodyCutter, with_crlf
from postroad.proto.pop3.commands import Command
from postroad.proto.pop3.server import (
    AuthResponse,
    AuthStarted,
    CommandReceived,
    ConversationEnded,
    LoginReceived,
    Pop3Server,
    TlsRequested,
)
from postroad.sessions.login import LoginDialogue, Logins
from postroad.sessions.maildrop import Maildrop

PIECE = 64 * 1024  # what is gathered before the peer has to read
WHOLE_LISTING = 2000  # messages whose LIST or UIDL goes out at once

NO_SUCH_MESSAGE = "no such message"
TROUBLE = "[SYS/TEMP] trouble on our side, come back later"

_log = log.get("pop3")
Waiting = Awaitable[None] | None


@dataclass(frozen=True, slots=True)
class Pop3Services:
    """What every session of the process shares."""

    store: Store
    blobs: BlobStore
    mailboxes: MailboxService
    logins: Logins


class Pop3Session:
    """One connection's front end. Implements ports.net.Session."""

    __slots__ = ("_connection", "_drop", "_login", "_machine", "_services", "_unsent")

    def __init__(self, machine: Pop3Server, services: Pop3Services) -> None:
        self._machine = machine
        self._services = services
        self._connection: Connection | None = None
        self._drop: Maildrop | None = None
        self._login: LoginDialogue | None = None  # from the first try to the one that is right
        self._unsent = 0  # octets of messages gathered in the machine since the peer last had to read

    # --- ports.net.Session --------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        if connection.tls is not None:
            self._machine.certified = connection.tls.verified
        self._machine.greet()

    def answer(self, event: Any) -> Waiting:
        match event:
            case CommandReceived(command):
                return _COMMANDS[type(command)](self, command)
            case LoginReceived(name, password):
                return self._dialogue.password(name, password)
            case AuthStarted(mechanism, initial):
                return self._dialogue.begin(mechanism, initial)
            case AuthResponse(data):
                return self._dialogue.respond(data)
            case TlsRequested():
                self._machine.accept_tls()
                self._peer.start_tls()
            case ConversationEnded():
                self._peer.close()
        return None

    def secured(self, info: TlsInfo) -> None:
        """The machine has been told; but not whose certificate it was."""
        self._machine.certified = info.verified

    def failed(self, error: Exception) -> None:  # noqa: ARG002 - the driver has logged it
        if self._machine.answer_open:
            self._peer.abort()  # inside a message nothing can be said, and a cut one must not look whole
        else:
            self._machine.error(TROUBLE)

    def disconnected(self, error: Exception | None) -> None:  # noqa: ARG002 - nothing depends on why
        """Without QUIT nothing is deleted."""
        self._drop = self._connection = self._login = None

    @property
    def _peer(self) -> Connection:
        if self._connection is None:
            raise ConnectionResetError("the client has gone")
        return self._connection

    @property
    def _maildrop(self) -> Maildrop:
        assert self._drop is not None  # the machine lets commands on messages through only after a login
        return self._drop

    # --- logging in ---------------------------------------------------------------------------------------------------

    @property
    def _dialogue(self) -> LoginDialogue:
        if self._login is None:
            self._login = self._services.logins.dialogue(self, self._peer)
        return self._login

    # What `sessions.login` has us say.

    def challenge(self, data: bytes) -> None:
        self._machine.challenge(data)

    async def admit(self, login: Login) -> None:
        assert login.account is not None  # who logs in to read is an account
        drop = Maildrop(self._services.store, self._services.blobs, self._services.mailboxes)
        try:
            await drop.load(login.account.id)
        except StoreUnavailable as error:
            _log.warning("login put off", cause=str(error))
            self._machine.error(TROUBLE)
            return
        self._drop, self._login = drop, None
        count, size = drop.totals()
        self._machine.authenticated(f"{count} messages ({size} octets)")

    def turn_away(self, status: Status) -> None:
        """RFC 3206: [AUTH] where the password is wrong, [SYS/TEMP] where it may be right another time."""
        if status.is_permanent:
            self._machine.refuse_login()
        else:
            self._machine.refuse_login(f"[SYS/TEMP] {status.text}")

    # --- commands -----------------------------------------------------------------------------------------------------

    def _stat(self, _: commands.Stat) -> None:
        self._machine.ok("{} {}".format(*self._maildrop.totals()))

    def _list(self, command: commands.List) -> Waiting:
        drop, number = self._maildrop, command.number
        if number is None:
            return self._listing(drop.size_lines())
        self._line(number, lambda: str(drop.size(number)))
        return None

    def _uidl(self, command: commands.Uidl) -> Waiting:
        drop, number = self._maildrop, command.number
        if number is None:
            return self._listing(drop.unique_id_lines())
        self._line(number, lambda: drop.unique_id(number))
        return None

    def _line(self, number: int, text: Callable[[], str]) -> None:
        if self._maildrop.has(number):
            self._machine.ok(f"{number} {text()}")
        else:
            self._machine.error(NO_SUCH_MESSAGE)

    def _listing(self, pieces: Iterator[bytes]) -> Waiting:
        count, _ = self._maildrop.totals()
        text = f"{count} messages"
        if count > WHOLE_LISTING:
            return self._long_listing(text, pieces)
        self._machine.lines(text, b"".join(pieces))
        return None

    async def _long_listing(self, text: str, pieces: Iterator[bytes]) -> None:
        self._machine.begin_lines(text)
        for piece in pieces:
            self._machine.more_lines(piece)
            await self._room()
        self._machine.end_lines()

    def _dele(self, command: commands.Dele) -> None:
        if not self._maildrop.has(command.number):
            self._machine.error(NO_SUCH_MESSAGE)
            return
        self._maildrop.deleted.add(command.number)
        self._machine.ok("will be deleted at QUIT")

    def _rset(self, _: commands.Rset) -> None:
        self._maildrop.deleted.clear()
        self._machine.ok("nothing is marked")

    def _quit(self, _: commands.Quit) -> Waiting:
        if self._drop is not None and self._drop.deleted:
            return self._update(self._drop)
        self._say_goodbye()
        return None

    async def _update(self, drop: Maildrop) -> None:
        """RFC 1939 §6: say whether the deletions were done."""
        try:
            await drop.remove_deleted()
        except (StoreUnavailable, Refused) as error:
            _log.warning("deletion at QUIT failed", cause=str(error))
            self._machine.error("[SYS/TEMP] some deleted messages were not removed")
            self._machine.end("quit")
        else:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._machine.ok("bye")
        self._machine.end("quit")

    # --- messages -----------------------------------------------------------------------------------------------------

    def _retr(self, command: commands.Retr) -> Waiting:
        return self._message(command.number, NO_LIMIT)

    def _top(self, command: commands.Top) -> Waiting:
        return self._message(command.number, command.lines)

    def _message(self, number: int, lines: int) -> Waiting:
        drop = self._maildrop
        if not drop.has(number):
            self._machine.error(NO_SUCH_MESSAGE)
            return None
        if not drop.is_small(number):
            return self._large(drop, number, lines)
        content = drop.ready(number)
        if content is None:
            return self._small(drop, number, lines)
        return self._whole(content, lines)

    async def _small(self, drop: Maildrop, number: int, lines: int) -> None:
        content = await drop.read(number)
        if content is None:
            self._machine.error("the message has been deleted by another session")
            return
        waiting = self._whole(content, lines)
        if waiting is not None:
            await waiting

    def _whole(self, content: bytes, lines: int) -> Waiting:
        if lines == NO_LIMIT:
            content = with_crlf(content)
        else:
            cutter = BodyCutter(lines)
            content = cutter.cut(content) + cutter.finish()
        self._machine.small_body(content)
        self._unsent += len(content)
        return self._room() if self._unsent >= PIECE else None

    async def _large(self, drop: Maildrop, number: int, lines: int) -> None:
        pieces = await drop.open(number)
        if pieces is None:
            self._machine.error("the message has been deleted by another session")
            return
        cutter = BodyCutter(lines)
        self._machine.begin_body(drop.size(number))
        async for piece in pieces:
            self._machine.body_chunk(cutter.cut(piece))
            if cutter.done:
                break
            await self._room()
        self._machine.body_chunk(cutter.finish())
        self._machine.end_body()

    async def _room(self) -> None:
        """Send what is gathered, and wait until the peer has read enough."""
        self._unsent = 0
        self._peer.send(self._machine.data_to_send())
        await self._peer.drained()


_COMMANDS: dict[type[Command], Callable[[Pop3Session, Any], Waiting]] = {
    commands.Stat: Pop3Session._stat,
    commands.List: Pop3Session._list,
    commands.Uidl: Pop3Session._uidl,
    commands.Retr: Pop3Session._retr,
    commands.Top: Pop3Session._top,
    commands.Dele: Pop3Session._dele,
    commands.Rset: Pop3Session._rset,
    commands.Quit: Pop3Session._quit,
}
