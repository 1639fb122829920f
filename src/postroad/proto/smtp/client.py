"""The SMTP and LMTP client machine (RFC 5321, 2033, 2920, 3030, 3207, 4954): commands are queued, replies come back
strictly in order.

Pipelining is decided here: `mail`, `rcpt`, `start_body` may be called in one breath, and what the server does not allow
to be sent yet is kept back. After a body the next transaction may follow in the same write. A body goes by DATA, which
is the cheaper way; by BDAT, as one chunk, where its octets could not be told from the end of data. What a reply means
for a recipient is the session's affair (`delivery.smtp`).
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque
from enum import Enum, StrEnum
from math import inf
from typing import Any

from msgspec import Struct

from postroad.mail.envelope import TlsInfo
from postroad.proto.smtp.extensions import Capabilities, parse_ehlo
from postroad.proto.smtp.incoming import BadReply, RemoteReply, ReplyReader
from postroad.proto.smtp.outgoing import DOT, Counted, Dotted, Plain
from postroad.proto.smtp.parameters import (
    MAIL_PARAMETERS,
    NO_PARAMETERS,
    NO_RCPT_PARAMETERS,
    RCPT_PARAMETERS,
    MailParameters,
    RcptParameters,
    write_orcpt,
    written,
)
from postroad.proto.wire import Interruption, ProtocolMisuse, Signal


class Command(StrEnum):
    """What a reply answers. (Strings, because their hash costs nothing and tables are asked for each reply.)"""

    GREETING = "connection"  # the 220 that nobody asked for
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"
    BDAT = "BDAT"
    BODY = "end of data"
    RSET = "RSET"
    QUIT = "QUIT"


# Seconds (RFC 5321 §4.5.3.2). The ten minutes after the final dot are never shortened: giving up there makes a double
# (RFC 1047). Nothing depends on the reply to QUIT.
PATIENCE = {
    Command.GREETING: 300.0, Command.EHLO: 300.0, Command.HELO: 300.0, Command.STARTTLS: 120.0, Command.AUTH: 120.0,
    Command.MAIL: 300.0, Command.RCPT: 300.0, Command.DATA: 120.0, Command.BODY: 600.0, Command.RSET: 60.0,
    Command.QUIT: 5.0,
}  # fmt: skip
BODY_PATIENCE = 180.0  # between two pieces of a body, §4.5.3.2.5

# Nothing may follow these in a pipelined group (RFC 2920 §3.1).
_BARRIERS = frozenset(
    (Command.GREETING, Command.EHLO, Command.HELO, Command.STARTTLS, Command.AUTH, Command.DATA, Command.QUIT)
)


class EndReason(Enum):
    """Why a conversation is over."""

    QUIT = "we said QUIT"
    CLOSED = "the server closed the connection"
    CLOSING = "the server said 421"
    BAD_REPLY = "the server broke the protocol"
    TIMEOUT = "the server did not answer in time"
    SHUTDOWN = "we are stopping"


class ReplyReceived(Struct, gc=False):
    """The answer to `command`; for `BODY` it is the answer to the final dot."""

    command: Command
    reply: RemoteReply


class CommandSkipped(Struct, gc=False):
    """Never sent, because what came before it was refused: no RCPT without MAIL, no body without a recipient."""

    command: Command


class BodyWanted(Struct, gc=False):
    """BDAT was said, which asks no leave: `body_chunk` and `end_body` come next, as after the 354 to DATA."""


class ConversationEnded(Struct, gc=False):
    """Nothing more will be said. `awaiting` is the command whose answer never came."""

    reason: EndReason
    text: str
    awaiting: Command | None


ClientEvent = ReplyReceived | CommandSkipped | BodyWanted | ConversationEnded

NONE_KNOWN = Capabilities()

_WISHES = {keyword: row for keyword, row in MAIL_PARAMETERS.items() if row.extension not in ("", "SMTPUTF8")}

_DATA, _RSET, _QUIT, _STARTTLS = b"DATA\r\n", b"RSET\r\n", b"QUIT\r\n", b"STARTTLS\r\n"


class _Pending(Struct, gc=False):
    """A command that waits to be sent, or was sent and waits for its reply."""

    command: Command
    wire: bytes
    record: list[bytes]
    shown: bytes = b""  # what the record shows in its place: secrets are left out
    octets: int = 0  # that follow BDAT


class SmtpClient:
    """One conversation, from the greeting on. `idle_patience` is how long a connection without work is kept."""

    __slots__ = (
        "_accepted", "_body", "_body_record", "_deaf", "_ended", "_eof", "_events", "_idle_patience", "_lmtp",
        "_lone_dot", "_mail_refused", "_more", "_name", "_out", "_outstanding", "_pipelining", "_reader", "_secrets",
        "_stuffs", "_waiting", "capabilities", "record", "tls",
    )  # fmt: skip

    def __init__(self, name: str, *, idle_patience: float = inf, lmtp: bool = False) -> None:
        self._name = name.encode("ascii")
        self._lmtp = lmtp
        self._more = 0  # answers to the body beyond the first, with LMTP
        self._idle_patience = idle_patience
        self.capabilities = NONE_KNOWN
        self.tls: TlsInfo | None = None
        self.record: list[bytes] = []  # lines of the dialogue of the transaction that was begun last
        self._reader = ReplyReader()
        self._out: list[bytes] = []
        self._waiting: deque[_Pending] = deque()
        self._outstanding: deque[_Pending] = deque((_Pending(Command.GREETING, b"", self.record),))
        self._events: deque[ClientEvent] = deque()
        self._secrets: deque[bytes] = deque()  # answers that AUTH has still to give
        self._pipelining = False
        self._accepted = 0  # recipients of the transaction whose replies are coming in
        self._mail_refused = False
        self._body: Plain | Dotted | Counted | None = None  # that is ours to send now
        self._body_record: list[bytes] = self.record
        self._stuffs: deque[bool] = deque()  # of transactions whose DATA has no reply yet
        self._lone_dot = False
        self._deaf = False  # between the 220 to STARTTLS and the end of the handshake
        self._eof = False
        self._ended = False

    # -- the six members of a machine --------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if not self._deaf and not self._ended:
            self._reader.feed(data)

    def receive_eof(self) -> None:
        self._eof = True

    def next_event(self) -> ClientEvent | Signal:
        while not self._events:
            if self._ended:
                return Signal.NEED_DATA
            try:
                reply = self._reader.next()
            except BadReply as error:
                return self._end(EndReason.BAD_REPLY, str(error))
            if reply is not None:
                if (event := self._received(reply)) is not None:
                    return event
            elif self._eof:
                return self._end(EndReason.CLOSED, EndReason.CLOSED.value)
            else:
                return Signal.NEED_DATA
        return self._events.popleft()

    def data_to_send(self) -> bytes:
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @property
    def patience(self) -> float:
        if self._outstanding:
            return PATIENCE[self._outstanding[0].command]
        return BODY_PATIENCE if self._body is not None else self._idle_patience

    def interrupt(self, reason: Interruption) -> None:
        """A timeout or a shutdown. A connection without work says QUIT and does not wait for the answer."""
        if self._ended:
            return
        if self.is_idle:
            self._out.append(_QUIT)
            self._events.append(self._end(EndReason.QUIT, "no more work"))
        elif reason is Interruption.TIMEOUT:
            self._events.append(self._end(EndReason.TIMEOUT, EndReason.TIMEOUT.value))
        else:
            self._events.append(self._end(EndReason.SHUTDOWN, EndReason.SHUTDOWN.value))

    # -- what is known -----------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return not self._outstanding and not self._waiting and self._body is None and not self._ended

    @property
    def pipelining(self) -> bool:
        return self._pipelining

    # -- commands ----------------------------------------------------------------------------------------------

    def hello(self, *, extended: bool = True) -> None:
        """EHLO, or HELO for servers that do not know it (RFC 5321 §3.2)."""
        command = Command.EHLO if extended else Command.HELO
        word = b"LHLO" if self._lmtp else command.value.encode()  # RFC 2033 §4.1
        self._queue(_Pending(command, word + b" " + self._name + b"\r\n", self.record))

    def start_tls(self) -> None:
        self._queue(_Pending(Command.STARTTLS, _STARTTLS, self.record))

    def tls_established(self, info: TlsInfo) -> None:
        """Forget everything that was said in the clear (RFC 3207 §4.2); `hello` comes next."""
        self.tls = info
        self._deaf = False
        self._reader.clear()
        self.capabilities = NONE_KNOWN
        self._pipelining = False

    def authenticate(self, user: str, password: str) -> None:
        """AUTH PLAIN, or LOGIN where that is all there is; one `ReplyReceived` tells how it ended."""
        if "PLAIN" in self.capabilities.auth_mechanisms:
            secret = b64encode(f"\0{user}\0{password}".encode())
            shown = b"AUTH PLAIN [%d octets]" % len(secret)
            self._queue(_Pending(Command.AUTH, b"AUTH PLAIN " + secret + b"\r\n", self.record, shown))
        elif "LOGIN" in self.capabilities.auth_mechanisms:
            self._secrets.extend((b64encode(user.encode()), b64encode(password.encode())))
            self._queue(_Pending(Command.AUTH, b"AUTH LOGIN\r\n", self.record))
        else:
            raise ProtocolMisuse("the server offers neither AUTH PLAIN nor AUTH LOGIN")

    def mail(
        self,
        reverse_path: str,
        *,
        size: int = 0,
        eight_bit: bool = False,
        binary: bool = False,
        utf8: bool = False,
        parameters: MailParameters = NO_PARAMETERS,
        envid: str = "",
    ) -> None:
        """Begin a transaction, with its own dialogue record. What the message is like is told by arguments, what its
        sender asked for by `parameters` (SIZE, BODY and AUTH in it are passed over); each where the server offers it.
        `envid` is our own name for it, in letters and digits, where the sender has given none.
        """
        line = f"MAIL FROM:<{reverse_path}>"
        offered = self.capabilities.keywords
        if size and "SIZE" in offered:
            line += f" SIZE={size}"
        if binary and "BINARYMIME" in offered:
            line += " BODY=BINARYMIME"
        elif eight_bit and "8BITMIME" in offered:
            line += " BODY=8BITMIME"
        if utf8 and "SMTPUTF8" in offered:
            line += " SMTPUTF8"
        if parameters.asks:
            line += written(parameters, _WISHES, offered)
        if envid and parameters.envid is None and "DSN" in offered:
            line += f" ENVID={envid}"
        self.record = []
        self._queue(_Pending(Command.MAIL, _line(line), self.record))

    def rcpt(self, forward_path: str, parameters: RcptParameters = NO_RCPT_PARAMETERS, *, named: bool = False) -> None:
        """`named`: where the sender has given no ORCPT, the recipient as we know it is one (RFC 3461 §4.2)."""
        line = f"RCPT TO:<{forward_path}>"
        if parameters.asks:
            line += written(parameters, RCPT_PARAMETERS, self.capabilities.keywords)
        if named and parameters.orcpt is None and "DSN" in self.capabilities.keywords:
            kind = "rfc822" if forward_path.isascii() else "utf-8"
            line += f" ORCPT={write_orcpt(f'{kind};{forward_path}')}"
        self._queue(_Pending(Command.RCPT, _line(line), self.record))

    def start_body(self, *, stuff: bool = True, chunk: int | None = None) -> None:
        """DATA. After its 354 the body is given by `body_chunk` and `end_body`; without `stuff` no line may begin with
        a dot. When no recipient was accepted the 354 is answered by a lone dot here, and never shown.

        With `chunk` BDAT, once the recipients are known: a body of so many octets, sent as it is, after `BodyWanted`.
        """
        if chunk is None:
            self._stuffs.append(stuff)
            self._queue(_Pending(Command.DATA, _DATA, self.record))
            return
        if not self.capabilities.chunking:
            raise ProtocolMisuse("the server does not offer CHUNKING")
        self._waiting.append(_Pending(Command.BDAT, b"BDAT %d LAST\r\n" % chunk, self.record, octets=chunk))
        self._pump()

    def body_chunk(self, data: bytes) -> None:
        if self._body is None:
            raise ProtocolMisuse("no body is expected")
        if data:
            self._out.append(self._body.write(data))

    def end_body(self) -> None:
        """The final dot: from here on the server may have the message. What is queued next goes in the same write."""
        body, record = self._body, self._body_record
        if body is None:
            raise ProtocolMisuse("no body is expected")
        end = body.finish()
        self._body = None
        record.append(b"> [%d octets of message]" % body.size)
        if end:
            self._send(_Pending(Command.BODY, end, record, b"."))
        else:
            self._outstanding.append(_Pending(Command.BODY, b"", record))
        for _ in range(self._more):  # RFC 2033 §4.2: one answer for each recipient that was accepted
            self._outstanding.append(_Pending(Command.BODY, b"", record))
        self._more = 0
        self._pump()

    def reset(self) -> None:
        self._queue(_Pending(Command.RSET, _RSET, []))

    def quit(self) -> None:
        self._queue(_Pending(Command.QUIT, _QUIT, self.record))

    # -- sending -----------------------------------------------------------------------------------------------

    def _queue(self, pending: _Pending) -> None:
        if self._ended:
            return  # ConversationEnded has said so
        if self._may_follow():
            self._send(pending)
        else:
            self._waiting.append(pending)
            self._pump()

    def _may_follow(self) -> bool:
        """The usual case: a command goes behind the one before it, in the same write."""
        if not self._pipelining or self._waiting or not self._outstanding or self._body is not None:
            return False
        return self._outstanding[-1].command not in _BARRIERS

    def _pump(self) -> None:
        """Send what may be sent now."""
        waiting, outstanding = self._waiting, self._outstanding
        while waiting and self._body is None:
            if outstanding and (not self._pipelining or outstanding[-1].command in _BARRIERS):
                return
            if outstanding and waiting[0].command is Command.BDAT:  # who gets it must be known, or octets are wasted
                return
            pending = waiting.popleft()
            if not outstanding and self._is_pointless(pending.command):
                self._events.append(CommandSkipped(pending.command))
            elif pending.command is Command.BDAT:
                self._begin_chunk(pending)
            else:
                self._send(pending)

    def _begin_chunk(self, pending: _Pending) -> None:
        self._out.append(pending.wire)
        pending.record.append(b"> " + pending.wire[:-2])
        self._more = self._accepted - 1 if self._lmtp else 0
        self._body, self._body_record, self._accepted = Counted(pending.octets), pending.record, 0
        self._events.append(BodyWanted())

    def _is_pointless(self, command: Command) -> bool:
        if command is Command.RCPT:
            return self._mail_refused
        if command is Command.DATA and not self._accepted:
            self._stuffs.popleft()
            return True
        return command is Command.BDAT and not self._accepted

    def _send(self, pending: _Pending) -> None:
        self._out.append(pending.wire)
        pending.record.append(b"> " + (pending.shown or pending.wire[:-2]))
        self._outstanding.append(pending)

    # -- receiving ---------------------------------------------------------------------------------------------

    def _received(self, reply: RemoteReply) -> ClientEvent | None:
        """The event that a reply makes, if any. What follows from it comes behind it in `_events`."""
        if not self._outstanding:
            return self._end(EndReason.CLOSING if reply.code == 421 else EndReason.BAD_REPLY, reply.text)
        pending = self._outstanding.popleft()
        raw = reply.raw
        pending.record.append(b"< " + (raw.replace(b"\n", b"\n< ") if b"\n" in raw else raw))
        handler = _HANDLERS.get(pending.command)
        command: Command | None = handler(self, reply, pending) if handler else pending.command
        if reply.code == 421:  # RFC 5321 §3.8: a reply to any command, and the last one
            self._events.append(self._end(EndReason.CLOSING, reply.text))
        elif self._waiting and self._body is None:
            self._pump()
        return ReplyReceived(command, reply) if command is not None else None

    def _on_ehlo(self, reply: RemoteReply, _: _Pending) -> Command:
        if reply.is_positive:
            self.capabilities = parse_ehlo(tuple(reply.lines))
            self._pipelining = self.capabilities.pipelining
        return Command.EHLO

    def _on_starttls(self, reply: RemoteReply, _: _Pending) -> Command:
        if reply.code == 220:
            self._deaf = True
            self._reader.clear()  # whoever put bytes behind the 220 is not the server that we are about to verify
        return Command.STARTTLS

    def _on_auth(self, reply: RemoteReply, pending: _Pending) -> Command | None:
        if reply.code != 334:
            self._secrets.clear()
            return Command.AUTH
        if self._secrets:
            secret = self._secrets.popleft()
            self._send(_Pending(Command.AUTH, secret + b"\r\n", pending.record, b"[%d octets]" % len(secret)))
        else:
            self._send(_Pending(Command.AUTH, b"*\r\n", pending.record))  # RFC 4954 §4: cancel what we do not know
        return None

    def _on_mail(self, reply: RemoteReply, _: _Pending) -> Command:
        self._accepted = 0
        self._mail_refused = not reply.is_positive
        return Command.MAIL

    def _on_rcpt(self, reply: RemoteReply, _: _Pending) -> Command:
        if reply.is_positive:
            self._accepted += 1
        return Command.RCPT

    def _on_data(self, reply: RemoteReply, pending: _Pending) -> Command | None:
        stuff = self._stuffs.popleft()
        if reply.code != 354:
            return Command.DATA
        if not self._accepted:  # RFC 2920 §3.1: a single dot, and the answer to it stands for the answer to DATA
            self._lone_dot = True
            self._send(_Pending(Command.BODY, DOT, pending.record))
            return None
        self._body, self._body_record = Dotted() if stuff else Plain(), pending.record
        self._more = self._accepted - 1 if self._lmtp else 0
        self._accepted = 0
        return Command.DATA

    def _on_body(self, reply: RemoteReply, _: _Pending) -> Command | None:
        if not self._lone_dot:
            return Command.BODY
        self._lone_dot = False
        if reply.code == 354:  # it stands for the answer to DATA, and no body is going to come
            self._events.append(self._end(EndReason.BAD_REPLY, reply.text))
            return None
        return Command.DATA

    # -- the end -----------------------------------------------------------------------------------------------

    def _end(self, reason: EndReason, text: str) -> ConversationEnded:
        awaiting = self._outstanding[0].command if self._outstanding else Command.DATA if self._body else None
        if reason is EndReason.CLOSED and awaiting is Command.QUIT:
            reason = EndReason.QUIT
        if awaiting is not None and reason is not EndReason.CLOSING:
            text = f"{text} (awaiting the reply to {awaiting.value})"
        (self._outstanding[0].record if self._outstanding else self.record).append(b"* " + text[:500].encode())
        self._ended = True
        self._waiting.clear()
        self._outstanding.clear()
        return ConversationEnded(reason, text, awaiting)


_HANDLERS: dict[Command, Any] = {
    Command.EHLO: SmtpClient._on_ehlo,
    Command.STARTTLS: SmtpClient._on_starttls,
    Command.AUTH: SmtpClient._on_auth,
    Command.MAIL: SmtpClient._on_mail,
    Command.RCPT: SmtpClient._on_rcpt,
    Command.DATA: SmtpClient._on_data,
    Command.BODY: SmtpClient._on_body,
}


def _line(text: str) -> bytes:
    if "\r" in text or "\n" in text:
        raise ProtocolMisuse("a path holds a line break")
    return text.encode() + b"\r\n"
