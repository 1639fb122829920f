r"""Dialogues: transcripts that are tests. Reads a file, plays its client, checks what the server says.

    # zones: basic.zone   listener: mx        facts for the test, `key: value`, two spaces between them
    S~ 220 .*                                 a line that fits the pattern, whole
    C: EHLO client.example                    sends a line with CRLF; consecutive ones are one pipelined group
    S* 250-PIPELINING                         skips to a line, which equals this or fits it as a pattern
    C! Subject: x\r\n\r\nbare\nline\r\n.\r\n  raw bytes: \r \n \t \0 \\ \xHH, and \{500*ab} for repetition
    S: 550 5.6.0 ...                          exactly this line
    ! tls                                     TLS begins here; also: eof, closed, silent, timeout, shutdown

`agree` plays it whole, byte by byte and at random cuts; the three must say the same. What it is played against is a
`Peer`: a bare machine with a scripted answerer (`MachinePeer`), or a connection to a whole server (`StreamPeer`).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

from postroad.mail.envelope import TlsInfo
from postroad.proto.wire import Interruption, Machine, Signal

Cuts = Callable[[bytes], Iterator[bytes]]
_STEP = re.compile(r"(C:|C!|S:|S~|S\*|!)(?: (.*))?")
_FACT = re.compile(r"([a-z_]+): (\S(?:.*?\S)??)(?:  +|$)")
_ESCAPE = re.compile(r"\\(?:\{(\d+)\*((?:[^}\\]|\\.)*)\}|x([0-9a-fA-F]{2})|(.))")
_SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\", "}": "}", "{": "{"}
_INTERRUPTIONS = {"timeout": Interruption.TIMEOUT, "shutdown": Interruption.SHUTDOWN}
DIRECTIVES = ("tls", "eof", "closed", "silent", *_INTERRUPTIONS)


class DialogueError(AssertionError):
    """The server did not say what the dialogue expects; or the file is not a dialogue."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the file. `kind` is `C` (bytes to send), `S:`, `S~`, `S*` or `!`."""

    kind: str
    text: str
    data: bytes
    line: int


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A file, read. Consecutive client lines have been joined into one step."""

    name: str
    facts: dict[str, str]
    steps: tuple[Step, ...]

    @classmethod
    def load(cls, path: Path) -> Dialogue:
        return cls.parse(path.read_text(encoding="utf-8"), path.name)

    @classmethod
    def parse(cls, text: str, name: str = "dialogue") -> Dialogue:
        """Raises DialogueError when a line is none of the known kinds."""
        facts: dict[str, str] = {}
        steps: list[Step] = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("#"):
                facts.update(_FACT.findall(line[1:].strip()))
            elif line.strip():
                _append(steps, _step(line, number, name))
        return cls(name, facts, tuple(steps))

    @property
    def machine_only(self) -> bool:
        """Whether it needs what only a bare machine can be given (an interruption, or `only: machine`)."""
        return self.facts.get("only") == "machine" or any(
            step.kind == "!" and step.text in _INTERRUPTIONS for step in self.steps
        )


def _step(line: str, number: int, name: str) -> Step:
    match = _STEP.fullmatch(line)
    if not match:
        raise DialogueError(f"{name}:{number}: not a dialogue line: {line!r}")
    kind, text = match[1], match[2] or ""
    if kind == "C:":
        return Step("C", text, text.encode("utf-8") + b"\r\n", number)
    if kind == "C!":
        return Step("C", text, unescape(text), number)
    if kind == "!" and text not in DIRECTIVES:
        raise DialogueError(f"{name}:{number}: unknown directive {text!r}; known: {', '.join(DIRECTIVES)}")
    return Step(kind, text, b"", number)


def _append(steps: list[Step], step: Step) -> None:
    if step.kind == "C" and steps and steps[-1].kind == "C":
        last = steps[-1]
        step = Step("C", f"{last.text}\n{step.text}", last.data + step.data, last.line)
        steps.pop()
    steps.append(step)


def unescape(text: str) -> bytes:
    r"""The bytes that `C!` text stands for."""
    return _ESCAPE.sub(_unescape_one, text).encode("utf-8", "surrogateescape")


def _unescape_one(match: re.Match[str]) -> str:
    count, repeated, octet, simple = match.groups()
    if count:
        return unescape(repeated).decode("utf-8", "surrogateescape") * int(count)
    if octet:
        return bytes([int(octet, 16)]).decode("utf-8", "surrogateescape")
    if simple not in _SIMPLE:
        raise DialogueError(f"unknown escape \\{simple}")
    return _SIMPLE[simple]


# --- how the client's bytes are cut -----------------------------------------------------------------------------------


def whole(data: bytes) -> Iterator[bytes]:
    """Each group at once."""
    yield data


def each_byte(data: bytes) -> Iterator[bytes]:
    """One byte at a time."""
    return (data[i : i + 1] for i in range(len(data)))


def random_cuts(seed: int) -> Cuts:
    """Pieces of 1 to 40 octets, the same for the same seed."""
    random = Random(seed)  # noqa: S311 - cuts, not secrets

    def cut(data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            end = start + random.randint(1, 40)
            yield data[start:end]
            start = end

    return cut


# --- whom it is played against ----------------------------------------------------------------------------------------


class Peer(Protocol):
    """The server's side, as the player needs it."""

    async def send(self, data: bytes) -> None: ...

    async def line(self) -> str | None:
        """The next line without its CRLF; None when the server says nothing more (or has closed)."""

    async def closed(self) -> bool:
        """Whether the server ended the conversation."""

    async def directive(self, name: str) -> None:
        """tls, eof, timeout or shutdown."""

    def unread(self) -> bytes:
        """What the server said and nobody has read, as far as this can be known."""


class MachinePeer:
    """A bare machine and a scripted answerer, without a socket or a loop.

    `answer(event)` answers the machine and returns True when a session would now close the connection.
    """

    def __init__(self, machine: Machine, answer: Callable[[Any], bool | None]) -> None:
        self.machine = machine
        self.events: list[Any] = []
        self._answer = answer
        self._said = b""
        self._closed = False
        self._run()

    async def send(self, data: bytes) -> None:
        self.machine.receive_data(data)
        self._run()

    async def line(self) -> str | None:
        line, ending, rest = self._said.partition(b"\r\n")
        if not ending:
            return None
        self._said = rest
        return line.decode("utf-8", "backslashreplace")

    async def closed(self) -> bool:
        return self._closed

    async def directive(self, name: str) -> None:
        if name == "tls":
            self.machine.tls_established(TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384"))  # type: ignore[attr-defined]
        elif name == "eof":
            self.machine.receive_eof()
        else:
            self.machine.interrupt(_INTERRUPTIONS[name])
        self._run()

    def unread(self) -> bytes:
        return self._said

    def _run(self) -> None:
        while not isinstance(event := self.machine.next_event(), Signal):
            self.events.append(event)
            self._closed = bool(self._answer(event)) or self._closed
        self._said += self.machine.data_to_send()


class StreamPeer:
    """A connection to a whole server. `tls` is the client's context for `! tls`; silence is `timeout` seconds."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str = "localhost",
        timeout: float = 10.0,
    ) -> None:
        self._reader, self._writer, self._tls = reader, writer, tls
        self._server_name, self._timeout = server_name, timeout

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def line(self) -> str | None:
        async with asyncio.timeout(self._timeout):
            line = await self._reader.readline()
        return line.removesuffix(b"\r\n").decode("utf-8", "backslashreplace") if line else None

    async def closed(self) -> bool:
        async with asyncio.timeout(self._timeout):
            return await self._reader.read(1) == b""

    async def directive(self, name: str) -> None:
        if name == "tls":
            assert self._tls, "give StreamPeer a client context"
            await self._writer.start_tls(self._tls, server_hostname=self._server_name)
        elif name == "eof":
            self._writer.write_eof()
        else:
            raise DialogueError(f"a whole server cannot be given `! {name}`")

    def unread(self) -> bytes:
        return b""  # more may be on its way; the next expectation will meet it


# --- the player -------------------------------------------------------------------------------------------------------


async def play(dialogue: Dialogue, peer: Peer, cuts: Cuts = whole) -> list[str]:
    """Play the client, check the server; returns what the server said. Raises DialogueError at the first difference."""
    said: list[str] = []
    for step in dialogue.steps:
        try:
            if step.kind == "C":
                _nothing_unread(peer)
                for piece in cuts(step.data):
                    await peer.send(piece)
            elif step.kind == "!":
                await _direct(step.text, peer)
            else:
                await _expect(step, peer, said)
        except DialogueError as error:
            heard = "".join(f"\n    {line}" for line in said[-8:])
            raise DialogueError(f"{dialogue.name}:{step.line}: {error}; the server said last:{heard}") from None
    try:
        _nothing_unread(peer)
    except DialogueError as error:
        raise DialogueError(f"{dialogue.name}: at the end: {error}") from None
    return said


def _nothing_unread(peer: Peer) -> None:
    if peer.unread():
        raise DialogueError(f"the server said more than expected: {peer.unread()!r}")


async def _direct(name: str, peer: Peer) -> None:
    if name == "closed":
        _nothing_unread(peer)
        if not await peer.closed():
            raise DialogueError("the server has not closed")
    elif name == "silent":
        _nothing_unread(peer)
    else:
        await peer.directive(name)


async def _expect(step: Step, peer: Peer, said: list[str]) -> None:
    while True:
        line = await peer.line()
        if line is None:
            raise DialogueError(f"expected {step.kind} {step.text}, and the server says nothing")
        said.append(line)
        if _fits(step, line):
            return
        if step.kind != "S*":
            raise DialogueError(f"expected {step.kind} {step.text}, got {line!r}")


def _fits(step: Step, line: str) -> bool:
    if step.kind != "S~" and line == step.text:
        return True
    return step.kind != "S:" and bool(re.fullmatch(_pattern(step), line))


def _pattern(step: Step) -> str:
    try:
        re.compile(step.text)
    except re.error:
        return re.escape(step.text)  # `S* * OK [UIDNEXT 3]` is a line, not a pattern
    return step.text


def at_once(coroutine: Coroutine[Any, Any, list[str]]) -> list[str]:
    """Run what never waits, such as `play` with a MachinePeer, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        said: list[str] = done.value
        return said
    coroutine.close()
    raise AssertionError("a bare machine's dialogue waited for something")


def agree(dialogue: Dialogue, make_peer: Callable[[], Peer], *, seeds: tuple[int, ...] = (1, 2, 3)) -> list[str]:
    """Play whole, byte by byte and at random cuts, each with a fresh peer; all must say the same. Returns it."""
    said = at_once(play(dialogue, make_peer(), whole))
    for name, cuts in [("byte by byte", each_byte), *((f"cut by seed {seed}", random_cuts(seed)) for seed in seeds)]:
        other = at_once(play(dialogue, make_peer(), cuts))
        if other != said:
            raise DialogueError(f"{dialogue.name}: whole and {name} differ:\n{said}\n{other}")
    return said


def dialogue_files(folder: Path, suffix: str) -> list[Path]:
    """The dialogues of one protocol, in order: `dialogue_files(HERE, ".smtp")`."""
    found = sorted(folder.rglob(f"*{suffix}"))
    if not found:
        raise DialogueError(f"no {suffix} dialogues under {folder}")
    return found
