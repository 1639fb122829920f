"""The smallest machine and session that make the driver do everything: lines in, lines out.

Client and server alike; used by the tests of the driver and of the in-memory network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from postroad.mail.envelope import TlsInfo
from postroad.ports.net import ClientTls, Connection
from postroad.proto.wire import Interruption, Signal


class LineMachine:
    """Each line is an event; end of input is the event None."""

    def __init__(self, patience: float = 60.0) -> None:
        self.patience = patience
        self.waits = False  # an event waits for its answer
        self.interrupted: Interruption | None = None
        self._buffer = b""
        self._out: list[bytes] = []
        self._eof = self._told = False

    def receive_data(self, data: bytes) -> None:
        self._buffer += data

    def receive_eof(self) -> None:
        self._eof = True

    def next_event(self) -> Any:
        if self.waits:
            return Signal.PAUSED
        line, end, rest = self._buffer.partition(b"\n")
        if end:
            self._buffer = rest
            return line
        if self._eof and not self._told:
            self._told = True
            return None
        return Signal.NEED_DATA

    def data_to_send(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def interrupt(self, reason: Interruption) -> None:
        self.interrupted = reason
        self._buffer = b""
        self.say(b"421 " + reason.value.encode())

    def tls_established(self, info: TlsInfo) -> None:
        del info
        self._buffer = b""

    def say(self, line: bytes) -> None:
        self._out.append(line + b"\n")

    @property
    def unread(self) -> int:
        return len(self._buffer)


class LineSession:
    """Answers by a table of words; other lines are echoed. Keeps what happened to it in `log`."""

    def __init__(self, machine: LineMachine, *, greeting: bytes = b"") -> None:
        self.machine = machine
        self.connection: Connection
        self.log: list[Any] = []
        self.gone = asyncio.Event()
        self.gate = asyncio.Event()  # what `wait` waits for
        self._greeting = greeting
        self.words: dict[bytes, Callable[[], Awaitable[None] | None]] = {
            b"quit": self.quit,
            b"tls": self.tls,
            b"wait": self.wait,
            b"later": self.later,
            b"bug": self.bug,
            b"slow bug": self.slow_bug,
            b"pour": self.pour,
        }

    # -- ports.net.Session -------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        self.connection = connection
        self.log.append("connected")
        if self._greeting:
            self.machine.say(self._greeting)

    def answer(self, event: bytes | None) -> Awaitable[None] | None:
        self.log.append(event)
        if event is None:
            self.connection.close()
            return None
        word = self.words.get(event)
        if word is not None:
            return word()
        self.machine.say(event)
        return None

    def secured(self, info: TlsInfo) -> None:
        self.log.append(info)

    def failed(self, error: Exception) -> None:
        self.log.append(error)
        self.machine.say(b"451 " + str(error).encode())

    def disconnected(self, error: Exception | None) -> None:
        self.log.append(("disconnected", error))
        self.gone.set()

    # -- words -------------------------------------------------------------------------------------------------

    def quit(self) -> None:
        self.machine.say(b"bye")
        self.connection.close()

    def tls(self) -> None:
        self.machine.say(b"go")
        self.connection.start_tls()

    async def wait(self) -> None:
        await self.gate.wait()
        self.log.append("waited")
        self.machine.say(b"waited")

    def later(self) -> None:
        """Answered from outside, by `connection.wake()`."""
        self.machine.waits = True

    def bug(self) -> None:
        raise RuntimeError("a bug")

    async def slow_bug(self) -> None:
        await self.gate.wait()
        raise RuntimeError("a slow bug")

    async def pour(self) -> None:
        """A long answer in pieces: 4 MiB in all, while the peer reads."""
        for _ in range(64):
            await self.connection.drained()
            self.connection.send(b"x" * 65535 + b"\n")
        self.machine.say(b"poured")


class LineClient(LineSession):
    """The same from the other side: what it hears is kept, nothing is answered."""

    def answer(self, event: bytes | None) -> None:
        self.log.append(event)
        if event == b"go":
            self.connection.start_tls(ClientTls("mx.test"))
        elif event is None:
            self.connection.close()

    def say(self, *lines: bytes) -> None:
        for line in lines:
            self.machine.say(line)
        self.connection.wake()
