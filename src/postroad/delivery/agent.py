"""What an agent is asked and what it answers: one attempt, one Status per recipient.

Agents attempt now and schedule nothing. The queue hands them requests through a `Feed`, so that one connection can
carry message after message without a task for each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from postroad.mail.status import Status
from postroad.ports.attempts import Ticket
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import AttemptId, MessageId
from postroad.ports.store import Attempt, Delivery, Message


class AttemptRequest(Struct, eq=False):
    """One transaction to be had: one message for recipients that share a next hop."""

    dest: str  # the next-hop key
    message: Message
    deliveries: list[Delivery]
    content: bytes | None = None  # the small body, once it is in memory
    stream: Callable[[], AsyncIterator[bytes]] | None = None  # a large body, in pieces
    place: BlobPlace | None = None
    tickets: Sequence[Ticket] = ()  # start records, while it is under way
    put_back: int = 0  # how often it came back untried
    loading: bool = False
    rewritten: tuple[bool, bytes] | None = None  # for servers that take less; whether those take 8 bits
    cached: int = 0  # octets of `content` that count against the limit of bodies in memory


class AttemptOutcome(Struct):
    """What one transaction came to. `again` are recipients that want a transaction of their own, at once (452)."""

    request: AttemptRequest
    statuses: list[tuple[Delivery, Status]]
    attempt: Attempt
    again: Sequence[Delivery] = ()
    broken: bool = False  # the connection was lost on the way
    offered: frozenset[str] = frozenset()  # extensions by which the next hop has taken over what was asked for
    took: float = 0.0  # seconds from the first command to the last reply


@dataclass(frozen=True, slots=True)
class OpenFailure:
    """No connection came about: why, and what was tried."""

    status: Status
    host: str = ""
    address: str = ""
    tls: str = ""
    timings: dict[str, float] = field(default_factory=dict)
    dialogue: str = ""
    alone: bool = False  # by what this destination demands of its hosts: others that share them may fare better

    def attempt(self, attempt: AttemptId, message: MessageId, started: datetime, ended: datetime) -> Attempt:
        """As the record of an attempt for one message."""
        return Attempt(attempt, message, started, ended, self.host, self.address, self.tls, self.timings, self.dialogue)


class Carrier(Protocol):
    """A connection that carries requests of one next hop, as the queue sees it."""

    def work(self) -> None:
        """There may be a request again: ask the feed. Only for a carrier that said it was idle."""

    def finish(self) -> None:
        """Take no further request; end politely once those under way are done."""

    def abort(self) -> None:
        """End now."""

    def serves(self, hosts: Sequence[str]) -> bool:
        """Whether it leads to one of these hosts."""


class Feed(Protocol):
    """One next hop's requests. The queue implements it; all calls are quick and none may raise."""

    def began(self, carrier: Carrier) -> None:
        """A connection that was asked for is ready. Called once for each, before anything else."""

    def next(self) -> AttemptRequest | None:
        """The next request, now under way; or None: none is ready."""

    def dot_out(self, request: AttemptRequest) -> None:
        """The final dot is about to be sent: from here on the remote may have the message."""

    def done(self, outcome: AttemptOutcome) -> None: ...

    def untried(self, request: AttemptRequest) -> None:
        """The connection went before the request was begun: nothing has happened to it."""

    def idle(self, carrier: Carrier) -> None:
        """The carrier stands ready and has nothing to do."""

    def ended(self, carrier: Carrier) -> None:
        """The carrier takes no further request from this feed. Called once, also for one that never began."""
