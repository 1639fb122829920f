"""The SMTP server machine: MX, submission and LMTP from one table (RFC 5321, 6409, 2033; RFC 3030, 3207, 4954).

It keeps the order of commands, reads lines and bodies, answers what needs no policy, and asks for everything else by an
event (`server_events.py`). Who is let in and what is done with a message is for `sessions.smtp`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from postroad.mail.envelope import TlsInfo
from postroad.proto.smtp import reply as replies
from postroad.proto.smtp.body import BodyReader
from postroad.proto.smtp.content import ContentConversation
from postroad.proto.smtp.conversation import Answered
from postroad.proto.smtp.encodings import decode_base64, encode_base64
from postroad.proto.smtp.grammar import MAX_AUTH_LINE, MAX_COMMAND_LINE, VERBS, Auth, Hello, Mail, Plain, Rcpt
from postroad.proto.smtp.lines import Unreadable, read_line
from postroad.proto.smtp.order import (
    against_auth,
    against_mail,
    against_rcpt,
    against_starttls,
    against_xclient,
)
from postroad.proto.smtp.parameters import NO_RCPT_PARAMETERS
from postroad.proto.smtp.profile import (
    HELLO_VERBS,
    STRANGER,
    ServerProfile,
    banner,
    greeting,
    help_reply,
)
from postroad.proto.smtp.reply import Reply
from postroad.proto.smtp.server_events import (
    AuthResponse,
    AuthStarted,
    ClientIntroduced,
    CommandAnswered,
    CommandRefused,
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

_NOOP, _HELP, _VRFY = CommandAnswered("NOOP"), CommandAnswered("HELP"), CommandAnswered("VRFY")
_TLS_HELLO = b"\x16"  # the type of the first record, RFC 8446 §5.1
_RESET, _TLS, _QUIT = TransactionReset(), TlsRequested(), Quit()


class SmtpServer(ContentConversation):
    """One conversation, seen from the server."""

    __slots__ = ("_exchanging", "standing")

    def __init__(self, profile: ServerProfile) -> None:
        super().__init__(profile)
        self.standing = STRANGER
        self._exchanging = False  # the next line belongs to an AUTH exchange

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
        buffer = self._buffer
        if not buffer._data and not self._eof:
            return Signal.NEED_DATA
        line = buffer.take_line(MAX_AUTH_LINE)
        if line is None:
            return self._need_data() if self._progress.hello else self._before_hello()
        return self._exchange_line(line) if self._exchanging else self._command_line(line)

    # --- answers ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Say the banner."""
        self._out.append(banner(self.profile).wire)

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
        self._progress = self._progress.anew(self.profile, secured=True)
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
        self._progress = progress = self._progress.anew(self.profile, secured=self._progress.secured)
        progress.hello, progress.authenticated = hello, authenticated
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
            self._out.append(reply.wire)
        else:
            self._say_refusal(reply)

    def _rcpt_answered(self, reply: Reply) -> None:
        if reply.is_positive:
            self._progress.recipients += 1
        else:
            self._progress.refusals -= 1
            if self._progress.refusals < 0:
                self._say_and_end(replies.TOO_MANY_REFUSED, EndReason.ERRORS)
                return
        self._out.append(reply.wire)

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
            if unreadable.reply is not replies.LINE_TOO_LONG or self.profile.max_command_line == MAX_COMMAND_LINE:
                return self._refuse_line(line, unreadable)
            return self._long_line(line)
        return _HANDLERS[verb](self, command)

    def _long_line(self, line: bytes) -> Event | Signal:
        """Longer than the standard has it; the setting may allow it."""
        try:
            verb, command = read_line(line, self.profile.max_command_line - MAX_COMMAND_LINE)
        except Unreadable as unreadable:
            return self._refuse_line(line, unreadable)
        return _HANDLERS[verb](self, command)

    def _before_hello(self) -> Event | Signal:
        """A TLS client's hello may have no line end in it: it shall not wait for an answer until it tires."""
        return self._end_stranger(replies.NOT_TLS, "TLS") if self._buffer.first == _TLS_HELLO else self._need_data()

    def _end_stranger(self, reply: Reply, text: str) -> Event:
        self._say_and_end(reply, EndReason.NOT_SMTP)
        return CommandRefused(Stage.CONNECT, reply, text)

    def _refuse_line(self, line: bytes, unreadable: Unreadable) -> Event:
        reply = unreadable.reply
        if reply is replies.NOT_HTTP:
            return self._end_stranger(reply, unreadable.text)
        if line[:1] == _TLS_HELLO and not self._progress.hello:
            return self._end_stranger(replies.NOT_TLS, "TLS")
        if line[:4].upper() == b"BDAT":  # how many octets follow is not known: they would be read as commands
            return self._refuse_and_end(reply, unreadable.text)
        return self._refuse(reply, unreadable.verb, unreadable.text)

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

    # --- commands -----------------------------------------------------------------------------------------------------

    def _hello_command(self, command: Hello) -> Event:
        if command.verb not in HELLO_VERBS[self.profile.dialect]:
            return self._refuse(replies.UNKNOWN_COMMAND, line=command.verb)
        progress = self._progress
        progress.idle -= 1
        if progress.idle < 0:
            return self._end_idleness(command.verb)
        self._answered = _hello_of[command.verb]
        return HelloReceived(command.verb, command.name)

    def _mail_command(self, command: Mail) -> Event:
        progress, profile = self._progress, self.profile
        refusal = against_mail(progress, profile, command, self.standing)
        if refusal is not None:
            return self._refuse(refusal, "MAIL", f"MAIL FROM:<{command.reverse_path}>")
        progress.idle -= 1
        if progress.idle < 0:
            return self._end_idleness("MAIL")
        if not progress.transactions:
            return self._refuse_and_end(replies.TOO_MANY_TRANSACTIONS, "MAIL", Stage.MAIL)
        parameters = command.parameters
        progress.asks = parameters.asks
        self._answered = SmtpServer._mail_answered
        return MailReceived(command.reverse_path, parameters)

    def _rcpt_command(self, command: Rcpt) -> Event:
        progress = self._progress
        if not progress.addressing or command.parameters is not NO_RCPT_PARAMETERS:
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

    def _rset_command(self, _command: Plain) -> Event:
        progress = self._progress
        if progress.open and progress.recipients:  # who verifies addresses is not idle, nor was its MAIL
            progress.idle += 2
        progress.end_transaction()
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
