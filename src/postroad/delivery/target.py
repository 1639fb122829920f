"""Where a conversation goes, and what all conversations of a process share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from postroad.delivery.policy import Demand, Need
from postroad.delivery.rewriting import Rewriter
from postroad.delivery.sources import Source
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource
from postroad.ports.net import ClientTls, Endpoint
from postroad.ports.store import Delivery, Message
from postroad.routing.routes import Transport


@dataclass(frozen=True, slots=True)
class Craft:
    """What every conversation of this process shares."""

    hostname: str  # said in EHLO
    clock: Clock
    ids: IdSource
    messages_per_connection: int
    idle_timeout: float
    convert: bool = False  # 8-bit content for a server without 8BITMIME, instead of sending it as it is
    rewriter: Rewriter = field(default_factory=Rewriter)
    sender: Callable[[Message, Sequence[Delivery]], str] | None = None  # what MAIL says instead of the reverse-path


@dataclass(frozen=True, slots=True)
class Manner:
    """What a group of destinations wants of each connection, beside where it goes."""

    source: Source | None = None
    messages: int = 0
    recipients: int = 0


USUAL_MANNER = Manner()


@dataclass(frozen=True, slots=True)
class Target:
    """Where one conversation goes. `plain_because`, when set, is why no TLS is tried."""

    host: str
    endpoint: Endpoint
    transport: Transport
    plain_because: str = ""
    demand: Demand | None = None  # none: TLS where it is offered
    others: tuple[Endpoint, ...] = ()  # further addresses of the host, dialled beside the first
    source: str = ""  # the address of ours that it leaves from; empty: the system's choice
    helo: str = ""  # said in EHLO; empty: as always
    most: int = 0  # messages of one connection, as far as the provider is known; 0: as the settings say
    most_recipients: int = 0

    @property
    def is_here(self) -> bool:
        """On this machine: nobody listens in between."""
        return self.endpoint.host == "::1" or self.endpoint.host.startswith(("127.", "/"))

    @property
    def verify(self) -> bool:
        """A password goes to a server that has proven its name, and to no other."""
        return bool(self.transport.password) and not self.is_here

    @property
    def needs_tls(self) -> bool:
        """Without it the host gets nothing."""
        return self.demand is not None and self.demand.need >= Need.ENCRYPT

    @property
    def needs_no_less(self) -> bool:
        """There is no way back to plaintext when TLS fails."""
        return self.needs_tls or self.transport.require_tls

    @property
    def never_tls(self) -> bool:
        return self.demand is not None and self.demand.need is Need.NONE

    @property
    def tls(self) -> ClientTls:
        if self.demand is None or (self.verify and not self.demand.tls.verify):
            return ClientTls(self.host, self.verify)
        return self.demand.tls
