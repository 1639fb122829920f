"""The SMTP front end: answers each event of `proto.smtp.server` by asking `intake` (RFC 5321 §3).

It holds one connection's identity and transaction, and no policy. The usual answer is given at once; an awaitable is
returned only where something must be read, written or waited for. The minute within which a final dot is answered is
kept by `intake.patience`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from postroad.accounts.authenticator import Authenticator, Login
from postroad.accounts.tokens import Access
from postroad.config.networks import NOBODY, Networks
from postroad.intake.door import Door
from postroad.intake.pipeline import Intake
from postroad.intake.refusals import refusal
from postroad.intake.scanners import Scan, Scanning
from postroad.intake.spool import Spool
from postroad.intake.transaction import MailTransaction
from postroad.intake.visit import Visit
from postroad.mail.address import ForwardPath
from postroad.mail.envelope import Origin, TlsInfo
from postroad.mail.status import Status, status
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource, id_text
from postroad.ports.net import PORT_UNKNOWN, Connection, Endpoint
from postroad.ports.store import AccountRecord, StoreUnavailable
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.content import BODY_REPLIES
from postroad.proto.smtp.profile import Dialect, ServerProfile
from postroad.proto.smtp.reply import Reply, from_status
from postroad.proto.smtp.server import SmtpServer
from postroad.proto.smtp.server_events import (
    AuthResponse,
    AuthStarted,
    BodyChunk,
    BodyEnd,
    ClientIntroduced,
    CommandRefused,
    ConversationEnded,
    DataRequested,
    Event,
    HelloReceived,
    MailReceived,
    Quit,
    RcptReceived,
    Stage,
    TlsRequested,
    TransactionReset,
)
from postroad.proto.smtp.xclient import Xclient
from postroad.sessions.login import LATER, LoginDialogue, Logins

SMALL_READ, LARGE_READ = 16 * 1024, 64 * 1024  # octets a read, for commands and for bodies announced as large

NOBODY_YET = Endpoint("", 0)
_NO_LOGINS = status(550, "5.7.0", "Nobody logs in here", "XCLIENT with LOGIN on a listener without AUTH")
_UNKNOWN_LOGIN = status(550, "5.7.8", "Nobody of that name logs in here")
_TOO_MANY_UNKNOWN = replies.reply(421, "4.7.0", "Too many unknown recipients")

Waiting = Awaitable[None] | None
_log = log.get("smtp")


@dataclass(frozen=True, slots=True)
class SmtpFront:
    """What all SMTP connections of one listener share. `connect` makes machine and session of a new one."""

    service: str  # mx, submission, submissions, lmtp
    profile: ServerProfile
    intake: Intake
    clock: Clock
    ids: IdSource
    max_unknown_recipients: int = 50
    logins: Logins | None = None  # None: the listener has no AUTH
    door: Door | None = None  # for strangers; None: the listener knows none
    gateways: Networks = NOBODY  # who may tell by XCLIENT whom they speak for
    partners: Networks = NOBODY  # who may ask for what else a login is needed for
    scanning: Scanning | None = None  # None: nobody looks at the mail of this listener

    def connect(self) -> tuple[SmtpServer, SmtpSession]:
        machine = SmtpServer(self.profile)
        return machine, SmtpSession(machine, self)


class SmtpSession:
    """One connection. Implements ports.net.Session."""

    __slots__ = (
        "_access",
        "_account",
        "_client",
        "_connection",
        "_esmtp",
        "_front",
        "_helo",
        "_id",
        "_login",
        "_machine",
        "_origin",
        "_scan",
        "_spool",
        "_transaction",
        "_unconfirmed",
        "_unknown",
        "_visit",
    )

    def __init__(self, machine: SmtpServer, front: SmtpFront) -> None:
        self._front = front
        self._machine = machine
        self._connection: Connection | None = None
        self._client = NOBODY_YET  # whom we speak with: the peer, or whom a gateway told us of
        self._id = ""
        self._helo = ""
        self._esmtp = True
        self._account: AccountRecord | None = None
        self._access: Access | None = None  # of a program that has logged in with its server's token
        self._origin: Origin | None = None  # made when first needed, dropped when anything in it changes
        self._transaction: MailTransaction | None = None
        self._spool: Spool | None = None
        self._unconfirmed: MailTransaction | None = None  # its 250 was given, and the client has not spoken since
        self._login: LoginDialogue | None = None  # from the first AUTH to the one that is right
        self._unknown = 0
        self._visit: Visit | None = None  # of a stranger
        self._scan: Scan | None = None  # from the first message on, where scanners look at it

    # --- ports.net.Session --------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> Waiting:
        self._connection = connection
        self._id = id_text(self._front.ids.new())
        if connection.tls is not None:
            self._certify(connection.tls)
        self._client = peer = connection.peer
        if self._front.gateways and peer.host in self._front.gateways:
            self._machine.standing = self._machine.standing._replace(may_introduce=True)
        return self._greet() if self._arrive(connection.local.host) else None

    def _arrive(self, local: str) -> bool:
        """Meet the front door, where there is one and the client is a stranger; False when it is turned away."""
        door, client = self._front.door, self._client
        if self._front.partners:
            self._machine.standing = self._machine.standing._replace(listed=client.host in self._front.partners)
        if door is None or not client.port:  # a Unix socket
            return True
        visit = self._visit = door.arrive(client.host, local=local, connection=self._id)
        if visit is None or visit.welcome is None:
            return True
        self._record(Stage.CONNECT, visit.welcome)
        self._machine.end(from_status(visit.welcome))
        return False

    def _greet(self) -> Waiting:
        if self._visit is not None and self._visit.wait:
            return self._greet_later(self._visit)
        self._machine.start()
        return None

    async def _greet_later(self, visit: Visit) -> None:
        """The client has to wait for our first words; whoever talks meanwhile shows what it is."""
        await self._front.clock.sleep(visit.wait)
        if self._machine.has_unread:
            visit.early("the banner")
        self._machine.start()

    def answer(self, event: Event) -> Waiting:
        """Answer one event; a bug of ours is a 451 for this command and no more."""
        self._unconfirmed = None
        handle = _ANSWERS.get(type(event))
        if handle is None:
            return None
        try:
            waiting = handle(self, event)
        except Exception as error:  # whatever it is, the client is told to try again
            self.failed(error)
            return None
        return None if waiting is None else self._guarded(waiting)

    async def _guarded(self, waiting: Awaitable[None]) -> None:
        try:
            await waiting
        except Exception as error:  # as in `answer`
            self.failed(error)

    def secured(self, info: TlsInfo) -> None:
        """RFC 3207 §4.2: what was said in the clear is forgotten."""
        self._helo, self._account, self._access, self._origin = "", None, None, None
        self._certify(info)

    def _certify(self, info: TlsInfo) -> None:
        if info.verified:  # a client's certificate, on a listener that asks for one
            self._machine.standing = self._machine.standing._replace(certified=True)

    def failed(self, error: Exception) -> None:
        transaction = self._transaction
        message = transaction.message if transaction is not None else 0
        _log.exception("an answer failed", error, connection=self._id, message=message, client=self.origin.client)
        if self._spool is not None:
            self._drop()  # the rest of the body is swallowed, and its end is answered 451
        if self._machine.waits:
            self._machine.answer(replies.LOCAL_ERROR)

    def disconnected(self, error: Exception | None) -> None:
        """Before the commit nothing is kept. After a 250 that a broken connection may have swallowed, the client's next
        try is known as a repeat; an orderly end tells nothing of the kind."""
        self._origin = self.origin  # answers under way may still have to record a refusal
        self._connection = self._login = None
        if error is not None and self._unconfirmed is not None:
            self._unconfirmed.abandoned()
        if self._transaction is not None:
            self._transaction.abandoned()
        self._end_scan()
        self._drop()

    # --- identity -----------------------------------------------------------------------------------------------------

    @property
    def origin(self) -> Origin:
        """How and from whom mail comes now."""
        if self._origin is None:
            client = self._client
            self._origin = Origin(
                self._front.service,
                self._id,
                client.host if client.port else "",
                client.port,
                self._helo,
                self._submitter,
                self._esmtp,
                self._connection.tls if self._connection is not None else None,
            )
        return self._origin

    @property
    def _submitter(self) -> str:
        """Who has logged in: an address, or the name of a server."""
        if self._account is not None:
            return self._account.address
        server = self._access.server if self._access is not None else None
        return server.name if server is not None else ""

    def _hello(self, event: HelloReceived) -> Waiting:
        self._helo, self._esmtp, self._origin = event.name, event.verb != "HELO", None
        if self._visit is not None:
            self._visit.hello(event.name)
            if self._machine.has_unread:  # RFC 2920 §3.1: EHLO is the last of a group
                self._visit.early("the answer to its greeting")
        if self._front.profile.max_hold and (self._account or self._access or self._machine.standing.listed):
            self._machine.standing = self._machine.standing._replace(horizon=self._horizon())
        self._machine.answer(replies.OK)
        return None

    def _horizon(self) -> str:
        """Until when a message may be held (RFC 4865 §4), to the minute, so that greetings need not be made anew."""
        latest = self._front.clock.now() + timedelta(seconds=self._front.profile.max_hold)
        return latest.strftime("%Y-%m-%dT%H:%M:00Z")

    def _tls(self, _event: TlsRequested) -> Waiting:
        assert self._connection is not None
        self._machine.accept_tls()
        self._connection.start_tls()
        return None

    def _introduced(self, event: ClientIntroduced) -> Waiting:
        """XCLIENT: from here on we speak with whom the gateway says, as if they had connected."""
        login = event.client.login
        if not login:
            self._meet(event.client, None)
            return None
        if self._front.logins is None:
            self._refuse(Stage.AUTH, _NO_LOGINS)
            return None
        return self._meet_known(event.client, login, self._front.logins.authenticator)

    async def _meet_known(self, client: Xclient, login: str, authenticator: Authenticator) -> None:
        """The gateway has asked for the password; whose account it is has to be known here."""
        try:
            found = await authenticator.certified((login,), login)
        except StoreUnavailable as error:
            self._refuse(Stage.AUTH, LATER.because(str(error)))
            return
        if found is None:
            self._refuse(Stage.AUTH, _UNKNOWN_LOGIN.because(f"XCLIENT LOGIN={login}"))
            return
        self._meet(client, found)

    def _meet(self, client: Xclient, login: Login | None) -> None:
        assert self._connection is not None
        if client.addr:
            self._client = Endpoint(client.addr, int(client.port or 0) or PORT_UNKNOWN)
        self._account, self._access = (login.account, login.access) if login else (None, None)
        self._helo, self._esmtp = client.helo or "", client.proto != "SMTP"
        self._origin = self._login = self._visit = None
        self._end_scan()
        if not self._arrive(client.destaddr or self._connection.local.host):
            return
        if self._visit is not None and client.helo:
            self._visit.hello(client.helo)
        self._machine.accept_client(hello=self._hello_verb if client.helo else "", authenticated=login is not None)

    @property
    def _hello_verb(self) -> str:
        is_lmtp = self._front.profile.dialect is Dialect.LMTP
        return "LHLO" if is_lmtp else "EHLO" if self._esmtp else "HELO"

    # --- the transaction ----------------------------------------------------------------------------------------------

    def _mail(self, event: MailReceived) -> Waiting:
        parameters = event.parameters
        if parameters.hold_until is not None and self._is_too_late(parameters.hold_until):
            self._refuse(Stage.MAIL, _status(replies.HOLD_TOO_LONG, f"HOLDUNTIL {parameters.hold_until}"))
            return None
        begun = self._front.intake.begin(
            self.origin,
            event.reverse_path,
            parameters.size,
            parameters.body,
            account=self._account,
            access=self._access,
            parameters=parameters,
            visit=self._visit,
        )
        if isinstance(begun, Status):
            self._refuse(Stage.MAIL, begun, reverse_path=str(event.reverse_path))
        elif self._access is not None or self._account is not None:
            return self._mail_of_submitter(begun)
        elif self._front.scanning is not None:
            return self._scan_sender(begun, self._front.scanning)
        else:
            self._transaction = begun
            self._machine.answer(replies.SENDER_OK)
        return None

    def _is_too_late(self, until: datetime) -> bool:
        return (until - self._front.clock.now()).total_seconds() > self._front.profile.max_hold

    def _mail_of_submitter(self, begun: MailTransaction) -> Waiting:
        verdict = self._front.intake.admit_submitter(begun)
        if verdict is None or isinstance(verdict, Status):
            return self._answer_sender(begun, verdict)
        return self._mail_later(begun, verdict)

    async def _mail_later(self, begun: MailTransaction, verdict: Awaitable[Status | None]) -> None:
        waiting = self._answer_sender(begun, await verdict)
        if waiting is not None:
            await waiting

    def _answer_sender(self, begun: MailTransaction, refused: Status | None) -> Waiting:
        if refused is not None:
            self._refuse(Stage.MAIL, refused, reverse_path=str(begun.reverse_path))
            return None
        self._access = begun.access
        if self._front.scanning is not None:
            return self._scan_sender(begun, self._front.scanning)
        self._transaction = begun
        self._machine.answer(replies.SENDER_OK)
        return None

    async def _scan_sender(self, begun: MailTransaction, scanning: Scanning) -> None:
        """The sender is fine with us: what do the scanners say? Their conversations begin with the first message."""
        if self._scan is None and self._connection is not None:
            self._scan = scanning.begin(self._front.service, self._connection.local)
        begun.scan = scan = self._scan
        refused = await scan.mail(begun) if scan is not None else None
        if refused is not None:
            self._refuse(Stage.MAIL, refused, reverse_path=str(begun.reverse_path))
            return
        self._transaction = begun
        self._machine.answer(replies.SENDER_OK)

    def _end_scan(self) -> None:
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.close()

    def _rcpt(self, event: RcptReceived) -> Waiting:
        assert self._transaction is not None
        if not self._esmtp and self._visit is not None and self._machine.has_unread:
            self._visit.early("a reply, having heard of no PIPELINING")
        if self._transaction.scan is not None:
            scanned = self._front.intake.scan_recipient(self._transaction, event.forward_path, event.parameters)
            return self._rcpt_later(event.forward_path, scanned)
        verdict = self._front.intake.recipient(self._transaction, event.forward_path, event.parameters)
        if isinstance(verdict, Status):
            self._answer_recipient(event.forward_path, verdict)
            return None
        return self._rcpt_later(event.forward_path, verdict)

    async def _rcpt_later(self, path: ForwardPath, verdict: Awaitable[Status]) -> None:
        self._answer_recipient(path, await verdict)

    def _answer_recipient(self, path: ForwardPath, verdict: Status) -> None:
        if verdict.is_success:
            self._machine.answer(replies.RECIPIENT_OK)
            return
        if verdict.enhanced == (5, 1, 1):
            self._unknown += 1
        if self._unknown >= self._front.max_unknown_recipients:  # somebody is trying names
            verdict = Status(421, _TOO_MANY_UNKNOWN.enhanced, _TOO_MANY_UNKNOWN.text, verdict.text)
        self._refuse(Stage.RCPT, verdict, recipient=str(path))

    def _data(self, event: DataRequested) -> Waiting:
        assert self._transaction is not None
        if self._visit is not None and not event.chunked and self._machine.has_unread:  # RFC 2920 §3.1: so is DATA
            self._visit.early("the answer to DATA")
        self._spool = self._front.intake.spool(self._transaction)
        if (self._transaction.size or 0) > LARGE_READ and self._connection is not None:
            self._connection.set_read_size(LARGE_READ)
        if self._transaction.scan is not None:
            return self._data_scanned(self._transaction, self._transaction.scan)
        self._machine.accept_body()
        return None

    async def _data_scanned(self, transaction: MailTransaction, scan: Scan) -> None:
        refused = await scan.data(transaction)
        if refused is None:
            self._machine.accept_body()
            return
        self._refuse(Stage.DATA, refused)
        self._drop()

    def _chunk(self, event: BodyChunk) -> Waiting:
        """The spool's awaitable is the backpressure: nothing is read from the client until it is done."""
        return self._spool.write(event.data) if self._spool is not None else None

    def _body_end(self, event: BodyEnd) -> Waiting:
        transaction, spool = self._transaction, self._spool
        if transaction is None or spool is None:  # dropped by `failed`
            self._machine.answer(replies.LOCAL_ERROR)
            return None
        if (transaction.size or 0) > LARGE_READ and self._connection is not None:
            self._connection.set_read_size(SMALL_READ)
        if event.fault is None:
            return (self._finish_each if self._front.profile.dialect is Dialect.LMTP else self._finish)(
                transaction, spool, event
            )
        self._refuse(Stage.MESSAGE, _status(BODY_REPLIES[event.fault], event.fault.value))
        self._drop()
        return None

    async def _finish(self, transaction: MailTransaction, spool: Spool, event: BodyEnd) -> None:
        """The message is ours when `intake` says so; should the client have gone by then, intake knows it already."""
        answer = await self._front.intake.finish(transaction, spool, event.flags)
        self._transaction = self._spool = None
        if transaction.scan is not None:
            transaction.scan.reset()
        if not answer.is_success:
            self._refuse(Stage.MESSAGE, answer, reverse_path=str(transaction.reverse_path))
            return
        self._machine.answer(from_status(answer))
        if self._connection is not None:
            self._unconfirmed = transaction

    async def _finish_each(self, transaction: MailTransaction, spool: Spool, event: BodyEnd) -> None:
        """LMTP: what became of it for each recipient (RFC 2033 §4.2)."""
        names = list(transaction.recipients)
        answers = await self._front.intake.finish_each(transaction, spool, event.flags)
        self._transaction = self._spool = None
        if transaction.scan is not None:
            transaction.scan.reset()
        for name, answer in zip(names, answers, strict=True):
            if not answer.is_success:
                self._record(Stage.MESSAGE, answer, str(transaction.reverse_path), name)
        self._machine.answer_each([from_status(answer) for answer in answers])
        if self._connection is not None and any(answer.is_success for answer in answers):
            self._unconfirmed = transaction

    def _reset(self, _event: TransactionReset) -> Waiting:
        self._drop()
        return None

    def _drop(self) -> None:
        """Forget the transaction and its body."""
        if self._spool is not None:
            self._spool.discard()
        if self._transaction is not None and self._transaction.scan is not None:
            self._transaction.scan.reset()
        self._transaction = self._spool = None

    # --- authentication -----------------------------------------------------------------------------------------------

    def _auth_started(self, event: AuthStarted) -> Waiting:
        if self._login is None:
            assert self._front.logins is not None  # else the machine would have refused
            assert self._connection is not None
            self._login = self._front.logins.dialogue(self, self._connection, self._id, self._client)
        return self._login.begin(event.mechanism, event.initial)

    def _auth_response(self, event: AuthResponse) -> Waiting:
        return self._login.respond(event.data) if self._login is not None else None

    # What `sessions.login` has us say.

    def challenge(self, data: bytes) -> None:
        self._machine.challenge(data)

    def admit(self, login: Login) -> None:
        self._account, self._access = login.account, login.access
        self._origin = self._login = None
        self._machine.authenticated()

    def turn_away(self, status: Status) -> None:
        self._refuse(Stage.AUTH, status)

    # --- refusals and the end -----------------------------------------------------------------------------------------

    def _refuse(self, stage: Stage, status: Status, *, reverse_path: str = "", recipient: str = "") -> None:
        """Record it, then say it."""
        self._record(stage, status, reverse_path, recipient)
        self._machine.answer(from_status(status))

    def _record(self, stage: Stage, status: Status, reverse_path: str = "", recipient: str = "") -> None:
        if not reverse_path and self._transaction is not None:
            reverse_path = str(self._transaction.reverse_path)
        now = self._front.clock.now()
        self._front.intake.refuse(
            refusal(self.origin, stage.value, status, at=now, reverse_path=reverse_path, recipient=recipient)
        )

    def _refused(self, event: CommandRefused) -> Waiting:
        self._record(event.stage, _status(event.reply, event.line))
        if self._scan is not None and event.reply is replies.UNKNOWN_COMMAND:
            return self._scan.unknown(event.line)
        return None

    def _ended(self, _event: Quit | ConversationEnded) -> Waiting:
        self._drop()
        if self._connection is not None:
            self._connection.close()
        return None


def _status(reply: Reply, cause: str) -> Status:
    return Status(reply.code, reply.enhanced, reply.text, cause)


_ANSWERS: Final[dict[type, Callable[[SmtpSession, Any], Waiting]]] = {
    HelloReceived: SmtpSession._hello,
    MailReceived: SmtpSession._mail,
    RcptReceived: SmtpSession._rcpt,
    DataRequested: SmtpSession._data,
    BodyChunk: SmtpSession._chunk,
    BodyEnd: SmtpSession._body_end,
    TransactionReset: SmtpSession._reset,
    TlsRequested: SmtpSession._tls,
    ClientIntroduced: SmtpSession._introduced,
    AuthStarted: SmtpSession._auth_started,
    AuthResponse: SmtpSession._auth_response,
    CommandRefused: SmtpSession._refused,
    Quit: SmtpSession._ended,
    ConversationEnded: SmtpSession._ended,
}
