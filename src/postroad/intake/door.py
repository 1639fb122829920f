"""The front door of a listener for strangers: which steps it takes, stage by stage, chosen once from the settings.

A step that is off is in no list, so it costs nothing. `visit.py` is one connection that goes through them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from postroad.intake.checks.early import EarlyTalkers
from postroad.intake.checks.greylist import Greylist
from postroad.intake.checks.helo import HeloCheck
from postroad.intake.checks.rates import Probing, Rate
from postroad.intake.checks.zones import Zone
from postroad.intake.clients import Clients
from postroad.intake.verdicts import Kind, Verdict
from postroad.intake.visit import Visit
from postroad.mail.address import ForwardPath
from postroad.ports.clock import Clock

if TYPE_CHECKING:
    from postroad.intake.transaction import MailTransaction

S = TypeVar("S")
ConnectStep = Callable[[Visit], Verdict | None]
HeloStep = Callable[[Visit, str], Verdict]
MailStep = Callable[[Visit], Verdict | None]
RecipientStep = Callable[[Visit, "MailTransaction", ForwardPath], Verdict | None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What steps are made of. None is off."""

    clients: Clients
    zones: tuple[Zone, ...] = ()
    connections: Rate | None = None
    messages: Rate | None = None
    probing: Probing | None = None
    helo: HeloCheck | None = None
    early: EarlyTalkers | None = None
    greylist: Greylist | None = None


class Door:
    """One for a process: all its listeners for strangers share it."""

    def __init__(
        self, parts: Parts, clock: Clock, *, hostname: str, refuse_at: float, greylist_from: float | None = None
    ) -> None:
        """`greylist_from`: notes have to weigh more than that for a stranger to be put off; None: all but the good."""
        self.clock = clock
        self.hostname = hostname
        self.refuse_at = refuse_at
        self.clients = parts.clients
        self.zones = parts.zones
        self.probing = parts.probing
        self.early = parts.early
        self.greylist = parts.greylist
        self._parts = parts
        self._greylist_from = greylist_from
        self.connect_steps: tuple[ConnectStep, ...] = _chosen(
            (self._connection_rate, parts.connections),
            (self._banner_wait, parts.early is not None and parts.early.wait),
        )
        self.helo_steps: tuple[HeloStep, ...] = _chosen((self._helo, parts.helo))
        self.mail_steps: tuple[MailStep, ...] = _chosen((self._message_rate, parts.messages))
        self.recipient_steps: tuple[RecipientStep, ...] = _chosen(
            (self._probing, parts.probing),
            (_weighed, True),
        )
        self.taking_steps: tuple[RecipientStep, ...] = _chosen((Visit.greylist, parts.greylist))

    def arrive(self, address: str, *, local: str, connection: str) -> Visit | None:
        """Somebody connects; None for whom the front door spares."""
        client = self.clients.arrive(address)
        if client.is_spared:
            return None
        visit = Visit(self, client, local=local, connection=connection)
        visit.connected()
        return visit

    def wants_again(self, total: float) -> bool:
        """Whether the greylist is for a client whose notes weigh so much."""
        return total > self._greylist_from if self._greylist_from is not None else total >= 0

    async def close(self) -> None:
        """Write what is to be kept. No session may be left."""
        await self.clients.close()
        if self.greylist is not None:
            await self.greylist.close()

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _connection_rate(self, visit: Visit) -> Verdict | None:
        rate, client = self._parts.connections, visit.client
        assert rate is not None
        return rate.take(client.address, client.network, self.clock.monotonic())

    def _banner_wait(self, visit: Visit) -> Verdict | None:
        """Whose mail was taken before has shown its manners."""
        assert self.early is not None
        if visit.client.is_known:
            return None
        return Verdict("banner-wait", Kind.DELAY, "a stranger", self.early.wait)

    def _helo(self, visit: Visit, name: str) -> Verdict:
        check = self._parts.helo
        assert check is not None
        return check.judge(name, visit.client.address, visit.local)

    def _message_rate(self, visit: Visit) -> Verdict | None:
        rate, client = self._parts.messages, visit.client
        assert rate is not None
        return rate.take(client.address, client.network, self.clock.monotonic())

    def _probing(self, visit: Visit, transaction: MailTransaction, path: ForwardPath) -> Verdict | None:  # noqa: ARG002
        probing = self.probing
        assert probing is not None
        return probing.verdict if probing.is_over(visit.client.address, self.clock.monotonic()) else None


def _weighed(visit: Visit, transaction: MailTransaction, path: ForwardPath) -> Verdict | None:  # noqa: ARG001
    return visit.refusal(path)


def _chosen(*steps: tuple[S, object]) -> tuple[S, ...]:
    """Those whose part is there."""
    return tuple(step for step, part in steps if part)
