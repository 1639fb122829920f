"""The POP3 server machine (RFC 1939): lines in, events out; answers in, bytes out.

It frames and judges commands by their row in `commands.py`, keeps the state, speaks for itself where no mailbox is
needed (USER, CAPA, NOOP, every mistake), and hands out the rest. Answers come in the order of the commands, so a client
may pipeline (RFC 2449 §6.6).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from postroad.mail.envelope import TlsInfo
from postroad.proto.dotstuff import DotStuffer, stuffed
from postroad.proto.pop3 import commands
from postroad.proto.pop3.commands import COMMANDS, MAX_AUTH_LINE, MAX_LINE, Auth, Command, Mistake, State
from postroad.proto.wire import Interruption, LineFault, ProtocolMisuse, ReceiveBuffer, Signal


@dataclass(frozen=True, slots=True)
class Pop3Profile:
    """What a listener is; one for all its connections."""

    hostname: str
    starttls: bool = False  # a certificate exists
    secured: bool = False  # implicit TLS
    plaintext_login: bool = False  # passwords without TLS: for tests and benchmarks on the loopback interface
    mechanisms: tuple[str, ...] = ("PLAIN",)
    certified_mechanisms: tuple[str, ...] = ()  # in their place where the client's certificate proves who it is
    max_errors: int = 20  # wrong commands in one session before it is ended
    max_logins: int = 5  # failed ones, likewise
    idle_timeout: float = 600.0  # RFC 1939 §3: at least 10 minutes
    unauthenticated_timeout: float = 60.0


# --- events -----------------------------------------------------------------------------------------------------------


class LoginReceived(NamedTuple):
    """USER and PASS: answer `authenticated` or `refuse_login`."""

    name: str
    password: str


class AuthStarted(NamedTuple):
    """AUTH: answer `challenge`, `authenticated` or `refuse_login`."""

    mechanism: str
    initial: bytes | None


class AuthResponse(NamedTuple):
    """The client's answer to a challenge. One that gives up is told so by the machine; a new AUTH starts afresh."""

    data: bytes


class TlsRequested(NamedTuple):
    """STLS: answer `accept_tls`."""


class CommandReceived(NamedTuple):
    """A command on the maildrop: answer `ok`, `error`, `lines`, or `begin_body` and what follows."""

    command: Command


class ConversationEnded(NamedTuple):
    """Nothing more comes: close. Needs no answer."""

    reason: str


Event = LoginReceived | AuthStarted | AuthResponse | TlsRequested | CommandReceived | ConversationEnded

NEED_DATA, PAUSED = Signal.NEED_DATA, Signal.PAUSED
_LAST_WORDS = {
    Interruption.TIMEOUT: "you were silent for too long",
    Interruption.SHUTDOWN: "[SYS/TEMP] the server is going down",
    Interruption.OVERLOAD: "[SYS/TEMP] too busy, come back later",
}


class Pop3Server:
    """One connection's machine."""

    __slots__ = (
        "_auth", "_ended", "_eof", "_errors", "_failed_logins", "_input", "_name", "_open", "_out", "_profile",
        "_stuffer", "_tls", "_waiting", "certified", "secured", "state",
    )  # fmt: skip

    def __init__(self, profile: Pop3Profile) -> None:
        self._profile = profile
        self._input = ReceiveBuffer()
        self._out: list[bytes] = []
        self._waiting = False  # an event is being answered
        self._auth = False  # the next line answers a challenge
        self._tls = False  # a handshake is under way, which is not ours to read
        self._eof = False
        self._ended = ""  # why the conversation ends, once it does
        self._errors = self._failed_logins = 0
        self._name: str | None = None  # of USER
        self._stuffer: DotStuffer | None = None  # a body is being sent
        self._open = False  # an answer of many lines was begun
        self.secured = profile.secured
        self.certified = False  # the session says so of a client whose certificate proves who it is
        self.state = State.AUTHORIZATION

    # --- the six members ----------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        self._input.feed(data)

    def receive_eof(self) -> None:
        self._eof = True

    def next_event(self) -> Event | Signal:
        if self._waiting:
            return PAUSED
        while not self._ended and not self._tls:
            line = self._input.take_line(MAX_AUTH_LINE if self.state is State.AUTHORIZATION else MAX_LINE)
            if line is None:
                if not self._eof:
                    return NEED_DATA
                self._ended = "the client has gone"
                break
            event = self._line(line)
            if event is not None:
                self._waiting = True
                return event
        return self._farewell()

    def data_to_send(self) -> bytes:
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @property
    def patience(self) -> float:
        if self.state is State.AUTHORIZATION:
            return self._profile.unauthenticated_timeout
        return self._profile.idle_timeout

    def interrupt(self, reason: Interruption) -> None:
        """The last words, where there is a place for any. Nothing is deleted then (RFC 1939 §3)."""
        if not self._open and not self._ended:
            self._say(f"-ERR {_LAST_WORDS[reason]}")
        self._waiting = self._auth = self._tls = False
        self._ended = self._ended or reason.value

    # --- answers ------------------------------------------------------------------------------------------------------

    def greet(self) -> None:
        self._say(f"+OK {self._profile.hostname} POP3 server ready")

    def ok(self, text: str = "") -> None:
        self._answered()
        self._say(f"+OK {text}" if text else "+OK")

    def error(self, text: str) -> None:
        """The command failed, through no fault of the protocol."""
        self._answered()
        self._say(f"-ERR {text}")

    def lines(self, text: str, lines: bytes) -> None:
        """A multi-line answer that cannot hold a line with a dot in front; each line ended with CRLF."""
        self._answered()
        self._out.append(b"+OK %b\r\n%b.\r\n" % (text.encode(), lines))

    def begin_lines(self, text: str) -> None:
        """The same in pieces: `more_lines` as often as needed, then `end_lines`."""
        self._out.append(b"+OK %b\r\n" % text.encode())
        self._open = True

    def more_lines(self, lines: bytes) -> None:
        self._out.append(lines)

    def end_lines(self) -> None:
        self._out.append(b".\r\n")
        self._end_answer()

    def small_body(self, content: bytes) -> None:
        """A message, whole."""
        self._waiting = False
        self._out.append(b"+OK %d octets\r\n" % len(content))
        self._out.append(stuffed(content))

    def begin_body(self, size: int) -> None:
        """A message in pieces: `body_chunk` as often as needed, then `end_body`."""
        self._out.append(b"+OK %d octets\r\n" % size)
        self._stuffer = DotStuffer()
        self._open = True

    def body_chunk(self, chunk: bytes) -> None:
        if self._stuffer is None:
            raise ProtocolMisuse("no body was begun")
        self._out.append(self._stuffer.write(chunk))

    def end_body(self) -> None:
        if self._stuffer is None:
            raise ProtocolMisuse("no body was begun")
        self._out.append(self._stuffer.finish())
        self._stuffer = None
        self._end_answer()

    def challenge(self, data: bytes) -> None:
        """The next step of a SASL exchange (RFC 5034 §4)."""
        self._answered()
        self._out.append(b"+ %b\r\n" % binascii.b2a_base64(data, newline=False))
        self._auth = True

    def authenticated(self, text: str) -> None:
        """The login is good and the maildrop ready."""
        self.ok(text)
        self.state = State.TRANSACTION

    def refuse_login(self, text: str = "[AUTH] wrong name or password") -> None:
        """RFC 3206: [AUTH] the credentials are wrong, [SYS/TEMP] or [SYS/PERM] the trouble is ours."""
        self.error(text)
        self._name = None
        self._failed_logins += 1
        if self._failed_logins >= self._profile.max_logins:
            self._ended = "too many failed logins"

    def accept_tls(self) -> None:
        """Say OK; whatever plaintext has come behind the command is forgotten (RFC 2595 §4)."""
        self.ok("begin TLS now")
        self._input.clear()
        self._name = None
        self._tls = True

    def tls_established(self, info: TlsInfo) -> None:  # noqa: ARG002 - that it stands is all we need
        self.secured = True
        self._tls = False
        self._input.clear()

    @property
    def answer_open(self) -> bool:
        """An answer of many lines was begun: nothing else can be said."""
        return self._open

    def end(self, reason: str) -> None:
        """Say no more: QUIT has been answered, or the conversation cannot go on."""
        self._ended = reason
        self._waiting = False

    # --- lines in -----------------------------------------------------------------------------------------------------

    def _line(self, line: bytes | LineFault) -> Event | None:
        answers_challenge, self._auth = self._auth, False
        try:
            if isinstance(line, LineFault) or not (answers_challenge or _is_short(line)):
                raise Mistake("the line is too long")
            line = line[:-2] if line.endswith(b"\r\n") else line[:-1]  # a bare LF is enough: people type into netcat
            return self._auth_line(line) if answers_challenge else self._command(line)
        except Mistake as mistake:
            self._refuse(mistake)
            return None

    def _command(self, line: bytes) -> Event | None:
        keyword, _, rest = line.partition(b" ")
        spec = COMMANDS.get(keyword) or COMMANDS.get(keyword.upper())
        if spec is None:
            raise Mistake("unknown command")
        if self.state not in spec.states:
            raise Mistake("log in first" if self.state is State.AUTHORIZATION else "you have logged in already")
        command = spec.parse(rest)
        own = _OWN.get(type(command))
        return own(self, command) if own else CommandReceived(command)

    def _user(self, command: commands.User) -> None:
        self._need_privacy()
        self._name = command.name
        self._say("+OK")  # RFC 1939 §7: whether the name exists is not for strangers

    def _pass(self, command: commands.Pass) -> Event:
        self._need_privacy()
        if self._name is None:
            raise Mistake("USER first")
        name, self._name = self._name, None
        return LoginReceived(name, command.password)

    def _authenticate(self, command: Auth) -> Event:
        if command.mechanism not in self._mechanisms:
            raise Mistake("no such mechanism here")
        self._need_privacy()
        if command.initial is None:
            return AuthStarted(command.mechanism, None)
        # RFC 5034 §4: "=" is an initial response that is empty
        return AuthStarted(command.mechanism, b"" if command.initial == "=" else _base64(command.initial))

    def _auth_line(self, line: bytes) -> Event:
        if line == b"*":  # RFC 5034 §4
            raise Mistake("the exchange is cancelled")
        return AuthResponse(_base64(line))

    def _stls(self, _: Command) -> Event:
        if self.secured or not self._profile.starttls:
            raise Mistake("TLS is already on" if self.secured else "there is no TLS here")
        return TlsRequested()

    def _noop(self, _: Command) -> None:
        self._say("+OK")

    def _capa(self, _: Command) -> None:
        self._say("\r\n".join(["+OK", *self.capabilities(), "."]))

    def capabilities(self) -> list[str]:
        """What is announced is what is built (RFC 2449 §5): before TLS no way to log in, where TLS is needed."""
        words = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER"]
        if self.state is State.AUTHORIZATION:
            if self._may_log_in:
                words += ["USER", f"SASL {' '.join(self._mechanisms)}"] if self._mechanisms else ["USER"]
            if self._profile.starttls and not self.secured:
                words.append("STLS")
        return [*words, "IMPLEMENTATION Postroad"]

    # --- small things -------------------------------------------------------------------------------------------------

    @property
    def _mechanisms(self) -> tuple[str, ...]:
        return self._profile.certified_mechanisms if self.certified else self._profile.mechanisms

    @property
    def _may_log_in(self) -> bool:
        return self.secured or self._profile.plaintext_login

    def _need_privacy(self) -> None:
        if not self._may_log_in:
            # RFC 3206 §4: not [AUTH], for the password may be right; a client should tell its user what to change.
            raise Mistake("[SYS/PERM] no password without TLS: STLS first")

    def _refuse(self, mistake: Mistake) -> None:
        self._say(f"-ERR {mistake}")
        self._errors += 1
        if self._errors >= self._profile.max_errors:
            self._ended = "too many wrong commands"

    def _answered(self) -> None:
        self._waiting = False

    def _end_answer(self) -> None:
        self._open = self._waiting = False

    def _say(self, line: str) -> None:
        self._out.append(line.encode() + b"\r\n")

    def _farewell(self) -> Event | Signal:
        """ConversationEnded, once."""
        if self._tls or self._ended == _GONE:
            return NEED_DATA
        reason, self._ended = self._ended, _GONE
        return ConversationEnded(reason)


_GONE = "gone"
# What the machine settles by itself, or turns into an event of its own.
_OWN: dict[type[Command], Callable[[Pop3Server, Any], Event | None]] = {
    commands.User: Pop3Server._user,
    commands.Pass: Pop3Server._pass,
    commands.Auth: Pop3Server._authenticate,
    commands.Stls: Pop3Server._stls,
    commands.Noop: Pop3Server._noop,
    commands.Capa: Pop3Server._capa,
}


def _is_short(line: bytes) -> bool:
    """RFC 5034 §4 keeps initial responses out of long lines; programs send their tokens in them all the same."""
    return len(line) <= MAX_LINE or line[:5].upper() == b"AUTH "


def _base64(text: str | bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # also for a text that is not ASCII
        raise Mistake("this is not base64") from error
