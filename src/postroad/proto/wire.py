"""What every protocol machine shares: its six members, its signals, and a receive buffer with limits.

A machine holds no socket, clock, file or thread. Bytes go in by `receive_data`, events come out of `next_event`,
answers go in by extra methods of each machine, bytes for the peer come out of `data_to_send`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, Protocol


class Signal(Enum):
    """What `next_event` says when there is no event."""

    NEED_DATA = "need data"  # everything received has been used
    PAUSED = "paused"  # an event waits for its answer


class Interruption(Enum):
    """Why a driver ends a conversation."""

    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    OVERLOAD = "overload"


class ProtocolMisuse(Exception):  # noqa: N818 - the name says it: not the peer's error but ours
    """We used a machine in a way that it does not allow: a bug of ours, never the peer's doing."""


def gather(chunks: list[bytes], chunk: bytes) -> None:
    """Append; small pieces join. A peer that sends two octets at a time would else cost us forty for them."""
    if len(chunk) < _SMALL and chunks and len(chunks[-1]) < _SMALL:
        chunks[-1] += chunk
    else:
        chunks.append(chunk)


_SMALL = 1024


class Machine(Protocol):
    """The six members of every protocol machine."""

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer."""

    def receive_eof(self) -> None:
        """The peer stopped sending."""

    def next_event(self) -> Any:
        """The next event; or NEED_DATA; or PAUSED while an event waits for its answer."""

    def data_to_send(self) -> bytes:
        """Bytes for the peer, gathered since the last call."""

    @property
    def patience(self) -> float:
        """Seconds that the peer may take in this state. The driver holds the clock."""

    def interrupt(self, reason: Interruption) -> None:
        """A timeout or a shutdown: say 421 or BYE and end."""


class LineFault(Enum):
    """Why `ReceiveBuffer.take_line` has no line to give, though one was begun."""

    TOO_LONG = "too long"


TOO_LONG: Final = LineFault.TOO_LONG


class ReceiveBuffer:
    """What a peer has sent and the machine has not used yet.

    Kept as one `bytes` and an offset: a line that arrives whole is cut out without another copy of the rest, and what
    remains moves only when more arrives. It never holds more than one over-long line's limit beyond what one read
    brought, because the driver reads nothing while the machine is PAUSED.
    """

    __slots__ = ("_data", "_scanned", "_skipping", "_start")

    def __init__(self) -> None:
        self._data = b""
        self._start = 0  # what lies before it has been taken
        self._scanned = 0  # no LF lies between _start and here
        self._skipping = False  # inside a line that was reported as too long

    def __len__(self) -> int:
        return len(self._data) - self._start

    def feed(self, data: bytes) -> None:
        """Put `data` behind what is there."""
        start = self._start
        if start == len(self._data):
            self._data = data
            self._start = self._scanned = 0
        else:
            self._data = self._data[start:] + data
            self._scanned -= start
            self._start = 0

    def take_line(self, limit: int) -> bytes | LineFault | None:
        """The next line with its ending, LF or CRLF as it came; None when it is not whole yet.

        A line of more than `limit` octets, its ending included, is reported once as TOO_LONG and dropped to its end.
        Which ending is good is for the machine to say: a client that ends lines with a bare LF shall be told so at
        once, not left waiting for a CR.
        """
        if self._skipping and not self._skip():
            return None
        data, start = self._data, self._start
        if not data:
            return None
        end = data.find(b"\n", self._scanned) + 1
        if not end:
            self._scanned = len(data)
            return self._overrun() if len(data) - start > limit else None
        self._start = self._scanned = end
        if end - start > limit:
            return TOO_LONG
        if end == len(data):
            self._clear()
            return data if not start else data[start:]
        return data[start:end]

    @property
    def first(self) -> bytes:
        """The next octet, which stays; empty where there is none."""
        return self._data[self._start : self._start + 1]

    def take(self, count: int) -> bytes:
        """At most `count` octets, whatever they are."""
        data, start = self._data, self._start
        if len(data) - start <= count:
            self._clear()
            return data[start:] if start else data
        self._start = self._scanned = start + count
        return data[start : start + count]

    def take_all(self) -> bytes:
        """Everything."""
        data, start = self._data, self._start
        self._clear()
        return data[start:] if start else data

    def unread(self, data: bytes) -> None:
        """Put back, in front, what was taken and turned out to belong to what follows."""
        self._data = data + self._data[self._start :]
        self._start = self._scanned = 0

    def clear(self) -> None:
        """Forget everything, also that a line was being dropped."""
        self._clear()
        self._skipping = False

    def _clear(self) -> None:
        self._data = b""
        self._start = self._scanned = 0

    def _overrun(self) -> LineFault:
        self._clear()
        self._skipping = True
        return TOO_LONG

    def _skip(self) -> bool:
        """Drop to the end of the over-long line; True when it has come."""
        end = self._data.find(b"\n", self._scanned) + 1
        if not end:
            self._clear()
            return False
        self._start = self._scanned = end
        self._skipping = False
        return True
