"""Whether a sender is told of a delay or a success (RFC 3461 §5.2, RFC 2852 §4). Pure; most mail asks for neither."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from postroad.mail.dsn import Action
from postroad.mail.envelope import Notify
from postroad.mail.status import Status
from postroad.mail.terms import NO_RECIPIENT_TERMS, ByMode
from postroad.ports.handoff import Notice, notice
from postroad.ports.store import Delivery, Message
from postroad.queue.bounces import withheld_because
from postroad.queue.schedule import Schedule
from postroad.routing.routes import LOCAL_DEST


def late_notice(
    message: Message, delivery: Delivery, verdict: Status, now: datetime, schedule: Schedule
) -> Notice | None:
    """What is said once of a delivery that was put off, when it is late; None: nothing is said now."""
    terms = delivery.terms or NO_RECIPIENT_TERMS
    if terms.told_late:
        return None
    overdue = _is_overdue(message, now)
    asked = terms.wants(Notify.DELAY)
    if not overdue and not schedule.is_late(message.began, now, asked=asked):
        return None
    late = notice(Action.DELAYED, delivery, verdict, demanded=overdue)
    return None if withheld_because(message, late, to_strangers=True) else late


def _is_overdue(message: Message, now: datetime) -> bool:
    terms = message.terms
    return terms is not None and terms.by_mode is ByMode.NOTIFY and terms.deadline is not None and now >= terms.deadline


def success_notice(message: Message, delivery: Delivery, verdict: Status, offered: Container[str]) -> Notice | None:
    """What is said of a delivery that the next hop took, when that will not say more itself."""
    terms = delivery.terms or NO_RECIPIENT_TERMS
    if delivery.dest == LOCAL_DEST:
        return notice(Action.DELIVERED, delivery, verdict) if terms.wants(Notify.SUCCESS) else None
    demanded = _asks_for_relays(message, offered)
    if demanded or (terms.wants(Notify.SUCCESS) and "DSN" not in offered):
        return notice(Action.RELAYED, delivery, verdict, demanded=demanded)
    return None


def _asks_for_relays(message: Message, offered: Container[str]) -> bool:
    """RFC 2852 §4.1.5: every relay with `T`, else those that pass it to where the time means nothing."""
    terms = message.terms
    if terms is None or terms.by_mode is None:
        return False
    return terms.by_trace or (terms.by_mode is ByMode.NOTIFY and "DELIVERBY" not in offered)
