"""One SMTP conversation with one host, carrying message after message.

A session over `proto.smtp.client`: it opens (greeting, EHLO, STARTTLS, AUTH), then asks its feed for requests and
reports an outcome for each. All in callbacks: no task and no wake-up per reply. Where the server pipelines and is
quick, the next message's commands follow the last one's body in the same write.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from postroad.delivery.agent import AttemptRequest, Feed, OpenFailure
from postroad.delivery.mx import LOOP
from postroad.delivery.passing import (
    against,
    mail_parameters,
    names_it,
    offered_to,
    rcpt_parameters,
)
from postroad.delivery.target import Craft, Target
from postroad.delivery.tlsfacts import TlsEnd, tls_text
from postroad.delivery.transaction import Transaction, to_status
from postroad.mail.envelope import BodyFlag, TlsInfo
from postroad.mail.sevenbit import CannotConvert
from postroad.mail.status import EnhancedCode, Status, status
from postroad.observe import log
from postroad.ports.ids import AttemptId, id_text
from postroad.ports.net import Connection, PeerTls, TlsFailed
from postroad.ports.store import Delivery, Message
from postroad.proto.smtp.client import (
    BodyWanted,
    ClientEvent,
    Command,
    CommandSkipped,
    ConversationEnded,
    EndReason,
    ReplyReceived,
    SmtpClient,
)
from postroad.proto.smtp.incoming import RemoteReply
from postroad.proto.smtp.parameters import NO_PARAMETERS
from postroad.routing.routes import TransportKind

SMTP_PORT = 25  # RFC 5321 §4.5.4.2
QUICK = 0.25  # seconds: a server slower than this after the final dot gets no message chained behind another

# As numbers: an IntFlag's own & is ten times slower.
_EIGHT_BIT, _DOT_LINES = int(BodyFlag.EIGHT_BIT), int(BodyFlag.DOT_LINES)
_BINARY, _UTF8 = int(BodyFlag.BINARY), int(BodyFlag.UTF8)
_NO_EHLO = frozenset((500, 501, 502, 503, 504))  # RFC 5321 §4.2.2: the command is not understood
_CANNOT_CONVERT = EnhancedCode(5, 6, 3)

_log = log.get("delivery")


class Conversation:
    """Implements ports.net.Session towards the driver and agent.Carrier towards the queue.

    `opened` tells when it is ready (None), or why it never will be.
    """

    __slots__ = (
        "__weakref__", "_address", "_connection", "_craft", "_dirty", "_feed", "_gone", "_handshaking", "_leaving",
        "_lmtp", "_most", "_most_recipients", "_notes", "_opened_at", "_over", "_prologue", "_quick", "_rewriting",
        "_served", "_source", "_stream", "_timings", "_tls", "_transactions", "is_connected", "is_idle", "machine",
        "opened", "target", "tls_ended", "tls_failed",
    )  # fmt: skip

    def __init__(self, feed: Feed, target: Target, craft: Craft, notes: list[bytes]) -> None:
        """`notes` are lines about what was tried before this host, for the record of the first attempt."""
        self._feed = feed
        self._craft = craft
        self.target = target
        self._lmtp = target.transport.lmtp
        name = target.helo or craft.hostname
        self.machine = SmtpClient(name, idle_patience=craft.idle_timeout, lmtp=self._lmtp)
        self.opened: asyncio.Future[OpenFailure | None] = asyncio.get_running_loop().create_future()
        self.is_idle = False
        self.is_connected = False  # it once was
        self._source = ""
        self.tls_failed = ""
        self.tls_ended: TlsEnd | None = None  # how it went with TLS, once that is known
        self._connection: Connection | None = None
        self._transactions: deque[Transaction] = deque()
        self._notes = [*notes, f"* {target.host} {target.endpoint}".encode()]
        self._prologue = self.machine.record
        self._timings: dict[str, float] = {}
        self._address = str(target.endpoint)
        self._opened_at = craft.clock.monotonic()
        self._tls = target.plain_because
        self._served = 0
        self._most = craft.messages_per_connection
        self._most_recipients = 0  # of one transaction; 0: as many as there are
        self._quick = False
        self._dirty = False  # the server may still be inside a transaction that came to nothing: RSET first
        self._handshaking = False
        self._leaving = False
        self._over = False  # nothing more will be said
        self._gone = False  # the feed knows
        self._stream: asyncio.Task[None] | None = None
        self._rewriting: asyncio.Task[None] | None = None  # of a message that has to be made fit first

    # -- Session -----------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        self.is_connected = True
        self._source = connection.local.host  # asked for now: a socket that is closed has none
        self._lap("connect")
        if self.target.others:  # which of several addresses it has become
            self.target = replace(self.target, endpoint=connection.peer, others=())
            self._address = str(connection.peer)
            self._notes[-1] = f"* {self.target.host} {connection.peer}".encode()
        if (demand := self.target.demand) is not None and demand.why:
            self._notes.append(f"* held to: {demand.why}".encode())
        if connection.tls is not None:
            self._is_secure(connection.tls)

    def answer(self, event: ClientEvent) -> None:
        if type(event) is ReplyReceived:
            _ON_REPLY[event.command](self, event.reply)
        elif type(event) is CommandSkipped:
            self._skipped(event.command)
        elif type(event) is BodyWanted:
            self._send_body()
        else:
            assert isinstance(event, ConversationEnded)
            self._ended(event)

    def secured(self, info: TlsInfo) -> None:
        self._handshaking = False
        self._is_secure(info)
        self._lap("tls")
        self.machine.hello()

    def _is_secure(self, info: TlsInfo) -> None:
        self._tls = tls_text(info)
        self._prologue.append(b"* " + self._tls.encode())
        if isinstance(info, PeerTls) and info.certificate:
            self._prologue.append(b"* certificate " + info.certificate.encode())
            self._tls_ends(info.fault_kind, info.fault)
        else:
            self._tls_ends()

    def _tls_ends(self, kind: str = "", reason: str = "") -> None:
        self.tls_ended = TlsEnd(kind, reason, self._source)

    def failed(self, error: Exception) -> None:
        _log.exception("a delivery conversation failed", error, host=self.target.host)
        self._connected.abort()

    def disconnected(self, error: Exception | None) -> None:
        if self._handshaking:
            self._tls_ends(error.kind if isinstance(error, TlsFailed) else "validation-failure", str(error or ""))
        self._lose(str(error) if error else EndReason.CLOSED.value)

    # -- Carrier -----------------------------------------------------------------------------------------------

    def work(self) -> None:
        self.is_idle = False
        self._go_on()
        self._connected.wake()

    def adopt(self, feed: Feed) -> None:
        """Carry for another feed from now on. Only while idle."""
        self._feed.ended(self)
        self._feed = feed
        feed.began(self)
        self.work()

    def finish(self) -> None:
        self._leaving = True
        if self.is_idle or (not self._transactions and self._rewriting is None and self.opened.done()):
            self._leave()
            self._connected.wake()

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    def serves(self, hosts: Sequence[str]) -> bool:
        return self.target.host in hosts

    # -- opening -----------------------------------------------------------------------------------------------

    @property
    def _connected(self) -> Connection:
        assert self._connection is not None
        return self._connection

    def _greeting(self, reply: RemoteReply) -> None:
        if reply.code == 220:
            self._lap("greeting")
            self.machine.hello()
        else:
            self._fail(to_status(reply, self.target.host, Command.GREETING))

    def _ehlo(self, reply: RemoteReply) -> None:
        if reply.is_positive and self._is_ourselves(reply):
            self._fail(LOOP.because(f"{self.target.host} greets us with our own name"))
        elif reply.is_positive:
            self._lap("ehlo")
            self._secure()
        elif reply.code // 100 == 5 and not self.target.needs_no_less and not self._lmtp:
            self.machine.hello(extended=False)  # RFC 5321 §3.2: a server may know HELO alone
        elif reply.code in _NO_EHLO and not self._tls and not self._lmtp:
            self._without_tls("it knows no EHLO")  # or whoever is in between says so: mail is not returned for that
        else:
            self._fail(to_status(reply, self.target.host, Command.EHLO))

    def _helo(self, reply: RemoteReply) -> None:
        if reply.is_positive and self._is_ourselves(reply):
            self._fail(LOOP.because(f"{self.target.host} greets us with our own name"))
        elif reply.is_positive:
            if not self._tls:
                self._tls = "no TLS: the server knows no EHLO"
                self._tls_ends("starttls-not-supported", "it knows no EHLO")
            self._authenticate()
        else:
            self._fail(to_status(reply, self.target.host, Command.HELO))

    def _is_ourselves(self, reply: RemoteReply) -> bool:
        """Whatever names and addresses led here: mail handed to ourselves would come back for ever. A relay host at a
        port of its own may well be another server on this very machine."""
        transport = self.target.transport
        if transport.lmtp or (transport.kind is not TransportKind.MX and transport.port != SMTP_PORT):
            return False
        return reply.lines[0].split(" ", 1)[0].lower() == self._craft.hostname.lower()

    def _secure(self) -> None:
        """STARTTLS where it is offered (opportunistic, RFC 7435), unless TLS is there or was tried in vain."""
        if self._tls:
            self._demanded()
        elif self.target.never_tls:
            self._tls = "no TLS: the setting is tls = none"
            self._authenticate()
        elif self.machine.capabilities.starttls:
            self._handshaking = True
            self.machine.start_tls()
        else:
            self._without_tls("not offered")

    def _demanded(self) -> None:
        """TLS is there, or has been tried: what else is wanted of the host."""
        demand = self.target.demand
        if demand is not None and demand.announced and "REQUIRETLS" not in self.machine.capabilities:
            text = f"{self.target.host} does not promise to pass it on by TLS alone"
            self._fail(status(550, "5.7.30", text, "REQUIRETLS is not offered (RFC 8689 §4.2.1)"))
        else:
            self._authenticate()

    def _without_tls(self, why: str) -> None:
        """The server has none: go on, where that is allowed."""
        self._handshaking = False
        self._tls = f"no TLS: {why}"
        self._tls_ends("starttls-not-supported", why)
        if self.target.needs_tls:
            self._fail(self._insecure(f"{self.target.host} offers no TLS", why))
        else:
            self._authenticate()

    def _insecure(self, text: str, cause: str) -> Status:
        """Why the host gets nothing: another try may fare better, unless the message itself wants it so."""
        demand = self.target.demand
        assert demand is not None
        cause = f"{cause}; TLS is demanded by {demand.why}"
        return status(550, "5.7.10", text, cause) if demand.final else status(451, "4.7.5", text, cause)

    def _starttls(self, reply: RemoteReply) -> None:
        if reply.code == 220:
            self._connected.start_tls(self.target.tls)
        else:
            self._without_tls(f"STARTTLS was answered {reply.text[:100]}")

    def _authenticate(self) -> None:
        transport = self.target.transport
        if not transport.username:
            self._ready()
        elif self._tls.startswith("no TLS") and transport.require_tls and not self.target.is_here:
            self._fail(status(451, "4.7.4", "the smarthost offers no TLS", "a password is never sent in the clear"))
        elif not {"PLAIN", "LOGIN"} & set(self.machine.capabilities.auth_mechanisms):
            self._fail(status(451, "4.7.0", "the smarthost offers no way to log in", "neither AUTH PLAIN nor LOGIN"))
        else:
            self.machine.authenticate(transport.username, transport.password)

    def _auth(self, reply: RemoteReply) -> None:
        if reply.code == 235:
            self._lap("auth")
            self._ready()
            return
        # A password gone wrong must not bounce all mail: the operator repairs it and the queue goes out.
        refused = to_status(reply, self.target.host, Command.AUTH)
        self._fail(
            Status(451, None, refused.text, "the smarthost refused our login", refused.remote, refused.diagnostic)
        )

    def _ready(self) -> None:
        capabilities = self.machine.capabilities  # LIMITS, RFC 9422 §4: MAILMAX and RCPTMAX
        known = [count for count in (self._most, self.target.most, capabilities.max_transactions) if count]
        self._most = min(known)
        self._most_recipients = min(
            (count for count in (self.target.most_recipients, capabilities.max_recipients) if count), default=0
        )
        self.opened.set_result(None)
        self._feed.began(self)
        self._go_on()

    def _fail(self, why: Status) -> None:
        """This host will not do."""
        if not self.opened.done():
            self.opened.set_result(self.failure(why))
        self._over = True
        self.machine.quit()
        self._connected.close()

    def failure(self, why: Status) -> OpenFailure:
        """Why no connection came about, with all that is on record."""
        lines = b"\n".join([*self._notes, *self._prologue]).decode("utf-8", "replace")
        alone = self.target.needs_tls and self.tls_ended is not None and self.tls_ended.kind != ""
        return OpenFailure(why, self.target.host, self._address, self._tls, self._timings, lines, alone)

    def _lap(self, phase: str) -> None:
        now = self._craft.clock.monotonic()
        self._timings[phase] = round(self._timings.get(phase, 0.0) + now - self._opened_at, 6)
        self._opened_at = now

    # -- carrying ----------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Begin the next request, or stand idle, or leave."""
        while not self._transactions and self._rewriting is None:
            if self._over:
                return
            if self._leaving or self._served >= self._most:
                self._leave()
                return
            request = self._feed.next()
            if request is None:
                self.is_idle = True
                self._feed.idle(self)
                return
            self._begin(request)

    def _begin(self, request: AttemptRequest) -> None:
        message = request.message
        flags = int(message.flags)
        needs_utf8 = (
            flags & _UTF8 != 0
            or not message.reverse_path.isascii()
            or not all(d.forward_path.isascii() for d in request.deliveries)
        )
        if (refusal := self._unfit(request, needs_utf8)) is not None:
            self._refuse(request, refusal)
        elif flags & (_BINARY | _EIGHT_BIT) and self._must_rewrite(flags):
            self._rewriting = asyncio.ensure_future(self._rewrite(request, needs_utf8))
        else:
            self._say(request, flags, needs_utf8)

    def _refuse(self, request: AttemptRequest, refusal: Status) -> None:
        """Without a word to the server."""
        now, clock = self._craft.clock.now(), self._craft.clock.monotonic()
        transaction = Transaction(request, self.target.host, [b"* " + refusal.text.encode()], now, clock)
        transaction.settle(refusal)
        self._report(transaction)

    def _say(self, request: AttemptRequest, flags: int, needs_utf8: bool, rewritten: bytes | None = None) -> None:
        machine, message, deliveries = self.machine, request.message, request.deliveries
        terms = message.terms
        now, clock = self._craft.clock.now(), self._craft.clock.monotonic()
        if self._dirty:
            self._dirty = False
            machine.reset()
        parameters = NO_PARAMETERS if terms is None else mail_parameters(terms, now, machine.capabilities)
        is_named = names_it(message, machine.capabilities)
        machine.mail(
            self._reverse_path(message, deliveries),
            size=message.size if rewritten is None else len(rewritten),
            eight_bit=flags & _EIGHT_BIT != 0,
            binary=flags & _BINARY != 0,
            utf8=needs_utf8,
            parameters=parameters,
            envid=id_text(message.id) if is_named else "",
        )
        transaction = Transaction(request, self.target.host, machine.record, now, clock)
        self._transactions.append(transaction)
        if rewritten is not None:
            transaction.content = rewritten
        most = self._most_recipients
        if 0 < most < len(deliveries):
            transaction.keep_to(most)
            deliveries = deliveries[:most]
        asked = terms is not None
        for delivery in deliveries:
            asked = asked or delivery.terms is not None
            if delivery.terms is None:
                machine.rcpt(delivery.forward_path, named=is_named)
            else:
                machine.rcpt(delivery.forward_path, rcpt_parameters(delivery.terms), named=is_named)
        if asked:
            transaction.offered = offered_to(terms, now, machine.capabilities)
        machine.start_body(stuff=flags & _DOT_LINES != 0, chunk=message.size if flags & _BINARY else None)

    def _reverse_path(self, message: Message, deliveries: Sequence[Delivery]) -> str:
        """The sender's own, but for mail of streams and mail that is passed on."""
        sender = self._craft.sender
        if sender is None or (message.server is None and deliveries[0].terms is None):
            return message.reverse_path
        return sender(message, deliveries)

    def _must_rewrite(self, flags: int) -> bool:
        """Binary content never goes as text; 8-bit content does, to those who do not say that they take it, unless a
        setting says otherwise (docs/quirks.md)."""
        capabilities = self.machine.capabilities
        if flags & _BINARY:
            return not capabilities.binary_mime
        return self._craft.convert and not capabilities.eight_bit_mime

    async def _rewrite(self, request: AttemptRequest, needs_utf8: bool) -> None:
        """Make the message fit for this server, then say it; or refuse it for good."""
        eight_bit = self.machine.capabilities.eight_bit_mime
        made: bytes | None = None
        try:
            made = await self._craft.rewriter.rewrite(request, eight_bit=eight_bit)
            refusal = None
        except CannotConvert as error:
            text = f"{self.target.host} does not take such content: {error}"
            refusal = Status(554, _CANNOT_CONVERT, text, "conversion is needed (RFC 6152 §3)", self.target.host)
        except Exception as error:
            _log.exception("a message could not be rewritten", error, message=request.message.id)
            refusal = status(451, "4.3.0", "a fault of this server; it will be tried again")
        self._rewriting = None
        if self._over:  # the connection did not last so long; what is done stays done
            self._feed.untried(request)
            return
        if refusal is not None:
            self._refuse(request, refusal)
            self._go_on()
        else:
            flags = _DOT_LINES | (_EIGHT_BIT if eight_bit else 0)
            self._say(request, flags, needs_utf8, made)
        self._connected.wake()

    def _unfit(self, request: AttemptRequest, needs_utf8: bool) -> Status | None:
        """Why this server cannot take this message, known before a word is said."""
        capabilities = self.machine.capabilities
        limit = capabilities.max_size
        host = self.target.host
        if limit is not None and request.message.size > limit:  # RFC 1870 §6.1
            text = f"the message is too large for {host}: it takes {limit} octets"
            return Status(552, status(552, "5.3.4", "").enhanced, text, "larger than the server's SIZE", host)
        if needs_utf8 and "SMTPUTF8" not in capabilities:  # RFC 6531 §3.2
            text = f"{host} does not take internationalized addresses"
            return Status(553, status(553, "5.6.7", "").enhanced, text, "SMTPUTF8 is not offered", host)
        terms = request.message.terms
        return None if terms is None else against(terms, self._craft.clock.now(), capabilities, host)

    def _mail(self, reply: RemoteReply) -> None:
        if reply.code == 421 and self._served:
            return  # tired of this connection, not of the message: it goes out on another one
        self._transactions[0].mail(reply, self._craft.clock.monotonic())

    def _rcpt(self, reply: RemoteReply) -> None:
        self._transactions[0].rcpt(reply, self._craft.clock.monotonic())

    def _skipped(self, command: Command) -> None:
        if command is Command.RCPT:
            self._transactions[0].rcpt(None, self._craft.clock.monotonic())
        else:
            self._without_body()

    def _data(self, reply: RemoteReply) -> None:
        transaction = self._transactions[0]
        if reply.code != 354:
            transaction.answer(reply, Command.DATA, self._craft.clock.monotonic())
            self._without_body()
        else:
            self._send_body()

    def _send_body(self) -> None:
        transaction = self._transactions[0]
        if transaction.content is not None:
            self.machine.body_chunk(transaction.content)
            self._final_dot(transaction)
        else:
            self._stream = asyncio.ensure_future(self._send_stream(transaction))

    def _without_body(self) -> None:
        """The transaction ended before its body; what the server thinks of it is not sure."""
        transaction = self._transactions.popleft()
        self._dirty = transaction.mail_accepted
        self._report(transaction)
        self._go_on()

    def _final_dot(self, transaction: Transaction) -> None:
        self._feed.dot_out(transaction.request)
        transaction.dot_sent(self._craft.clock.monotonic())
        self.machine.end_body()
        if not self.machine.pipelining or not self._quick or self._leaving or self._rewriting is not None:
            return
        if self._lmtp:
            return
        if self._served + len(self._transactions) < self._most:
            request = self._feed.next()
            if request is not None:
                self._begin(request)

    def _body(self, reply: RemoteReply) -> None:
        if self._lmtp and not self._transactions[0].answer_one(reply):
            return
        transaction = self._transactions.popleft()
        self._quick = transaction.answer(reply, Command.BODY, self._craft.clock.monotonic()) < QUICK
        self._report(transaction)
        self._go_on()

    def _report(self, transaction: Transaction, *, broken: bool = False) -> None:
        craft = self._craft
        first = self._served == 0
        outcome = transaction.outcome(
            AttemptId(craft.ids.new()),
            craft.clock.now(),
            craft.clock.monotonic(),
            address=self._address,
            tls=self._tls,
            timings=self._timings if first else {},
            dialogue=[*self._notes, *self._prologue] if first else [b"* message %d here" % (self._served + 1)],
            broken=broken,
        )
        self._served += 1
        self._feed.done(outcome)

    async def _send_stream(self, transaction: Transaction) -> None:
        """A large body, no faster than the server reads. A stalled server is cut by the driver."""
        request, connection = transaction.request, self._connected
        assert request.stream is not None
        sent = 0
        try:
            async for chunk in request.stream():
                if self._over:
                    return
                sent += len(chunk)
                self.machine.body_chunk(chunk)
                connection.wake()
                await connection.drained()
            if sent != request.message.size:
                raise ValueError(f"the stored message has {sent} octets instead of {request.message.size}")
        except ConnectionError:
            return  # `disconnected` tells
        except Exception as error:
            _log.exception("a message could not be read", error, message=request.message.id)
            connection.abort()
            return
        if not self._over:
            self._final_dot(transaction)
            connection.wake()

    # -- the end -----------------------------------------------------------------------------------------------

    def _quit(self, reply: RemoteReply) -> None:  # noqa: ARG002 - whatever it says
        self._connected.close()

    def _other(self, reply: RemoteReply) -> None:
        """RSET: a refusal shows in what follows."""

    def _leave(self) -> None:
        self.is_idle = False
        self._over = True
        self.machine.quit()
        self._tell_gone()

    def _ended(self, event: ConversationEnded) -> None:
        self._lose(event.text)
        self._connected.close()

    def _lose(self, text: str) -> None:
        """No more will come: settle what is under way, once."""
        self._over = True
        if self._handshaking:
            self.tls_failed = text
        if self._stream is not None:
            self._stream.cancel()
        if not self.opened.done():
            why = status(451, "4.4.2", f"the conversation with {self.target.host} broke off", text)
            if self._handshaking and self.target.needs_tls:
                reason = text.removeprefix("TLS: ")[:200]
                why = self._insecure(f"TLS with {self.target.host} failed: {reason}", "the handshake failed")
            self.opened.set_result(self.failure(why))
        while self._transactions:
            transaction = self._transactions.popleft()
            if self._served and not transaction.heard and not transaction.request.put_back:
                self._feed.untried(transaction.request)
            else:
                transaction.lost(text)
                self._report(transaction, broken=True)
        self._tell_gone()

    def _tell_gone(self) -> None:
        self.is_idle = False
        if not self._gone:
            self._gone = True
            self._feed.ended(self)


_ON_REPLY: dict[Command, Callable[[Conversation, RemoteReply], None]] = {
    Command.GREETING: Conversation._greeting,
    Command.EHLO: Conversation._ehlo,
    Command.HELO: Conversation._helo,
    Command.STARTTLS: Conversation._starttls,
    Command.AUTH: Conversation._auth,
    Command.MAIL: Conversation._mail,
    Command.RCPT: Conversation._rcpt,
    Command.DATA: Conversation._data,
    Command.BODY: Conversation._body,
    Command.RSET: Conversation._other,
    Command.QUIT: Conversation._quit,
}
