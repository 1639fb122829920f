"""The hand-over of what was just accepted to whoever sends or reports: called after the commit, never before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from postroad.mail.dsn import Action
from postroad.mail.status import Status
from postroad.mail.terms import NO_RECIPIENT_TERMS, RecipientTerms
from postroad.ports.ids import DeliveryId, NodeId
from postroad.ports.store import Delivery, Message, Record


class Handoff(Protocol):
    """intake.commit calls it, queue.runner implements it, app.build wires it."""

    def take(self, message: Message, deliveries: Sequence[Delivery], content: bytes | None) -> None:
        """These deliveries were born owned by this node and are due now; `content` is the small body, still cached."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Which node a delivery is born owned by; None where this node does not send."""

    node: NodeId
    epoch: int


class Notice(Record, frozen=True):
    """What a sender may be told of one recipient. An alias that was expanded has no delivery of its own."""

    action: Action
    recipient: str  # where it went: the Final-Recipient
    status: Status
    terms: RecipientTerms = NO_RECIPIENT_TERMS
    delivery: DeliveryId | None = None
    orig: str = ""  # as the sender named it, where that differs
    expired: bool = False  # given up after trying for a while
    until: datetime | None = None  # DELAYED: when it will be given up
    demanded: bool = False  # another extension asks for it, unless NOTIFY says NEVER (RFC 2852 §4)


def notice(
    action: Action, delivery: Delivery, status: Status, *, expired: bool = False, demanded: bool = False
) -> Notice:
    """Of a delivery."""
    return Notice(
        action,
        delivery.forward_path,
        status,
        delivery.terms or NO_RECIPIENT_TERMS,
        delivery.id,
        delivery.orig.partition(", ")[0],  # merged ones: the first
        expired,
        delivery.expires if action is Action.DELAYED else None,
        demanded,
    )


class Reporter(Protocol):
    """intake.commit calls it with what a sender asked to be told; queue.bounces implements it, app.build wires it."""

    def succeeded(self, message: Message, notices: Sequence[Notice]) -> None:
        """They were delivered, relayed or expanded, and that is on record."""
