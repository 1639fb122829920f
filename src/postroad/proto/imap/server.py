"""The server machine of IMAP4rev1 (RFC 3501): commands in, events out; responses in, bytes out.

It frames, parses and judges commands by their row in `commands.py`, keeps the state, and hands out what needs a mailbox
or a password. While an event waits for its answer nothing further is read: commands run one after another, so a
pipelining client meets no ambiguity (§5.5).
"""

from __future__ import annotations

import binascii

from postroad.mail.envelope import TlsInfo
from postroad.proto.imap import commands, responses
from postroad.proto.imap.commands import COMMANDS, Append, Authenticate, Command, CommandSpec, State
from postroad.proto.imap.events import (
    AppendAborted,
    AppendEnd,
    AppendStarted,
    AuthResponse,
    AuthStarted,
    CommandReceived,
    CommandRefused,
    ConversationEnded,
    Event,
    IdleEnded,
    LiteralChunk,
    TlsRequested,
)
from postroad.proto.imap.profile import ImapProfile, capabilities
from postroad.proto.imap.reader import CommandReader, Complete, Flood, Frame, LiteralNext, Overlong
from postroad.proto.imap.responses import Response, Result, bad, no, ok
from postroad.proto.imap.search import BadCharset
from postroad.proto.imap.tokens import Cursor, SyntaxFault
from postroad.proto.literals import Literal
from postroad.proto.wire import Interruption, ProtocolMisuse, Signal

MAX_TAG = 128
_TAG_FORBIDDEN = frozenset(b'(){%*"\\+ ')  # RFC 3501 §9 tag


class _Refusal(Exception):  # noqa: N818 - the peer's, not ours
    """A command that is right and yet refused by the machine itself."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.text)
        self.result = result


class Mode:
    """What the next octets are."""

    COMMAND = 0
    AUTH = 1  # an answer to a challenge
    IDLE = 2  # DONE
    APPEND = 3  # octets of the literal
    APPENDED = 4  # the line end behind it
    TLS = 5  # a handshake, which is not ours to read
    ENDED = 6


class ImapServer:
    """One connection's machine."""

    __slots__ = (
        "_eof", "_errors", "_literal", "_mode", "_open_literal", "_out", "_profile", "_reader", "_spec", "_tag",
        "_waiting", "certified", "secured", "state",
    )  # fmt: skip

    def __init__(self, profile: ImapProfile) -> None:
        self._profile = profile
        self._reader = CommandReader(profile.max_command_before_login)
        self._out: list[bytes] = []
        self._mode = Mode.COMMAND
        self._waiting = False  # an event is being answered
        self._tag = b""
        self._spec: CommandSpec | None = None  # of the command under way
        self._literal: Literal | None = None  # of the APPEND under way
        self._open_literal = 0  # octets that we have announced and not yet sent
        self._errors = 0
        self._eof = False
        self.secured = profile.secured
        self.certified = False  # the session says so of a client whose certificate proves who it is
        self.state = State.NOT_AUTHENTICATED

    # --- the six members ----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        self._reader.receive(data)

    def receive_eof(self) -> None:
        self._eof = True

    def next_event(self) -> Event | Signal:
        if self._waiting:
            return Signal.PAUSED
        if self._mode == Mode.ENDED:
            return Signal.NEED_DATA
        if self._mode == Mode.TLS:
            self._reader.forget()  # whatever comes before the handshake is done is nobody's word
        event = self._append_chunk() if self._mode == Mode.APPEND else self._next_frame()
        if event is not None:
            return event
        if self._eof:
            return self._end("the client has gone")
        return Signal.NEED_DATA

    def data_to_send(self) -> bytes:
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    @property
    def patience(self) -> float:
        if self.state is State.NOT_AUTHENTICATED:
            return self._profile.unauthenticated_timeout
        return self._profile.literal_timeout if self._mode == Mode.APPEND else self._profile.idle_timeout

    def interrupt(self, reason: Interruption) -> None:
        """The last words; inside a literal that we are sending there is no place for any."""
        self._waiting, self._eof = False, True
        self._mode = Mode.COMMAND
        if not self._open_literal:
            self.bye(_LAST_WORDS[reason])

    # --- answers ------------------------------------------------------------------------------------------------------

    def greet(self) -> None:
        self.send(ok(f"{self._profile.hostname} is ready", b"CAPABILITY " + self.capabilities()))

    def send(self, response: Response) -> None:
        """Untagged data."""
        self._out.append(bytes(response))

    def send_raw(self, lines: bytes) -> None:
        """Whole lines, already spelled."""
        self._out.append(lines)

    def begin_literal(self, before: bytes, size: int) -> None:
        """`before`, then `{size}`; as many octets must follow by `literal_data`."""
        self._out.append(b"%b{%d}\r\n" % (before, size))
        self._open_literal = size

    def literal_data(self, chunk: bytes) -> None:
        if len(chunk) > self._open_literal:
            raise ProtocolMisuse("more octets than the literal announced")
        self._open_literal -= len(chunk)
        self._out.append(chunk)

    @property
    def literal_open(self) -> bool:
        """Octets are owed: nothing else can be said."""
        return self._open_literal > 0

    @property
    def may_report_expunge(self) -> bool:
        """Of the command under way (RFC 3501 §7.4.1)."""
        return self._spec is not None and self._spec.may_report_expunge

    def finish(self, result: Result) -> None:
        """End the command under way."""
        if not self._tag:
            raise ProtocolMisuse("no command is under way")
        self._out.append(result.tagged(self._tag))
        self._tag, self._spec, self._literal = b"", None, None
        self._waiting = False
        if self._mode != Mode.ENDED:
            self._mode = Mode.COMMAND
        self._count(result)

    def challenge(self, data: bytes) -> None:
        """The next step of a SASL exchange."""
        self._continue(binascii.b2a_base64(data, newline=False))
        self._mode = Mode.AUTH

    def authenticated(self) -> None:
        """The login is good; commands may be longer now. `finish` is still to be said."""
        self.state = State.AUTHENTICATED
        self._reader.limit = self._profile.max_command

    def selected(self) -> None:
        self.state = State.SELECTED

    def unselected(self) -> None:
        self.state = State.AUTHENTICATED

    def start_idle(self) -> None:
        """RFC 2177: untagged data may be sent until IdleEnded."""
        self._continue(b"idling")
        self._mode = Mode.IDLE

    def accept_literal(self) -> None:
        """The message of APPEND may come."""
        if self._literal is None:
            raise ProtocolMisuse("no literal waits for an answer")
        if self._literal.synchronizing:
            self._continue(b"send it")
        self._waiting = False
        self._reader.stream(self._literal)
        self._mode = Mode.APPEND

    def refuse_literal(self, result: Result) -> None:
        """APPEND fails before its message was sent, or (while it comes) will fail whatever comes."""
        if self._literal is None:
            raise ProtocolMisuse("no literal waits for an answer")
        if self._mode == Mode.APPEND:
            self._reader.drop()
        else:
            self._reader.refuse(self._literal)
        self.finish(result)

    def fail(self, result: Result) -> None:
        """End whatever is under way, wherever it stands; nothing where nothing is."""
        if self._literal is not None and self._mode != Mode.APPENDED:
            self.refuse_literal(result)
        elif self._tag:
            self.finish(result)

    def accept_tls(self) -> None:
        """Say OK; whatever plaintext has come behind the command is forgotten (RFC 3501 §6.2.1)."""
        self.finish(ok("begin TLS now"))
        self._reader.forget()
        self._mode = Mode.TLS

    def tls_established(self, info: TlsInfo) -> None:  # noqa: ARG002 - that it stands is all we need
        self.secured = True
        self._reader.forget()
        if self._mode == Mode.TLS:
            self._mode = Mode.COMMAND

    def bye(self, text: str, code: bytes = b"") -> None:
        """Say BYE; ConversationEnded follows, once a command under way has been finished."""
        self._out.append(bytes(Result(responses.Condition.BYE, text, code)))
        self._eof = True
        self._reader.forget()

    # --- what is announced --------------------------------------------------------------------------------------------

    def capabilities(self) -> bytes:
        return capabilities(self._profile, self.state, secured=self.secured, certified=self.certified)

    @property
    def _may_start_tls(self) -> bool:
        return self._profile.may_start_tls(secured=self.secured)

    @property
    def _may_log_in(self) -> bool:
        return self._profile.may_log_in(secured=self.secured)

    # --- commands in --------------------------------------------------------------------------------------------------

    def _next_frame(self) -> Event | None:
        while (frame := self._reader.next()) is not None:
            event = self._framed(frame)
            if event is not None:
                return event
        return None

    def _framed(self, frame: Frame) -> Event | None:
        match frame:
            case Complete(text):
                return self._complete(text)
            case LiteralNext(text, literal):
                return self._literal_next(text, literal)
            case Overlong(text):
                return self._refuse_framed(_tag_of(text), bad("the command is too long", b"TOOBIG"))
            case Flood():
                return self._farewell("more than we care to read", b"TOOBIG")

    def _complete(self, text: bytes) -> Event | None:
        if self._mode == Mode.AUTH:
            return self._auth_line(text)
        if self._mode == Mode.IDLE:
            return self._idle_line(text)
        if self._mode == Mode.APPENDED:
            return self._append_line(text)
        if not text:
            return self._refuse(b"*", bad("an empty line is no command"))
        return self._command(text)

    def _command(self, text: bytes) -> Event | None:
        cursor = Cursor(text)
        tag = _tag_of(text)
        try:
            cursor.position = _after_tag(text, tag)
            spec = self._allowed(cursor)[1]
            command = spec.parse(cursor)
            cursor.end()
        except (SyntaxFault, BadCharset, _Refusal) as fault:
            return self._refuse(tag, _judged(fault))
        return self._received(tag, spec, command)

    def _allowed(self, cursor: Cursor) -> tuple[bytes, CommandSpec]:
        """The row of the command that comes next, if it may stand here."""
        name, spec = commands.lookup(cursor)
        if self.state not in spec.states:
            raise SyntaxFault(f"{name.decode('ascii')} needs {self._lacking(spec)}")
        if name in (b"LOGIN", b"AUTHENTICATE") and not self._may_log_in:
            raise _Refusal(no("no password without TLS: STARTTLS first", b"PRIVACYREQUIRED"))
        return name, spec

    def _lacking(self, spec: CommandSpec) -> str:
        if self.state is State.NOT_AUTHENTICATED:
            return "a login first"
        return "a selected mailbox" if spec.states is State.SELECTED else "a connection without a login"

    def _received(self, tag: bytes, spec: CommandSpec, command: Command) -> Event | None:
        self._tag, self._spec, self._waiting = tag, spec, True
        match command:
            case Authenticate():
                return self._authenticate(command)
            case commands.StartTls():
                if self._may_start_tls:
                    return TlsRequested(tag)
                return self._finish_refused(bad("TLS is already on" if self.secured else "there is no TLS here"))
            case Append():
                return self._finish_refused(bad("APPEND needs the message as a literal"))
        return CommandReceived(tag, command)

    # --- literals -----------------------------------------------------------------------------------------------------

    def _literal_next(self, text: bytes, literal: Literal) -> Event | None:
        if self._mode != Mode.COMMAND:
            return self._literal_out_of_place(literal)
        tag = _tag_of(text)
        try:
            append = self._append_before(text, tag)
        except (SyntaxFault, _Refusal) as fault:
            return self._refuse_literal(tag, literal, _judged(fault))
        if append is not None:
            return self._append_started(tag, append, literal)
        if len(text) + literal.size > self._reader.limit:
            return self._refuse_literal(tag, literal, bad("the literal is too large for this command", b"TOOBIG"))
        self._reader.collect(literal)
        if literal.synchronizing:
            self._continue(b"send it")
        return None

    def _append_before(self, text: bytes, tag: bytes) -> Append | None:
        """APPEND up to its message; None for another command, or while the mailbox name is itself a literal."""
        cursor = Cursor(text, _after_tag(text, tag))
        name, spec = self._allowed(cursor)
        is_first = text.find(b"\n", cursor.position) == len(text) - 1
        if name != b"APPEND" or (is_first and cursor.peek(b" {")):
            return None
        command = spec.parse(cursor)
        assert isinstance(command, Append)
        if text.find(b"\n", cursor.position) != len(text) - 1:
            raise SyntaxFault("APPEND takes one message")
        return command

    def _append_started(self, tag: bytes, append: Append, literal: Literal) -> Event:
        if literal.size > self._profile.max_append:
            return self._refuse_literal(tag, literal, no("the message is too large", b"TOOBIG"))
        self._tag, self._spec, self._literal, self._waiting = tag, COMMANDS[b"APPEND"], literal, True
        return AppendStarted(tag, append.mailbox, append.flags, append.keywords, append.internal_date, literal.size)

    def _append_chunk(self) -> Event | None:
        if self._reader.streaming:
            chunk = self._reader.chunk()
            return LiteralChunk(chunk) if chunk else None
        self._mode = Mode.APPENDED
        return self._next_frame()

    def _append_line(self, text: bytes) -> Event:
        if not text:
            self._waiting = True
            return AppendEnd(self._tag)
        self._finish_refused(bad("APPEND takes one message, and nothing after it"))
        return AppendAborted()

    def _literal_out_of_place(self, literal: Literal) -> Event | None:
        """A literal where a line is wanted: behind APPEND's message, in an exchange, or in IDLE."""
        self._reader.refuse(literal)
        return self._complete(b"{}")

    def _refuse_literal(self, tag: bytes, literal: Literal, result: Result) -> Event:
        """RFC 7888 §4: what comes unasked is swallowed, or is more than we care to read."""
        if not literal.synchronizing and literal.size > self._swallowed:
            return self._farewell("the literal is too large", b"TOOBIG")
        self._reader.refuse(literal)
        return self._refuse(tag, result)

    @property
    def _swallowed(self) -> int:
        """The largest unasked literal that is read and dropped: a refused message may be, a stranger's may not."""
        return self._reader.limit if self.state is State.NOT_AUTHENTICATED else 2 * self._profile.max_append

    # --- exchanges ----------------------------------------------------------------------------------------------------

    def _authenticate(self, command: Authenticate) -> Event:
        if command.mechanism not in self._profile.login_mechanisms(certified=self.certified):
            return self._finish_refused(no(f"no mechanism {command.mechanism[:20]} here"))
        if command.initial is None:
            return AuthStarted(self._tag, command.mechanism, None)
        initial = b"" if command.initial == b"=" else _from_base64(command.initial)  # RFC 4959 §3
        if initial is None:
            return self._finish_refused(bad("the initial response is not base64"))
        return AuthStarted(self._tag, command.mechanism, initial)

    def _auth_line(self, text: bytes) -> Event:
        data = None if text == b"*" else _from_base64(text)
        if data is None:
            self._finish_refused(bad("cancelled" if text == b"*" else "the response is not base64"))
            return AuthResponse(None)
        self._waiting = True
        return AuthResponse(data)

    def _idle_line(self, text: bytes) -> Event:
        if text.upper() == b"DONE":
            self._waiting = True
            return IdleEnded(self._tag)
        return self._finish_refused(bad("expected DONE"))

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _refuse_framed(self, tag: bytes, result: Result) -> Event:
        """Refuse an overlong line: outside a command the line's own tag is answered, inside one the command's."""
        if self._mode == Mode.COMMAND:
            return self._refuse(tag, result)
        aborted, cancelled = self._mode == Mode.APPENDED, self._mode == Mode.AUTH
        refused = self._finish_refused(result)
        return AppendAborted() if aborted else AuthResponse(None) if cancelled else refused

    def _refuse(self, tag: bytes, result: Result) -> Event:
        self._tag = tag
        return self._finish_refused(result)

    def _finish_refused(self, result: Result) -> Event:
        self.finish(result)
        return CommandRefused(result.text)

    def _count(self, result: Result) -> None:
        """Wrong commands in a row; a good one makes them forgotten."""
        self._errors = self._errors + 1 if result.condition is responses.Condition.BAD else 0
        if self._errors >= self._profile.max_errors and not self._eof:
            self.bye("too many wrong commands")

    def _farewell(self, text: str, code: bytes) -> Event:
        self.bye(text, code)
        return self._end(text)

    def _end(self, reason: str) -> ConversationEnded:
        self._mode = Mode.ENDED
        self._reader.forget()
        return ConversationEnded(reason)

    def _continue(self, text: bytes) -> None:
        self._waiting = False
        self._out.append(b"+ " + text + b"\r\n")


_LAST_WORDS = {
    Interruption.TIMEOUT: "nothing heard for too long",
    Interruption.SHUTDOWN: "the server is stopping",
    Interruption.OVERLOAD: "too busy, try again later",
}


def _judged(fault: Exception) -> Result:
    """The answer to a command that cannot be taken."""
    if isinstance(fault, _Refusal):
        return fault.result
    if isinstance(fault, BadCharset):
        return no("the charset is not known here", b"BADCHARSET (US-ASCII UTF-8)")
    return bad(str(fault))


def _tag_of(text: bytes) -> bytes:
    """The tag that a line begins with, or `*` where there is none (RFC 3501 §7.1.3)."""
    tag = text[: MAX_TAG + 1].partition(b" ")[0].rstrip(b"\r\n")
    if not tag or len(tag) > MAX_TAG or any(c < 33 or c > 126 or c in _TAG_FORBIDDEN for c in tag):
        return b"*"
    return tag


def _after_tag(text: bytes, tag: bytes) -> int:
    if tag == b"*":
        raise SyntaxFault("a command begins with a tag: letters and digits, then a space")
    if not text.startswith(b" ", len(tag)):
        raise SyntaxFault("a command follows its tag")
    return len(tag) + 1


def _from_base64(text: bytes) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
