"""A remote mail server as a test wants it: each command's answer is a line in a table, and what came is on record.

Simpler than the lab's receivers and without their tempers: for tests of our way out, on `testing.network`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from postroad.adapters.net.tls import ServerTls
from postroad.mail.envelope import TlsInfo
from postroad.ports.net import Connection, Endpoint
from postroad.proto.wire import Interruption, Signal
from postroad.testing.network import MemoryNetwork

CLOSE = "close"  # as an answer: the connection is cut
SILENCE = ""  # as an answer: nothing is said

Answer = str | Callable[[str], str]
DEFAULTS: Mapping[str, Answer] = {
    "": "220 mx.test ready",  # the greeting
    "EHLO": "250-mx.test\n250-PIPELINING\n250-SIZE 1000000\n250 8BITMIME",
    "HELO": "250 mx.test",
    "STARTTLS": "220 2.0.0 go ahead",
    "MAIL": "250 2.1.0 OK",
    "RCPT": "250 2.1.5 OK",
    "DATA": "354 go on",
    ".": "250 2.0.0 taken",
    "RSET": "250 2.0.0 OK",
    "QUIT": "221 2.0.0 bye",
}


@dataclass
class Taken:
    """A message that came."""

    reverse_path: str
    recipients: list[str]
    content: bytes


@dataclass
class Remote:
    """One server with all its connections. `answers` overrides DEFAULTS by verb, or by `VERB argument` exactly."""

    answers: dict[str, Answer] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    connections: int = 0

    def factory(self) -> tuple[_Machine, _Session]:
        """For `listen`."""
        self.connections += 1
        machine = _Machine(self)
        return machine, _Session(machine)

    def listen(self, network: MemoryNetwork, address: str, port: int = 25, *, tls: ServerTls | None = None) -> None:
        network.listen(Endpoint(address, port), self.factory, tls=tls)

    def answer(self, line: str) -> str:
        verb = line.split(" ", 1)[0].upper()
        found = self.answers.get(line, self.answers.get(verb, DEFAULTS.get(verb, "500 what?")))
        return found if isinstance(found, str) else found(line)


class _Machine:
    """Just enough of a server: lines, dots, and an envelope."""

    patience = inf

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._buffer = b""
        self._out: list[bytes] = []
        self._events: list[str] = []
        self._body = False
        self._reverse_path = ""
        self._recipients: list[str] = []
        self._say(remote.answer(""))

    def receive_data(self, data: bytes) -> None:
        self._buffer += data

    def receive_eof(self) -> None:
        self._events.append(CLOSE)

    def next_event(self) -> Any:
        while not self._events:
            if self._body:
                end = self._buffer.find(b"\r\n.\r\n") if not self._buffer.startswith(b".\r\n") else -2
                if end == -1:
                    return Signal.NEED_DATA
                self._take(self._buffer[: end + 2])
                self._buffer = self._buffer[end + 5 :]
                continue
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return Signal.NEED_DATA
            self._buffer = rest
            self._command(line.decode())
        return self._events.pop(0)

    def data_to_send(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def interrupt(self, reason: Interruption) -> None:
        del reason

    def tls_established(self, info: TlsInfo) -> None:
        del info
        self._buffer = b""

    def _say(self, answer: str) -> None:
        if answer == CLOSE:
            self._events.append(CLOSE)
        elif answer:
            self._out.append(answer.replace("\n", "\r\n").encode() + b"\r\n")
            if answer.startswith(("421", "221")):
                self._events.append("bye")

    def _command(self, line: str) -> None:
        self._remote.commands.append(line)
        answer = self._remote.answer(line)
        verb = line.split(" ", 1)[0].upper()
        if verb == "MAIL":
            self._reverse_path, self._recipients = line.partition("<")[2].partition(">")[0], []
        elif verb == "RCPT" and answer.startswith("25"):
            self._recipients.append(line.partition("<")[2].partition(">")[0])
        elif verb == "DATA":
            self._body = answer.startswith("354")
        self._say(answer)
        if verb == "STARTTLS" and answer.startswith("220"):
            self._events.append("starttls")

    def _take(self, content: bytes) -> None:
        self._body = False
        answer = self._remote.answer(".")
        self._remote.commands.append(".")
        if answer.startswith("250"):
            unstuffed = content.replace(b"\r\n..", b"\r\n.")
            unstuffed = unstuffed[1:] if unstuffed.startswith(b"..") else unstuffed
            self._remote.taken.append(Taken(self._reverse_path, self._recipients, unstuffed))
        self._say(answer)


class _Session:
    def __init__(self, machine: _Machine) -> None:
        self._machine = machine
        self._connection: Connection | None = None

    def connected(self, connection: Connection) -> None:
        self._connection = connection

    def answer(self, event: str) -> None:
        assert self._connection is not None
        if event == "starttls":
            self._connection.start_tls()
        elif event == "bye":
            self._connection.close()
        else:
            self._connection.abort()

    def secured(self, info: TlsInfo) -> None:
        del info

    def failed(self, error: Exception) -> None:
        del error

    def disconnected(self, error: Exception | None) -> None:
        del error
