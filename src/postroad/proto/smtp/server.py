"""The SMTP server machine: MX, submission and LMTP from one table (RFC 5321, 6409, 2033; RFC 3207, 4954, 1870, 6152).

It keeps the order of commands, reads lines and bodies, answers what needs no policy, and asks for everything else by an
event (`server_events.py`). Who is let in and what is done with a message is for `sessions.smtp`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from postroad.mail.envelope import TlsInfo
from postroad.mail.status import Status
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.body import BodyFault, BodyReader
from postroad.proto.smtp.grammar import (
    MAX_AUTH_LINE,
    MAX_COMMAND_LINE,
    VERBS,
    Auth,
    CommandFault,
    Hello,
    Mail,
    Plain,
    Rcpt,
    Verb,
    decode_base64,
    encode_base64,
)
from postroad.proto.smtp.order import Progress, against_auth, against_data, against_mail, against_starttls
from postroad.proto.smtp.profile import HELLO_VERBS, Dialect, ServerProfile, banner, greeting, help_reply
from postroad.proto.smtp.reply import Reply, from_status
from postroad.proto.smtp.server_events import (
    AuthResponse,
    AuthStarted,
    BodyChunk,
    BodyEnd,
    CommandAnswered,
    CommandRefused,
    ConversationEnded,
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
from postroad.proto.wire import Interruption, LineFault, ProtocolMisuse, ReceiveBuffer, Signal

BODY_REPLIES: Final = {
    BodyFault.TOO_LARGE: replies.TOO_LARGE,
    BodyFault.BARE_CR: replies.BARE_ENDINGS,
    BodyFault.BARE_LF: replies.BARE_ENDINGS,
}
_INTERRUPTIONS: Final = {
    Interruption.TIMEOUT: (replies.TIMED_OUT, EndReason.TIMEOUT),
    Interruption.SHUTDOWN: (replies.SHUTTING_DOWN, EndReason.SHUTDOWN),
    Interruption.OVERLOAD: (replies.OVERLOADED, EndReason.OVERLOAD),
}
# A browser that was made to talk to a mail server must not get as far as its body, which an attacker chose.
_HTTP: Final = frozenset(("GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI"))
_STAGES: Final = {"AUTH": Stage.AUTH, "MAIL": Stage.MAIL, "RCPT": Stage.RCPT, "DATA": Stage.DATA}
_NOOP, _HELP, _VRFY = CommandAnswered("NOOP"), CommandAnswered("HELP"), CommandAnswered("VRFY")
_RESET = TransactionReset()


class SmtpServer:
    """One conversation, seen from the server."""

    __slots__ = (
        "_answered",
        "_body",
        "_buffer",
        "_ended",
        "_eof",
        "_errors",
        "_events",
        "_exchanging",
        "_interruption",
        "_out",
        "_progress",
        "profile",
    )

    def __init__(self, profile: ServerProfile) -> None:
        self.profile = profile
        self._buffer = ReceiveBuffer()
        self._out: list[bytes] = []
        self._events: list[Event] = []  # to be told before anything else is read
        self._answered: Callable[[SmtpServer, Reply], None] | None = None  # what an answer does; None: none is awaited
        self._interruption: Interruption | None = None  # to be said once the awaited answer has been given
        self._progress = Progress(secured=profile.secured)
        self._exchanging = False  # the next line belongs to an AUTH exchange
        self._body: BodyReader | None = None
        self._errors = 0
        self._eof = False
        self._ended = False

    # --- the six members ----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the client. What comes between `accept_tls` and the handshake's end is no plaintext of
        anyone we know (RFC 3207 §4.2): it is dropped, as is all behind the end."""
        if not self._ended and self._answered is not SmtpServer._handshake_failed:
            self._buffer.feed(data)

    def receive_eof(self) -> None:
        """The client stopped sending; what it sent before is still answered."""
        self._eof = True

    def next_event(self) -> Event | Signal:
        """The next event; NEED_DATA; or PAUSED while one waits for its answer."""
        if self._events:
            return self._events.pop(0)
        if self._answered is not None:
            return Signal.PAUSED
        if self._body is not None:
            return self._read_body(self._body)
        line = self._buffer.take_line(MAX_AUTH_LINE)
        if line is None:
            return self._need_data()
        return self._exchange_line(line) if self._exchanging else self._command_line(line)

    def data_to_send(self) -> bytes:
        """Bytes for the client, gathered since the last call."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @property
    def patience(self) -> float:
        return self.profile.data_timeout if self._body is not None else self.profile.command_timeout

    def interrupt(self, reason: Interruption) -> None:
        """Say 421 and end; an answer that is awaited comes first, because the client waits for it."""
        if self._ended:
            return
        if self._answered is not None:
            self._interruption = reason
            return
        self._say_and_end(*_INTERRUPTIONS[reason])

    # --- answers ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Say the banner."""
        self._out.append(banner(self.profile).wire)

    def end(self, last: Reply) -> None:
        """End the conversation with these words, whatever it is at; instead of the banner too (RFC 5321 §3.1)."""
        self._answered = None
        if not self._ended:
            self._say_and_end(last, EndReason.REFUSED)

    def answer(self, reply: Reply) -> None:
        """Answer the event that waits. A 421 ends the conversation (RFC 5321 §3.8)."""
        answered, self._answered = self._answered, None
        if answered is None:
            if self._ended:  # we ended it while the answer was on its way
                return
            raise ProtocolMisuse("no event waits for an answer")
        if reply.code == 421:
            self._say_and_end(reply, EndReason.REFUSED)
            return
        answered(self, reply)
        self._interrupt_now()

    def answer_status(self, status: Status) -> None:
        """Answer with a status."""
        self.answer(from_status(status))

    def answer_each(self, each: Sequence[Reply]) -> None:
        """LMTP: answer BodyEnd for each accepted recipient, in order (RFC 2033 §4.2)."""
        self._expect(SmtpServer._body_answered)
        if self.profile.dialect is not Dialect.LMTP or len(each) != self._progress.recipients:
            raise ProtocolMisuse("one reply for each accepted recipient, in LMTP only")
        self._answered = None
        self._out.extend(one.wire for one in each)
        self._progress.end_transaction()
        self._interrupt_now()

    def accept_body(self) -> None:
        """Answer DataRequested: 354, and the content may come."""
        self._expect(SmtpServer._data_refused)
        self._answered = None
        self._out.append(replies.START_MAIL.wire)
        self._body = BodyReader(self.profile.max_size, repair_bare_lf=self.profile.repair_bare_lf)

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
        self._answered = None
        self._exchanging = True
        self._out.append(b"334 " + encode_base64(data) + b"\r\n")

    def authenticated(self) -> None:
        """Answer AuthStarted or AuthResponse: the client is who it says."""
        self._expect(SmtpServer._auth_refused)
        self._answered = None
        self._exchanging = False
        self._progress.authenticated = True
        self._out.append(replies.AUTHENTICATED.wire)
        self._interrupt_now()

    @property
    def waits(self) -> bool:
        """Whether an event waits for its answer."""
        return self._answered is not None

    # --- what an answer does ------------------------------------------------------------------------------------------

    def _hello_answered(self, reply: Reply) -> None:
        if not reply.is_positive:
            self._say_refusal(reply)
            return
        progress = self._progress
        if progress.end_transaction():
            self._events.append(_RESET)
        self._out.append(greeting(self.profile, progress.hello, progress.secured, progress.authenticated))

    def _mail_answered(self, reply: Reply) -> None:
        if reply.is_positive:
            self._progress.begin_transaction()
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
        self._out.append(reply.wire)
        self._progress.end_transaction()

    def _body_answered(self, reply: Reply) -> None:
        each = self._progress.recipients if self.profile.dialect is Dialect.LMTP else 1  # RFC 2033 §4.2
        self._out.append(reply.wire * each)
        self._progress.end_transaction()

    def _tls_refused(self, reply: Reply) -> None:
        self._out.append(reply.wire)

    def _handshake_failed(self, reply: Reply) -> None:
        raise ProtocolMisuse(f"between accept_tls() and tls_established() nothing can be said: {reply}")

    def _auth_refused(self, reply: Reply) -> None:
        self._exchanging = False
        self._say_refusal(reply)

    # --- lines --------------------------------------------------------------------------------------------------------

    def _command_line(self, line: bytes | LineFault) -> Event:
        if not isinstance(line, bytes):
            return self._refuse(replies.LINE_TOO_LONG)
        if line[-2:] != b"\r\n":
            return self._refuse(replies.BARE_LINE_END)
        try:
            text = line[:-2].decode("ascii").rstrip(" ")  # RFC 5321 §4.1.1: trailing white space is tolerated
        except UnicodeDecodeError:
            return self._refuse(_non_ascii(line))
        if not text.isprintable():
            return self._refuse(replies.BAD_CHARACTERS)
        word, _, argument = text.partition(" ")
        row = _ROWS.get(word) or _ROWS.get(word.upper())
        if row is None:
            return self._unknown(word, text, len(line))
        verb, handle = row
        if len(line) > verb.max_line:
            return self._refuse(replies.LINE_TOO_LONG, verb.name)
        if verb.read is None:
            return self._refuse(replies.NOT_IMPLEMENTED, verb.name, text)
        try:
            return handle(self, verb.read(verb.name, argument.lstrip(" ")))
        except CommandFault as fault:
            return self._refuse(fault.reply, verb.name, text)

    def _unknown(self, word: str, text: str, length: int) -> Event:
        if word.upper() in _HTTP:
            self._say_and_end(replies.NOT_HTTP, EndReason.NOT_SMTP)
            return CommandRefused(Stage.CONNECT, replies.NOT_HTTP, word)
        if length > MAX_COMMAND_LINE:
            return self._refuse(replies.LINE_TOO_LONG)
        return self._refuse(replies.UNKNOWN_COMMAND, line=text)

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

    def _need_data(self) -> Event | Signal:
        if not self._eof or self._ended:
            return Signal.NEED_DATA
        self._end(EndReason.EOF)
        return self._events.pop(0)

    # --- commands -----------------------------------------------------------------------------------------------------

    def _hello_command(self, command: Hello) -> Event:
        if command.verb not in HELLO_VERBS[self.profile.dialect]:
            return self._refuse(replies.UNKNOWN_COMMAND, line=command.verb)
        self._answered = _hello_of[command.verb]
        return HelloReceived(command.verb, command.name)

    def _mail_command(self, command: Mail) -> Event:
        refusal = against_mail(self._progress, self.profile, command)
        if refusal is not None:
            return self._refuse(refusal, "MAIL", f"MAIL FROM:<{command.reverse_path}>")
        self._answered = SmtpServer._mail_answered
        return MailReceived(command.reverse_path, command.parameters)

    def _rcpt_command(self, command: Rcpt) -> Event:
        progress = self._progress
        if not progress.open:
            return self._refuse(replies.SAY_MAIL_FIRST, "RCPT", f"RCPT TO:<{command.forward_path}>")
        progress.tried = True
        if (
            progress.recipients >= self.profile.max_recipients
        ):  # RFC 5321 §4.5.3.1.10; no error: the client may not know
            refusal = replies.TOO_MANY_RECIPIENTS
            self._out.append(refusal.wire)
            return CommandRefused(Stage.RCPT, refusal, f"RCPT TO:<{command.forward_path}>")
        self._answered = SmtpServer._rcpt_answered
        return RcptReceived(command.forward_path)

    def _data_command(self, _command: Plain) -> Event:
        refusal = against_data(self._progress)
        if refusal is not None:
            return self._refuse(refusal, "DATA", "DATA")
        self._answered = SmtpServer._data_refused
        return DataRequested()

    def _rset_command(self, _command: Plain) -> Event:
        self._progress.end_transaction()
        self._out.append(replies.OK.wire)
        return _RESET

    def _noop_command(self, _command: Plain) -> Event:
        self._out.append(replies.OK.wire)
        return _NOOP

    def _vrfy_command(self, _command: Plain) -> Event:
        self._out.append(replies.CANNOT_VRFY.wire)
        return _VRFY

    def _help_command(self, command: Plain) -> Event:
        self._out.append(help_reply(self.profile.dialect, command.argument.upper()).wire)
        return _HELP

    def _quit_command(self, _command: Plain) -> Event:
        self._out.append(replies.CLOSING.wire)
        self._stop()
        return Quit()

    def _starttls_command(self, _command: Plain) -> Event:
        refusal = against_starttls(self._progress, self.profile)
        if refusal is not None:
            return self._refuse(refusal, line="STARTTLS")
        self._answered = SmtpServer._tls_refused
        return TlsRequested()

    def _auth_command(self, command: Auth) -> Event:
        refusal = against_auth(self._progress, self.profile, command)
        if refusal is not None:
            return self._refuse(refusal, "AUTH", f"AUTH {command.mechanism}")
        self._answered = SmtpServer._auth_refused
        return AuthStarted(command.mechanism, command.initial)

    # --- small things -------------------------------------------------------------------------------------------------

    def _expect(self, answered: Callable[[SmtpServer, Reply], None]) -> None:
        if self._answered is not answered:
            raise ProtocolMisuse("this is not the answer that the waiting event takes")

    def _refuse(self, refusal: Reply, verb: str = "", line: str = "") -> Event:
        """Say what is wrong and count it. AUTH lines may hold secrets: `line` is their verb and mechanism at most."""
        said = self._say_refusal(refusal)
        if verb == "AUTH":
            line = " ".join(line.split(" ")[:2])
        return CommandRefused(_STAGES.get(verb, Stage.CONNECT), said, line)

    def _say_refusal(self, refusal: Reply) -> Reply:
        """Say it; but the last error that is allowed is answered by 421. Returns what was said."""
        self._errors += 1
        if self._errors >= self.profile.max_errors:
            self._say_and_end(replies.TOO_MANY_ERRORS, EndReason.ERRORS)
            return replies.TOO_MANY_ERRORS
        self._out.append(refusal.wire)
        return refusal

    def _say_and_end(self, last: Reply, reason: EndReason) -> None:
        self._out.append(last.wire)
        self._end(reason)

    def _end(self, reason: EndReason) -> None:
        self._stop()
        self._events.append(ConversationEnded(reason))

    def _stop(self) -> None:
        self._ended = True
        self._exchanging = False
        self._body = None
        self._progress.end_transaction()
        self._buffer.clear()

    def _interrupt_now(self) -> None:
        """Say the 421 that had to wait for an answer."""
        if self._interruption is not None and not self._ended and self._answered is None:
            self._say_and_end(*_INTERRUPTIONS[self._interruption])


def _hello_answered_as(verb: str) -> Callable[[SmtpServer, Reply], None]:
    """The verb is remembered only when the greeting is accepted (RFC 5321 §4.1.4)."""

    def answered(machine: SmtpServer, reply: Reply) -> None:
        if reply.is_positive:
            machine._progress.hello = verb
        machine._hello_answered(reply)

    return answered


_hello_of: Final = {verb: _hello_answered_as(verb) for verb in ("HELO", "EHLO", "LHLO")}

_HANDLERS: Final[dict[str, Callable[[SmtpServer, Any], Event]]] = {
    "HELO": SmtpServer._hello_command,
    "EHLO": SmtpServer._hello_command,
    "LHLO": SmtpServer._hello_command,
    "MAIL": SmtpServer._mail_command,
    "RCPT": SmtpServer._rcpt_command,
    "DATA": SmtpServer._data_command,
    "RSET": SmtpServer._rset_command,
    "NOOP": SmtpServer._noop_command,
    "QUIT": SmtpServer._quit_command,
    "HELP": SmtpServer._help_command,
    "VRFY": SmtpServer._vrfy_command,
    "STARTTLS": SmtpServer._starttls_command,
    "AUTH": SmtpServer._auth_command,
}


def _not_handled(_machine: SmtpServer, command: Plain) -> Event:
    raise ProtocolMisuse(f"{command.verb} is in the grammar and has no handler")


_ROWS: Final[dict[str, tuple[Verb, Callable[[SmtpServer, Any], Event]]]] = {
    name: (verb, _HANDLERS.get(name, _not_handled)) for name, verb in VERBS.items()
}


def _non_ascii(line: bytes) -> Reply:
    """An address in UTF-8 is told what it lacks; anything else is noise (RFC 6531 §3.5)."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return replies.BAD_CHARACTERS
    return replies.NEEDS_SMTPUTF8 if line[:4].upper() in (b"MAIL", b"RCPT") else replies.BAD_CHARACTERS
