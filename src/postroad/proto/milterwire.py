"""Packets of the milter protocol, version 6: what each octet means, written and read.

Source: the constants and structures of sendmail's libmilter (`mfdef.h`) and what Postfix and the filters in use make of
them; there is no RFC. A packet is a length of four octets, an octet that names it, and its data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum, IntEnum, IntFlag
from typing import Any, Final

from msgspec import Struct

VERSION: Final = 6
MIN_VERSION: Final = 2
MAX_PIECE: Final = 65535  # octets of body in one packet
MAX_PACKET: Final = 1024 * 1024 + 1  # octets of an answer: libmilter sends 64 KiB at most, others a whole body's piece


class Action(IntFlag):
    """What a milter may want to do to a message (SMFIF_*)."""

    ADD_HEADERS = 0x01
    CHANGE_BODY = 0x02
    ADD_RECIPIENTS = 0x04
    DELETE_RECIPIENTS = 0x08
    CHANGE_HEADERS = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENTS_WITH_PARAMETERS = 0x80
    SET_SYMBOLS = 0x100


class Step(IntFlag):
    """What of the conversation a milter can do without (SMFIP_*)."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RCPT = 0x08
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADER = 0x40
    SILENT_HEADER = 0x80  # it does not answer header fields
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400  # it may say that it has seen enough of the body
    REJECTED_RCPT = 0x800  # it wants to hear of recipients that we refuse
    SILENT_CONNECT = 0x1000
    SILENT_HELO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RCPT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_UNKNOWN = 0x20000
    SILENT_END_OF_HEADER = 0x40000
    SILENT_BODY = 0x80000
    LEADING_SPACE = 0x100000  # it sees the white space behind a field's colon


ALL_ACTIONS: Final = Action(0x1FF)
ALL_STEPS: Final = Step(0x1FFFFF)


class Stage(IntEnum):
    """Where macros are sent (SMFIM_*)."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    END = 5
    END_OF_HEADER = 6


class Verdict(Enum):
    """What a milter says at a stage."""

    CONTINUE = b"c"
    ACCEPT = b"a"
    REJECT = b"r"
    TEMPFAIL = b"t"
    DISCARD = b"d"
    SKIP = b"s"
    REPLY = b"y"  # with words of its own
    SHUTDOWN = b"4"  # the client is to be sent away
    FAIL = b"f"  # its connection is to be cut


class Answer(Struct, frozen=True):
    """A milter's answer to a stage; the last three are those of REPLY."""

    verdict: Verdict
    code: int = 0
    enhanced: str = ""
    text: str = ""


class Offer(Struct, frozen=True):
    """What a milter agrees to, and the macros that it wants at a stage in place of the usual ones."""

    version: int
    actions: Action
    steps: Step
    symbols: dict[Stage, tuple[str, ...]]


class AddHeader(Struct, frozen=True):
    """A field at the end of the header block."""

    name: bytes
    value: bytes


class InsertHeader(Struct, frozen=True):
    """A field in front of the one at `index`; 0 is above our own Received field, 1 below it."""

    index: int
    name: bytes
    value: bytes


class ChangeHeader(Struct, frozen=True):
    """Another value for the `index`th (from 1) field of that name; an empty one takes the field out."""

    index: int
    name: bytes
    value: bytes


class ChangeSender(Struct, frozen=True):
    path: bytes
    parameters: bytes = b""


class AddRecipient(Struct, frozen=True):
    path: bytes
    parameters: bytes = b""


class DeleteRecipient(Struct, frozen=True):
    path: bytes


class Quarantine(Struct, frozen=True):
    reason: str


class BodyPiece(Struct, frozen=True):
    """A piece of another body; the first one replaces what was there."""

    data: bytes


class SetSymbols(Struct, frozen=True):
    """Other macros at a stage, from now on."""

    stage: Stage
    names: tuple[str, ...]


class Progress(Struct, frozen=True):
    """It is still at work."""


Change = (
    AddHeader | InsertHeader | ChangeHeader | ChangeSender | AddRecipient | DeleteRecipient | Quarantine | BodyPiece
)
Said = Answer | Change | SetSymbols | Progress


class MilterFault(ValueError):  # noqa: N818 - the milter's
    """What came is not of this protocol."""


# --- what we write ----------------------------------------------------------------------------------------------------


def packet(command: bytes, data: bytes = b"") -> bytes:
    return (len(data) + 1).to_bytes(4, "big") + command + data


def strings(*texts: bytes) -> bytes:
    """Each ended by a zero octet; one inside is left out, for it would end its string."""
    return b"".join(text.replace(b"\0", b"") + b"\0" for text in texts)


def negotiation(actions: Action = ALL_ACTIONS, steps: Step = ALL_STEPS) -> bytes:
    return packet(b"O", _numbers(VERSION, actions, steps))


def macros(command: bytes, values: Iterable[tuple[str, str]]) -> bytes:
    """Definitions for the command that follows."""
    pairs = [part.encode("utf-8", "surrogateescape") for pair in values for part in pair]
    return packet(b"D", command + strings(*pairs))


def connection(name: bytes, family: bytes, address: bytes, port: int) -> bytes:
    """`family`: `4`, `6`, `L` (a Unix socket) or `U` (unknown: no address follows)."""
    where = b"" if family == b"U" else port.to_bytes(2, "big") + strings(address)
    return packet(b"C", strings(name) + family + where)


def _numbers(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)


# --- what we read -----------------------------------------------------------------------------------------------------

_REPLY = re.compile(r"([45][0-9][0-9])(?:[ -]([45]\.[0-9]{1,3}\.[0-9]{1,3}))?(?:[ -]|$)(.*)", re.ASCII | re.DOTALL)
_FIELD_NAME = re.compile(rb"[!-9;-~]{1,200}")  # RFC 5322 §3.6.8


def read_offer(data: bytes) -> Offer:
    """The answer to our negotiation, without its first octet. Raises MilterFault."""
    if len(data) < 12:
        raise MilterFault("its negotiation is too short")
    version, actions, steps = (int.from_bytes(data[at : at + 4], "big") for at in (0, 4, 8))
    if version < MIN_VERSION:
        raise MilterFault(f"it speaks version {version}, and we from {MIN_VERSION} on")
    symbols: dict[Stage, tuple[str, ...]] = {}
    rest = data[12:]
    while len(rest) > 4:
        wanted, rest = _symbols(rest)
        symbols[wanted.stage] = wanted.names
    return Offer(min(version, VERSION), Action(actions & ALL_ACTIONS), Step(steps & ALL_STEPS), symbols)


def read_said(command: bytes, data: bytes) -> Said:
    """Anything that a milter says later. Raises MilterFault."""
    read = _READERS.get(command)
    if read is None:
        raise MilterFault(f"it said {command!r}, which means nothing")
    said: Said = read(data)
    return said


def _symbols(data: bytes) -> tuple[SetSymbols, bytes]:
    number, (names, *_), rest = int.from_bytes(data[:4], "big"), *_split(data[4:], 1)
    try:
        stage = Stage(number)
    except ValueError:
        raise MilterFault(f"it wants macros at stage {number}, which there is not") from None
    return SetSymbols(stage, tuple(_text(names).replace(",", " ").split())), rest


def _split(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    """So many strings, and what stands behind them."""
    parts = data.split(b"\0", count)
    if len(parts) <= count:
        raise MilterFault("a text in it has no end")
    return parts[:count], parts[count]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _answer(verdict: Verdict) -> Callable[[bytes], Said]:
    said = Answer(verdict)
    return lambda _: said


def _reply(data: bytes) -> Answer:
    lines = [_REPLY.fullmatch(line.rstrip()) for line in _text(data.rstrip(b"\0")).splitlines() if line.strip()]
    first = lines[0] if lines else None
    if first is None:
        raise MilterFault("its reply is none")
    words = " ".join(line[3].strip() for line in lines if line is not None)
    enhanced = first[2] or ""
    if enhanced and enhanced[0] != first[1][0]:
        enhanced = ""
    words = "".join(letter if letter.isprintable() else " " for letter in words.replace("%%", "%"))
    return Answer(Verdict.REPLY, int(first[1]), enhanced, words.strip() or "refused")


def _field(data: bytes) -> tuple[bytes, bytes]:
    (name, value), _ = _split(data, 2)
    if not _FIELD_NAME.fullmatch(name):
        raise MilterFault(f"{name[:100]!r} is not the name of a field")
    return name, value


def _placed(kind: Callable[[int, bytes, bytes], Said]) -> Callable[[bytes], Said]:
    def read(data: bytes) -> Said:
        if len(data) < 4:
            raise MilterFault("a place is missing")
        return kind(int.from_bytes(data[:4], "big"), *_field(data[4:]))

    return read


def _path(kind: Callable[..., Said], *, parameters: bool) -> Callable[[bytes], Said]:
    def read(data: bytes) -> Said:
        (path,), rest = _split(data, 1)
        return kind(path, rest.split(b"\0")[0]) if parameters else kind(path)

    return read


_READERS: Final[dict[bytes, Callable[[bytes], Any]]] = {
    **{verdict.value: _answer(verdict) for verdict in Verdict if verdict is not Verdict.REPLY},
    b"y": _reply,
    b"p": lambda _: Progress(),
    b"h": lambda data: AddHeader(*_field(data)),
    b"i": _placed(InsertHeader),
    b"m": _placed(ChangeHeader),
    b"e": _path(ChangeSender, parameters=True),
    b"+": _path(AddRecipient, parameters=False),
    b"2": _path(AddRecipient, parameters=True),
    b"-": _path(DeleteRecipient, parameters=False),
    b"q": lambda data: Quarantine(_text(data.split(b"\0")[0])),
    b"b": BodyPiece,
    b"l": lambda data: _symbols(data)[0],
}
