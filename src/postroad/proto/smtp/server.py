"""The SMTP server machine: MX, submission and LMTP from one table (RFC 5321, 6409, 2033; RFC 3030, 3207, 4954).

It keeps the order of commands, reads lines and bodies, answers what needs no policy, and asks for everything else by an
event (`server_events.py`). Who is let in and what is done with a message is for `sessions.smtp`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from postroad.mail.envelope import TlsInfo
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.body import BodyFault, BodyReader, ChunkReader
from postroad.proto.smtp.conversation import Answered, Conversation
from postroad.proto.smtp.encodings import decode_base64, encode_base64
from postroad.proto.smtp.grammar import MAX_AUTH_LINE, VERBS, Auth, Bdat, Hello, Mail, Plain, Rcpt
from postroad.proto.smtp.lines import Unreadable, read_line
from postroad.proto.smtp.order import (
    Progress,
    against_auth,
    against_bdat,
    against_data,
    against_mail,
    against_rcpt,
    against_starttls,
    against_xclient,
)
from postroad.proto.smtp.profile import (
    HELLO_VERBS,
    STRANGER,
    Dialect,
    ServerProfile,
    banner,
    greeting,
    help_reply,
)
from postroad.proto.smtp.reply import Reply
from postroad.proto.smtp.server_events import (
    AuthResponse,
    AuthStarted,
    BodyChunk,
    BodyEnd,
    ClientIntroduced,
    CommandAnswered,
    CommandRefused,
    DataRequested,
    EndReason,
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
from postroad.proto.wire import LineFault, ProtocolMisuse, Signal

BODY_REPLIES: Final = {
    BodyFault.TOO_LARGE: replies.TOO_LARGE,
    BodyFault.BARE_CR: replies.BARE_ENDINGS,
    BodyFault.BARE_LF: replies.BARE_ENDINGS,
    BodyFault.HIDDEN_DOT: replies.HIDDEN_DOT,
}
_NOOP, _HELP, _VRFY, _BDAT = (CommandAnswered(verb) for verb in ("NOOP", "HELP", "VRFY", "BDAT"))
_DATA, _FIRST_CHUNK = DataRequested(), DataRequested(chunked=True)
_RESET, _TLS, _QUIT = TransactionReset(), TlsRequested(), Quit()


class SmtpServer(Conversation):
    """One conversation, seen from the server."""

    __slots__ = ("_body", "_chunk", "_exchanging", "_progress", "standing")

    def __init__(self, profile: ServerProfile) -> None:
        super().__init__(profile)
        self.standing = STRANGER
        self._progress = Progress(secured=profile.secured)
        self._exchanging = False  # the next line belongs to an AUTH exchange
        self._body: BodyReader | _Chunk | None = None  # what comes next is no command
        self._chunk: _Chunk | None = None  # whose leave to be taken is being asked

    # --- the machine -------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the client. What comes between `accept_tls` and the handshake's end is no plaintext of
        anyone we know (RFC 3207 §4.2): it is dropped, as is all behind the end."""
        if not self._ended and self._answered is not SmtpServer._handshake_failed:
            self._buffer.feed(data)

    def next_event(self) -> Event | Signal:
        """The next event; NEED_DATA; or PAUSED while one waits for its answer."""
        if self._events:
            return self._events.pop(0)
        if self._answered is not None:
            return Signal.PAUSED
        body = self._body
        if body is not None:
            return self._read_body(body) if isinstance(body, BodyReader) else self._read_chunk(body)
        line = self._buffer.take_line(MAX_AUTH_LINE)
        if line is None:
            return self._need_data()
        return self._exchange_line(line) if self._exchanging else self._command_line(line)

    @property
    def patience(self) -> float:
        return self.profile.data_timeout if self._body is not None else self.profile.command_timeout

    # --- answers ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Say the banner."""
        self._out.append(banner(self.profile).wire)

    def answer_each(self, each: Sequence[Reply]) -> None:
        """LMTP: answer BodyEnd for each accepted recipient, in order (RFC 2033 §4.2)."""
        if self.profile.dialect is not Dialect.LMTP or len(each) != self._progress.recipients:
            raise ProtocolMisuse("one reply for each accepted recipient, in LMTP only")
        self._expect(SmtpServer._body_answered)
        self._out.extend(one.wire for one in each)
        if any(one.code < 300 for one in each):
            self._progress.idle = 0
        self._progress.end_transaction()
        self._interrupt_now()

    def accept_body(self) -> None:
        """Answer DataRequested: 354, and the content may come. A chunk comes unasked."""
        self._expect(SmtpServer._data_refused)
        profile, chunk = self.profile, self._chunk
        if chunk is None:
            self._out.append(replies.START_MAIL.wire)
            self._body = BodyReader(profile.max_size, repair_bare_lf=profile.repair_bare_lf)
        else:
            binary = "BINARYMIME" in self._progress.asks
            content = ChunkReader(profile.max_size, repair_bare_lf=profile.repair_bare_lf, binary=binary)
            self._progress.content = content
            self._open_chunk(chunk, content)
        self._interrupt_now()

    def accept_tls(self) -> None:
        """Answer TlsRequested: 220; plaintext that came behind the command is dropped (RFC 3207 §4.2)."""
        self._expect(SmtpServer._tls_refused)
        self._answered = SmtpServer._handshake_failed
        self._out.append(replies.READY_FOR_TLS.wire)
        self._buffer.clear()

    def tls_established(self, _info: TlsInfo) -> None:
        """TLS is active: everything said before is forgotten (RFC 3207 §4.2)."""
        if self._answered is SmtpServer._handshake_failed:
            self._answered = None
        if self._progress.end_transaction():
            self._events.append(_RESET)
        self._progress = Progress(secured=True)
        self._interrupt_now()

    def challenge(self, data: bytes) -> None:
        """Answer AuthStarted or AuthResponse: go on with the exchange."""
        self._expect(SmtpServer._auth_refused)
        self._exchanging = True
        self._out.append(b"334 " + encode_base64(data) + b"\r\n")
        self._interrupt_now()

    def authenticated(self) -> None:
        """Answer AuthStarted or AuthResponse: the client is who it says."""
        self._expect(SmtpServer._auth_refused)
        self._exchanging = False
        self._progress.authenticated = True
        self._out.append(replies.AUTHENTICATED.wire)
        self._interrupt_now()

    def accept_client(self, *, hello: str = "", authenticated: bool = False) -> None:
        """Answer ClientIntroduced: the banner once more, for another client. `hello` is the verb that it greeted with,
        where the gateway told its name."""
        self._expect(SmtpServer._xclient_refused)
        before = self._progress
        self._progress = progress = Progress(secured=before.secured)
        progress.hello, progress.authenticated, progress.idle = hello, authenticated, before.idle
        self._out.append(banner(self.profile).wire)
        self._interrupt_now()

    # --- what an answer does ------------------------------------------------------------------------------------------

    def _hello_answered(self, reply: Reply) -> None:
        if not reply.is_positive:
            self._say_refusal(reply)
            return
        progress = self._progress
        if progress.end_transaction():
            self._events.append(_RESET)
        self._out.append(
            greeting(self.profile, progress.hello, progress.secured, progress.authenticated, self.standing)
        )

    def _mail_answered(self, reply: Reply) -> None:
        if reply.is_positive:
            self._progress.begin_transaction()
            self._progress.transactions += 1
            self._out.append(reply.wire)
        else:
            self._say_refusal(reply)

    def _rcpt_answered(self, reply: Reply) -> None:
        if reply.is_positive:
            self._progress.recipients += 1
        self._out.append(reply.wire)

    def _data_refused(self, reply: Reply) -> None:
        if reply.is_positive:
            raise ProtocolMisuse("a body is accepted by accept_body()")
        self._progress.end_transaction()
        if self._chunk is None:
            self._out.append(reply.wire)
        else:
            self._swallow(self._chunk, reply, told=True)

    def _body_answered(self, reply: Reply) -> None:
        each = self._progress.recipients if self.profile.dialect is Dialect.LMTP else 1  # RFC 2033 §4.2
        self._out.append(reply.wire * each)
        if reply.code < 300:
            self._progress.idle = 0
        self._progress.end_transaction()

    def _chunk_refused(self, reply: Reply) -> None:
        """A chunk before the last, refused: one reply in LMTP too; what was sent behind it is refused as well."""
        self._out.append(reply.wire)
        self._progress.end_transaction()
        self._progress.lost = True

    def _tls_refused(self, reply: Reply) -> None:
        self._out.append(reply.wire)

    def _handshake_failed(self, reply: Reply) -> None:
        raise ProtocolMisuse(f"between accept_tls() and tls_established() nothing can be said: {reply}")

    def _auth_refused(self, reply: Reply) -> None:
        self._exchanging = False
        self._say_refusal(reply)

    def _xclient_refused(self, reply: Reply) -> None:
        self._say_refusal(reply)

    # --- lines --------------------------------------------------------------------------------------------------------

    def _command_line(self, line: bytes | LineFault) -> Event | Signal:
        if not isinstance(line, bytes):
            return self._refuse(replies.LINE_TOO_LONG)
        try:
            verb, command = read_line(line)
        except Unreadable as unreadable:
            return self._refuse_line(line, unreadable)
        return _HANDLERS[verb](self, command)

    def _refuse_line(self, line: bytes, unreadable: Unreadable) -> Event:
        reply = unreadable.reply
        if reply is replies.NOT_HTTP:
            self._say_and_end(reply, EndReason.NOT_SMTP)
            return CommandRefused(Stage.CONNECT, reply, unreadable.text)
        if line[:4].upper() == b"BDAT":  # how many octets follow is not known: they would be read as commands
            return self._refuse_and_end(reply, unreadable.text)
        return self._refuse(reply, unreadable.verb, unreadable.text)

    def _refuse_and_end(self, refusal: Reply, line: str, stage: Stage = Stage.DATA) -> Event:
        self._say_and_end(refusal, EndReason.REFUSED)
        return CommandRefused(stage, refusal, line)

    def _exchange_line(self, line: bytes | LineFault) -> Event:
        """A client's response in an AUTH exchange (RFC 4954 §4)."""
        if not isinstance(line, bytes):
            return self._break_exchange(replies.AUTH_LINE_TOO_LONG)
        if line[-2:] != b"\r\n":
            return self._break_exchange(replies.BARE_LINE_END)
        if line == b"*\r\n":
            return self._break_exchange(replies.AUTH_CANCELLED)
        data = decode_base64(line[:-2])
        if data is None:
            return self._break_exchange(replies.BAD_BASE64)
        self._answered = SmtpServer._auth_refused
        return AuthResponse(data)

    def _break_exchange(self, reply: Reply) -> Event:
        self._exchanging = False
        refused = self._refuse(reply, "AUTH")
        self._events.insert(0, AuthResponse(None))
        return refused

    def _read_body(self, body: BodyReader) -> Event | Signal:
        data = self._buffer.take_all()
        if not data:
            return self._need_data()
        content, rest = body.feed(data)
        if rest is None:
            return BodyChunk(content) if content else self._need_data()
        if rest:
            self._buffer.feed(rest)
        self._body = None
        self._answered = SmtpServer._body_answered
        end = BodyEnd(body.fault, body.size, body.flags)
        if not content:
            return end
        self._events.append(end)
        return BodyChunk(content)

    def _open_chunk(self, chunk: _Chunk, content: ChunkReader) -> None:
        self._chunk = None
        content.open(chunk.size, last=chunk.last)
        self._body = chunk

    def _swallow(self, chunk: _Chunk, refusal: Reply, *, told: bool) -> None:
        """A chunk is refused once it has come, whatever is in it (RFC 3030 §4.2)."""
        self._chunk = None
        chunk.refusal, chunk.told = refusal, told
        self._body = chunk

    def _read_chunk(self, chunk: _Chunk) -> Event | Signal:
        data = self._buffer.take(chunk.left)
        chunk.left -= len(data)
        if chunk.left and not data:
            return self._need_data()
        if chunk.refusal is not None:
            return self._need_data() if chunk.left else self._refuse_chunk(chunk, chunk.refusal)
        reader = self._progress.content
        assert reader is not None
        content = reader.feed(data)
        if chunk.left:
            return BodyChunk(content) if content else self._need_data()
        self._body = None
        event = self._chunk_taken(chunk, reader)
        if not content:
            return event
        self._events.append(event)
        return BodyChunk(content)

    def _chunk_taken(self, chunk: _Chunk, reader: ChunkReader) -> Event:
        """A chunk has come whole: the next may follow, or the content is complete, or it is refused here and now."""
        if not reader.is_over:
            self._out.append(b"250 2.0.0 %d octets received\r\n" % chunk.size)
            return _BDAT
        self._answered = SmtpServer._body_answered if chunk.last else SmtpServer._chunk_refused
        return BodyEnd(reader.fault, reader.size, reader.flags)

    def _refuse_chunk(self, chunk: _Chunk, refusal: Reply) -> Event:
        """One mistake, not one for each chunk that was already on its way."""
        self._body = None
        lost, self._progress.lost = self._progress.lost, True
        if not lost and not chunk.told:
            return self._refuse(refusal, "BDAT", "BDAT")
        return self._answer_idle(refusal, _BDAT)

    # --- commands -----------------------------------------------------------------------------------------------------

    def _hello_command(self, command: Hello) -> Event:
        if command.verb not in HELLO_VERBS[self.profile.dialect]:
            return self._refuse(replies.UNKNOWN_COMMAND, line=command.verb)
        progress = self._progress
        progress.idle += 1
        if progress.idle > self.profile.max_idle_commands:
            return self._end_idleness(command.verb)
        self._answered = _hello_of[command.verb]
        return HelloReceived(command.verb, command.name)

    def _mail_command(self, command: Mail) -> Event:
        progress, profile = self._progress, self.profile
        refusal = against_mail(progress, profile, command, listed=self.standing.listed)
        if refusal is not None:
            return self._refuse(refusal, "MAIL", f"MAIL FROM:<{command.reverse_path}>")
        progress.idle += 1
        if progress.idle > profile.max_idle_commands:
            return self._end_idleness("MAIL")
        if 0 < profile.max_transactions <= progress.transactions:
            return self._refuse_and_end(replies.TOO_MANY_TRANSACTIONS, "MAIL", Stage.MAIL)
        parameters = command.parameters
        progress.asks = parameters.asks
        self._answered = SmtpServer._mail_answered
        return MailReceived(command.reverse_path, parameters)

    def _rcpt_command(self, command: Rcpt) -> Event:
        progress = self._progress
        if not progress.open or progress.content is not None or command.utf8 or command.parameters.asks:
            refusal = against_rcpt(progress, self.profile, command)
            if refusal is not None:
                return self._refuse(refusal, "RCPT", f"RCPT TO:<{command.forward_path}>")
        progress.tried = True
        if progress.recipients >= self.profile.max_recipients:
            # RFC 5321 §4.5.3.1.10. Not counted as an error: the client cannot know our limit.
            refusal = replies.TOO_MANY_RECIPIENTS
            self._out.append(refusal.wire)
            return CommandRefused(Stage.RCPT, refusal, f"RCPT TO:<{command.forward_path}>")
        self._answered = SmtpServer._rcpt_answered
        return RcptReceived(command.forward_path, command.parameters)

    def _data_command(self, _command: Plain) -> Event:
        refusal = against_data(self._progress)
        if refusal is not None:
            return self._refuse(refusal, "DATA", "DATA")
        self._answered = SmtpServer._data_refused
        return _DATA

    def _bdat_command(self, command: Bdat) -> Event | Signal:
        if command.size > self.profile.max_size:  # no octet of it is worth reading
            return self._refuse_and_end(replies.TOO_LARGE, f"BDAT {command.size}")
        chunk = _Chunk(command.size, command.last)
        refusal = against_bdat(self._progress, self.profile)
        if refusal is not None:
            self._swallow(chunk, refusal, told=False)
            return self._read_chunk(chunk)
        if self._progress.content is not None:
            self._open_chunk(chunk, self._progress.content)
            return self._read_chunk(chunk)
        self._chunk = chunk
        self._answered = SmtpServer._data_refused
        return _FIRST_CHUNK

    def _rset_command(self, _command: Plain) -> Event:
        self._progress.end_transaction()
        return self._answer_idle(replies.OK, _RESET)

    def _noop_command(self, _command: Plain) -> Event:
        return self._answer_idle(replies.OK, _NOOP)

    def _vrfy_command(self, command: Plain) -> Event:
        text = command.argument
        if not text.isascii() and not ("SMTPUTF8" in self.profile.extensions and text.upper().endswith(" SMTPUTF8")):
            return self._refuse(replies.NEEDS_SMTPUTF8, line="VRFY")  # RFC 6531 §3.7.4.2
        return self._answer_idle(replies.CANNOT_VRFY, _VRFY)

    def _help_command(self, command: Plain) -> Event:
        return self._answer_idle(help_reply(self.profile.dialect, command.argument.upper()), _HELP)

    def _answer_idle(self, reply: Reply, event: Event) -> Event:
        """A command that brings no mail: some are in order, many only keep us busy."""
        self._progress.idle += 1
        if self._progress.idle > self.profile.max_idle_commands:
            return self._end_idleness("")
        self._out.append(reply.wire)
        return event

    def _end_idleness(self, line: str) -> Event:
        self._say_and_end(replies.TOO_MANY_COMMANDS, EndReason.IDLE)
        return CommandRefused(Stage.CONNECT, replies.TOO_MANY_COMMANDS, line)

    def _quit_command(self, _command: Plain) -> Event:
        self._out.append(replies.CLOSING.wire)
        self._stop()
        return _QUIT

    def _starttls_command(self, _command: Plain) -> Event:
        refusal = against_starttls(self._progress, self.profile)
        if refusal is not None:
            return self._refuse(refusal, line="STARTTLS")
        self._answered = SmtpServer._tls_refused
        return _TLS

    def _auth_command(self, command: Auth) -> Event:
        refusal = against_auth(self._progress, self.profile, command, certified=self.standing.certified)
        if refusal is not None:
            return self._refuse(refusal, "AUTH", f"AUTH {command.mechanism}")
        self._answered = SmtpServer._auth_refused
        return AuthStarted(command.mechanism, command.initial)

    def _xclient_command(self, command: Xclient) -> Event:
        refusal = against_xclient(self._progress, self.profile, may_introduce=self.standing.may_introduce)
        if refusal is not None:
            return self._refuse(refusal, line="XCLIENT")
        self._answered = SmtpServer._xclient_refused
        return ClientIntroduced(command)

    def _stop(self) -> None:
        super()._stop()
        self._exchanging = False
        self._body = self._chunk = None
        self._progress.end_transaction()


class _Chunk:
    """One BDAT, while its octets come."""

    __slots__ = ("last", "left", "refusal", "size", "told")

    def __init__(self, size: int, last: bool) -> None:
        self.size = self.left = size
        self.last = last
        self.refusal: Reply | None = None  # to be said when they have come
        self.told = False  # the session knows of it


def _hello_answered_as(verb: str) -> Answered:
    """The verb is remembered only when the greeting is accepted (RFC 5321 §4.1.4)."""

    def answered(machine: SmtpServer, reply: Reply) -> None:
        if reply.is_positive:
            machine._progress.hello = verb
        machine._hello_answered(reply)

    return answered


_hello_of: Final = {verb: _hello_answered_as(verb) for verb in ("HELO", "EHLO", "LHLO")}

_HANDLERS: Final[dict[str, Callable[[SmtpServer, Any], Event | Signal]]] = {
    "HELO": SmtpServer._hello_command,
    "EHLO": SmtpServer._hello_command,
    "LHLO": SmtpServer._hello_command,
    "MAIL": SmtpServer._mail_command,
    "RCPT": SmtpServer._rcpt_command,
    "DATA": SmtpServer._data_command,
    "BDAT": SmtpServer._bdat_command,
    "RSET": SmtpServer._rset_command,
    "NOOP": SmtpServer._noop_command,
    "QUIT": SmtpServer._quit_command,
    "HELP": SmtpServer._help_command,
    "VRFY": SmtpServer._vrfy_command,
    "STARTTLS": SmtpServer._starttls_command,
    "AUTH": SmtpServer._auth_command,
    "XCLIENT": SmtpServer._xclient_command,
}
assert _HANDLERS.keys() == {verb.name for verb in VERBS.values() if verb.read is not None}
