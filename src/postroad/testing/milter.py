"""A milter that does what a test says: it notes all that it is told, and answers by a script, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from postroad.proto.milterwire import ALL_ACTIONS, VERSION, Action, Step, packet, strings

CONTINUE, ACCEPT, REJECT, TEMPFAIL = packet(b"c"), packet(b"a"), packet(b"r"), packet(b"t")
DISCARD, SKIP, PROGRESS, SHUTDOWN, FAIL = packet(b"d"), packet(b"s"), packet(b"p"), packet(b"4"), packet(b"f")
NONE = Step(0)
UNANSWERED = (b"A", b"Q", b"D")

_SILENT = {
    b"C": Step.SILENT_CONNECT,
    b"H": Step.SILENT_HELO,
    b"M": Step.SILENT_MAIL,
    b"R": Step.SILENT_RCPT,
    b"T": Step.SILENT_DATA,
    b"U": Step.SILENT_UNKNOWN,
    b"L": Step.SILENT_HEADER,
    b"N": Step.SILENT_END_OF_HEADER,
    b"B": Step.SILENT_BODY,
}


class Stall:
    """In a script: it says nothing more."""


class Hang:
    """In a script: it closes the connection."""


class Wait:
    """In a script: it goes on when the test says so."""

    def __init__(self) -> None:
        self.over = asyncio.Event()


Answer = bytes | Wait | type[Stall] | type[Hang]


def reply(text: str) -> bytes:
    return packet(b"y", strings(text.encode()))


def add(name: str, value: str) -> bytes:
    return packet(b"h", strings(name.encode(), value.encode()))


def insert(index: int, name: str, value: str) -> bytes:
    return packet(b"i", index.to_bytes(4, "big") + strings(name.encode(), value.encode()))


def change(index: int, name: str, value: str) -> bytes:
    return packet(b"m", index.to_bytes(4, "big") + strings(name.encode(), value.encode()))


def sender(path: str, parameters: str = "") -> bytes:
    return packet(b"e", strings(path.encode(), *([parameters.encode()] if parameters else [])))


def recipient(path: str, parameters: str = "") -> bytes:
    """With parameters it is another packet."""
    if parameters:
        return packet(b"2", strings(path.encode(), parameters.encode()))
    return packet(b"+", strings(path.encode()))


def not_recipient(path: str) -> bytes:
    return packet(b"-", strings(path.encode()))


def body(content: bytes) -> bytes:
    return packet(b"b", content)


def quarantine(reason: str) -> bytes:
    return packet(b"q", strings(reason.encode()))


def offer(
    actions: Action = ALL_ACTIONS,
    steps: Step = NONE,
    version: int = VERSION,
    symbols: Mapping[int, str] | None = None,
) -> bytes:
    """A milter's side of the negotiation."""
    lists = b"".join(stage.to_bytes(4, "big") + strings(names.encode()) for stage, names in (symbols or {}).items())
    return packet(b"O", b"".join(number.to_bytes(4, "big") for number in (version, actions, steps)) + lists)


@dataclass
class FakeMilter:
    """`script`: by command, what it answers to the first of that kind, the second, and so on; the last one repeats.
    What is not in it is answered by CONTINUE."""

    script: Mapping[bytes, Sequence[Answer]] = field(default_factory=dict)
    offer: bytes = field(default_factory=offer)
    steps: Step = NONE
    heard: list[tuple[bytes, bytes]] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    url: str = ""

    def said(self, command: bytes) -> list[bytes]:
        """The data of each packet of that kind."""
        return [data for each, data in self.heard if each == command]

    @property
    def commands(self) -> str:
        """What it was told, in order: a letter for each, macros left out."""
        return b"".join(command for command, _ in self.heard if command != b"D").decode()

    def macros(self, command: bytes) -> dict[str, str]:
        """Those that came before the commands of that kind."""
        found: dict[str, str] = {}
        for data in self.said(b"D"):
            if data[:1] == command:
                words = data[1:].decode().split("\0")
                found |= dict(zip(words[0::2], words[1::2], strict=False))
        return found

    @property
    def body(self) -> bytes:
        return b"".join(self.said(b"B"))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        told: dict[bytes, int] = {}
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer(reader, writer, told):
                    pass
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: dict[bytes, int]) -> bool:
        """One packet and what it says to it; False at the end."""
        length = int.from_bytes(await reader.readexactly(4), "big")
        data = await reader.readexactly(length)
        command = data[:1]
        if command == b"O":
            answer: Answer = self.offer
        else:
            self.heard.append((command, data[1:]))
            if command in UNANSWERED:
                return command != b"Q"
            answers, number = self.script.get(command, (CONTINUE,)), told.get(command, 0)
            told[command] = number + 1
            answer = answers[min(number, len(answers) - 1)]
            if command in _SILENT and self.steps & _SILENT[command]:
                return True
        if answer is Hang:
            return False
        if answer is Stall:
            await reader.read()
            return False
        if isinstance(answer, Wait):
            await answer.over.wait()
            answer = CONTINUE
        assert isinstance(answer, bytes)
        writer.write(answer)
        await writer.drain()
        return True


@asynccontextmanager
async def running_milter(milter: FakeMilter, path: str = "") -> AsyncIterator[FakeMilter]:
    """It listens while the block runs: at a Unix socket, else on a free port of 127.0.0.1. `milter.url` says where."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await milter.talk(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            talks.discard(task)

    if path:
        server = await asyncio.start_unix_server(talk, path)
        milter.url = f"milter:unix:{path}"
    else:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        milter.url = f"milter:127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield milter
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
