"""The hand-over of what was just accepted to whoever sends: called after the commit, never before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from postroad.ports.ids import NodeId
from postroad.ports.store import Delivery, Message


class Handoff(Protocol):
    """intake.commit calls it, queue.runner implements it, app.build wires it."""

    def take(self, message: Message, deliveries: Sequence[Delivery], content: bytes | None) -> None:
        """These deliveries were born owned by this node and are due now; `content` is the small body, still cached."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Which node a delivery is born owned by; None where this node does not send."""

    node: NodeId
    epoch: int
