"""The milter conversation, seen from the mail server (protocol version 6).

Each method below tells the milter of one thing and is followed by exactly one `Answered`: the milter's, or one of our
own making where it wants to hear nothing of it, or does not answer such things. Between `end_of_message` and its answer
come the changes that it wants, one by one. `Broken` is the last event: what the milter was told is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from postroad.proto.milterwire import (
    MAX_PACKET,
    Answer,
    Change,
    MilterFault,
    Offer,
    Progress,
    SetSymbols,
    Stage,
    Step,
    Verdict,
    connection,
    macros,
    negotiation,
    packet,
    read_offer,
    read_said,
    strings,
)
from postroad.proto.wire import Interruption, ProtocolMisuse, ReceiveBuffer, Signal

_NO_STEP: Final = Step(0)
MAX_CHANGES: Final = 5000  # of one message, pieces of a new body not counted
CONTINUE: Final = Answer(Verdict.CONTINUE)
Macros = Mapping[str, str]  # by name, as filters spell it: `i`, `{auth_authen}`

# Where the usual macros go, as sendmail and Postfix send them; a milter may ask for others (SETSYMLIST).
USUAL: Final[Mapping[Stage, tuple[str, ...]]] = {
    Stage.CONNECT: (
        "j", "_", "v", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_name}", "{if_addr}", "{client_addr}",
        "{client_name}", "{client_port}", "{client_ptr}",
    ),
    Stage.HELO: ("{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"),
    Stage.MAIL: (
        "i", "{auth_type}", "{auth_authen}", "{auth_author}", "{auth_ssf}", "{mail_addr}", "{mail_host}",
        "{mail_mailer}",
    ),
    Stage.RCPT: ("i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"),
    Stage.DATA: ("i",),
    Stage.END_OF_HEADER: ("i",),
    Stage.END: ("i", "{msg_id}"),
}  # fmt: skip


@dataclass(slots=True)
class Negotiated:
    """The milter is ready for `connect`."""

    offer: Offer


@dataclass(slots=True)
class Answered:
    """Its answer to what it was told last."""

    answer: Answer


@dataclass(slots=True)
class Changed:
    """What it wants done to the message."""

    change: Change


@dataclass(slots=True)
class Progressed:
    """It is still at work on what it was told last."""


@dataclass(slots=True)
class Broken:
    """The conversation is over."""

    reason: str


Event = Negotiated | Answered | Changed | Progressed | Broken


@dataclass(frozen=True, slots=True)
class _Told:
    """A thing that a milter is told: its command, where its macros go, the bits that leave it or its answer out."""

    command: bytes
    stage: Stage | None = None
    left_out: Step = _NO_STEP
    silent: Step = _NO_STEP
    version: int = 2


_CONNECT = _Told(b"C", Stage.CONNECT, Step.NO_CONNECT, Step.SILENT_CONNECT)
_HELO = _Told(b"H", Stage.HELO, Step.NO_HELO, Step.SILENT_HELO)
_MAIL = _Told(b"M", Stage.MAIL, Step.NO_MAIL, Step.SILENT_MAIL)
_RCPT = _Told(b"R", Stage.RCPT, Step.NO_RCPT, Step.SILENT_RCPT)
_DATA = _Told(b"T", Stage.DATA, Step.NO_DATA, Step.SILENT_DATA, 4)
_UNKNOWN = _Told(b"U", None, Step.NO_UNKNOWN, Step.SILENT_UNKNOWN, 3)
_HEADER = _Told(b"L", None, Step.NO_HEADERS, Step.SILENT_HEADER)
_END_OF_HEADER = _Told(b"N", Stage.END_OF_HEADER, Step.NO_END_OF_HEADER, Step.SILENT_END_OF_HEADER)
_BODY = _Told(b"B", None, Step.NO_BODY, Step.SILENT_BODY)
_END = _Told(b"E", Stage.END)

_NO_SYMBOLS: Final[Mapping[Stage, tuple[str, ...]]] = {}


class MilterClient:
    """One connection with a milter."""

    __slots__ = (
        "_buffer", "_changes", "_command_timeout", "_ended", "_eof", "_events", "_left", "_message_timeout", "_out",
        "_symbols", "_told", "offer",
    )  # fmt: skip

    def __init__(self, *, command_timeout: float, message_timeout: float) -> None:
        """Patience for an answer: for that to the end of a message, which is when filters do their work, and for any
        other."""
        self._command_timeout = command_timeout
        self._message_timeout = message_timeout
        self._buffer = ReceiveBuffer()
        self._out = [negotiation()]
        self._events: deque[Event] = deque()
        self._told: _Told | None = None  # what it has not yet answered
        self._left: deque[bytes] = deque()  # packets of the same kind that go out one by one, with each answer
        self._changes = 0
        self._symbols: Mapping[Stage, tuple[str, ...]] = _NO_SYMBOLS
        self._ended = self._eof = False
        self.offer: Offer | None = None  # from Negotiated on

    # --- the machine -------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> None:
        if not self._ended:
            self._buffer.feed(data)

    def receive_eof(self) -> None:
        self._eof = True

    def next_event(self) -> Event | Signal:
        """The next event, or NEED_DATA: nothing of a milter's waits for an answer of ours."""
        while not self._events:
            if self._ended:
                return Signal.NEED_DATA
            try:
                if not self._read():
                    break
            except MilterFault as fault:
                self._break(str(fault))
        if not self._events and self._eof:
            self._break("it has closed the connection")
        return self._events.popleft() if self._events else Signal.NEED_DATA

    def data_to_send(self) -> bytes:
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @property
    def patience(self) -> float:
        if self._ended:
            return inf
        if self._told is _END:
            return self._message_timeout
        return self._command_timeout if self._told is not None or self.offer is None else inf

    def interrupt(self, reason: Interruption) -> None:
        if not self._ended:
            self._break("it did not answer in time" if reason is Interruption.TIMEOUT else f"ended: {reason.value}")

    # --- what it is told ----------------------------------------------------------------------------------------------

    def connect(self, name: str, family: bytes, address: str, port: int, symbols: Macros) -> None:
        """Once, after Negotiated."""
        self._tell(_CONNECT, connection(_octets(name), family, _octets(address), port), symbols)

    def helo(self, name: str, symbols: Macros) -> None:
        self._tell(_HELO, packet(b"H", strings(_octets(name))), symbols)

    def mail(self, words: Sequence[str], symbols: Macros) -> None:
        """`<path>` and each parameter."""
        self._tell(_MAIL, packet(b"M", strings(*map(_octets, words))), symbols)

    def rcpt(self, words: Sequence[str], symbols: Macros) -> None:
        self._tell(_RCPT, packet(b"R", strings(*map(_octets, words))), symbols)

    def data(self, symbols: Macros) -> None:
        self._tell(_DATA, packet(b"T"), symbols)

    def unknown(self, line: str) -> None:
        """A command that is none."""
        self._tell(_UNKNOWN, packet(b"U", strings(_octets(line))), {})

    def headers(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Every field, from the top: its name, and all between colon and last CRLF. One answer for all: the first that
        is not CONTINUE, else CONTINUE."""
        spaced = self._steps & Step.LEADING_SPACE
        packets = deque(packet(b"L", strings(name, _value(value, spaced))) for name, value in fields)
        if packets:
            self._tell(_HEADER, packets.popleft(), {}, packets)
        else:
            self._tell(None, b"", {})

    def end_of_header(self, symbols: Macros) -> None:
        self._tell(_END_OF_HEADER, packet(b"N"), symbols)

    def body(self, piece: bytes) -> None:
        """At most MAX_PIECE octets."""
        self._tell(_BODY, packet(b"B", piece), {})

    def end_of_message(self, symbols: Macros) -> None:
        self._changes = 0
        self._tell(_END, packet(b"E"), symbols)

    def abort(self) -> None:
        """The message is over without its end. Not answered."""
        self._say(packet(b"A"))

    def quit(self) -> None:
        """The conversation is over. Not answered; close the connection next."""
        self._say(packet(b"Q"))
        self._ended = True

    def wants_rejected(self) -> bool:
        """Whether it is to hear of recipients that we refuse."""
        return bool(self._steps & Step.REJECTED_RCPT)

    def wants_body(self) -> bool:
        return not self._steps & Step.NO_BODY

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _steps(self) -> Step:
        return self.offer.steps if self.offer is not None else _NO_STEP

    def _tell(self, told: _Told | None, data: bytes, symbols: Macros, more: deque[bytes] | None = None) -> None:
        offer = self.offer
        if offer is None or self._told is not None:
            raise ProtocolMisuse("the milter has not answered yet")
        if self._ended:
            raise ProtocolMisuse("the conversation is over")
        if told is None or offer.steps & told.left_out or offer.version < told.version:
            self._events.append(Answered(CONTINUE))
            return
        if told.stage is not None:
            self._define(told, symbols)
        self._out.append(data)
        if offer.steps & told.silent:
            self._out.extend(more or ())
            self._events.append(Answered(CONTINUE))
            return
        self._told, self._left = told, more or deque()

    def _define(self, told: _Told, symbols: Macros) -> None:
        stage = told.stage
        assert stage is not None
        wanted = self._symbols.get(stage, USUAL[stage])
        values = [(name, symbols[name]) for name in wanted if name in symbols]
        if values:
            self._out.append(macros(told.command, values))

    def _say(self, data: bytes) -> None:
        """What is not answered. What was said before and is not answered yet, no longer matters."""
        if not self._ended and self.offer is not None:
            self._out.append(data)

    def _read(self) -> bool:
        """Read one packet; False when none is whole."""
        buffer = self._buffer
        if len(buffer) < 5:
            return False
        head = buffer.take(4)
        length = int.from_bytes(head, "big")
        if not 1 <= length <= MAX_PACKET:
            raise MilterFault(f"it sent a packet of {length} octets")
        if len(buffer) < length:
            buffer.unread(head)
            return False
        data = buffer.take(length)
        self._heard(data[:1], data[1:])
        return True

    def _heard(self, command: bytes, data: bytes) -> None:
        if self.offer is None:
            if command != b"O":
                raise MilterFault("it does not negotiate")
            self.offer = offer = read_offer(data)
            self._symbols = offer.symbols
            self._events.append(Negotiated(offer))
            return
        if self._told is None:
            raise MilterFault(f"it said {command!r} unasked")
        said = read_said(command, data)
        if isinstance(said, Answer):
            self._settle(self._told, said)
        elif isinstance(said, Progress):
            self._events.append(Progressed())
        elif isinstance(said, SetSymbols):
            self._symbols = {**self._symbols, said.stage: said.names}
        else:
            self._change(said, command)

    def _settle(self, told: _Told, answer: Answer) -> None:
        if answer.verdict is Verdict.SKIP and told is not _BODY:
            raise MilterFault("it skips what is no body")
        if self._left and answer.verdict is Verdict.CONTINUE:
            self._out.append(self._left.popleft())
            self._events.append(Progressed())
            return
        self._told = None
        self._left.clear()
        self._events.append(Answered(answer))

    def _change(self, change: Change, command: bytes) -> None:
        if self._told is not _END:
            raise MilterFault(f"it changes the message ({command!r}) before its end")
        if command != b"b":
            self._changes += 1
            if self._changes > MAX_CHANGES:
                raise MilterFault(f"it wants more than {MAX_CHANGES} changes")
        self._events.append(Changed(change))

    def _break(self, reason: str) -> None:
        self._ended = True
        self._told = None
        self._left.clear()
        self._out.clear()
        self._buffer.clear()
        self._events.append(Broken(reason))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _value(value: bytes, spaced: bool | int) -> bytes:
    """As milters read it: lines of a folded field end with LF alone."""
    return (value if spaced else value.lstrip(b" \t")).replace(b"\r\n", b"\n")
