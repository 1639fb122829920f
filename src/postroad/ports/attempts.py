"""The start-record port: which attempts were open when the process died.

A record is written before an attempt and cleared once its outcome is committed. It is never synced: it has to survive
the death of the process, not of the machine (after a power cut the rows alone decide, and a message may go twice).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

from postroad.ports.ids import DeliveryId

Ticket = NewType("Ticket", int)


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that the last process did not finish."""

    delivery: DeliveryId
    dot_out: bool  # its final dot may have been sent: the remote may have the message
    crashes: int  # how many deaths in a row found this delivery's attempt open, this one included


class StartLog(Protocol):
    """Records of open attempts; every call costs well under a microsecond's worth of input and output."""

    def begin(self, delivery: DeliveryId) -> Ticket:
        """An attempt starts."""

    def dot_out(self, ticket: Ticket) -> None:
        """Its final dot is about to be sent."""

    def end(self, ticket: Ticket) -> None:
        """Its outcome is committed."""

    def crashed(self) -> Sequence[OpenAttempt]:
        """What the last process left open. They stay on record, with their count, until `settle` or an attempt ends."""

    def settle(self, deliveries: Sequence[DeliveryId]) -> None:
        """Forget what the last process left open of these deliveries."""
