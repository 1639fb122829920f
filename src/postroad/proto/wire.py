"""What every protocol machine shares: its six members, its signals, and a receive buffer with limits.

A machine holds no socket, clock, file or thread. Bytes go in by `receive_data`, events come out of `next_event`,
answers go in by extra methods of each machine, bytes for the peer come out of `data_to_send`.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol


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
