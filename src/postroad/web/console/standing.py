"""Where one recipient stands, in plain words: what happened, what the other side said, and what comes next. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from postroad.content.explain import Explanation, Facts, explain
from postroad.events.model import EventKind
from postroad.ports.store import Delivery, DeliveryState, Event, Wish
from postroad.web.console.forms import count


@dataclass(frozen=True, slots=True)
class Standing:
    """`badge` is for the macro; `next` is a sentence, into which `at` is put where it has a `{}`."""

    delivery: Delivery
    badge: str
    happened: str
    reply: str = ""
    cause: str = ""  # for the operator, beside the reply
    next: str = ""
    at: datetime | None = None
    report: str = ""  # the id of the message that told the sender
    why: Explanation | None = None  # what a refusal means


def standing(delivery: Delivery, events: Sequence[Event], facts: Facts | None = None) -> Standing:
    """`events` are those of this recipient, in order; `facts` go into the explanation of a refusal."""
    details = {event.kind: event.detail for event in events}  # the last of each kind
    told = _TELLERS[delivery.state](delivery, details)
    status = delivery.last_status
    if status is None or status.is_success or delivery.state is DeliveryState.CANCELLED:
        return told
    return replace(told, why=explain(status, facts))


_Details = Mapping[str, Mapping[str, Any]]
_WISHES = {
    Wish.RETRY: "A try at once was asked for.",
    Wish.HOLD: "It was asked to be held, which happens as soon as the attempt under way ends.",
    Wish.CANCEL: "It was asked to be cancelled, which happens as soon as the attempt under way ends.",
    Wish.BOUNCE: "It was asked to be returned, which happens as soon as the attempt under way ends.",
}


def _queued(delivery: Delivery, _: _Details) -> Standing:
    status = delivery.last_status
    if status is None:
        happened = "Waiting for its first attempt."
        return Standing(delivery, "queued", happened, next=_WISHES.get(delivery.wish, "It is tried within moments."))
    tries = count(delivery.tries, "try", "tries")
    happened = (
        f"Not taken yet, after {tries}. The other side said:" if status.remote else f"Not taken yet, after {tries}."
    )
    following, at = "Next try {}; nobody needs to do anything.", delivery.due
    if delivery.owner is not None or delivery.wish:
        following, at = _WISHES.get(delivery.wish, "It is being tried again now, or next in line."), None
    return Standing(delivery, "deferred", happened, str(status), status.cause, following, at)


def _held(delivery: Delivery, _: _Details) -> Standing:
    why = f": {delivery.held_for}" if delivery.held_for else ""
    status = delivery.last_status
    return Standing(
        delivery, "held", f"Held{why}.", str(status) if status else "", status.cause if status else "",
        "It stays here until somebody releases or cancels it.",
    )  # fmt: skip


def _delivered(delivery: Delivery, details: _Details) -> Standing:
    detail = details.get(EventKind.DELIVERED, {})
    if mailbox := detail.get("mailbox"):
        return Standing(delivery, "delivered", f"In the mailbox here, in {mailbox}, {{}}.", at=delivery.finished)
    host = detail.get("host") or "The next server"
    if (later := _told_later(delivery, details, host)) is not None:
        return later
    return Standing(
        delivery, "delivered", f"{host} took it {{}}.", str(detail.get("reply", "")), at=delivery.finished,
        next="From here on it is up to that server: ask there if it cannot be found.",
    )  # fmt: skip


def _told_later(delivery: Delivery, details: _Details, host: str) -> Standing | None:
    """What came back by mail after it had been taken: a bounce, or a complaint."""
    back, spam = details.get(EventKind.RETURNED), details.get(EventKind.COMPLAINED)
    if spam is not None:
        happened = f"{host} took it {{}}, and the recipient complained of spam."
        return Standing(delivery, "bounced", happened, next=_off(details), at=delivery.finished,
                        report=str(spam.get("report", "")))  # fmt: skip
    if back is None or back.get("type") == "Transient":
        return None
    doubt = " Nothing proves that this report is genuine." if back.get("unproven") else ""
    happened = f"{host} took it {{}}, and reported afterwards that it failed.{doubt}"
    return Standing(delivery, "bounced", happened, str(back.get("reply", "")), next=_off(details), at=delivery.finished,
                    report=str(back.get("report", "")))  # fmt: skip


def _off(details: _Details) -> str:
    """Whether the recipient gets anything more."""
    detail = details.get(EventKind.SUPPRESSED)
    if detail is None:
        return ""
    way = "" if detail.get("reason") == "spam complaint" else ", until somebody takes that back (postroad suppression)"
    return f"It gets nothing more on the stream {detail.get('stream', '')}{way}."


def _bounced(delivery: Delivery, details: _Details) -> Standing:
    detail = details.get(EventKind.BOUNCED, {})
    by = f" by {detail['host']}" if detail.get("host") else ""
    return _failed(delivery, details, "bounced", f"Refused for good{by}, {{}}.")


def _expired(delivery: Delivery, details: _Details) -> Standing:
    tries = count(delivery.tries, "try", "tries")
    return _failed(delivery, details, "expired", f"Given up {{}}, after {tries}: nobody took it in time.")


def _failed(delivery: Delivery, details: _Details, badge: str, happened: str) -> Standing:
    sent, withheld = details.get(EventKind.REPORT_SENT), details.get(EventKind.REPORT_WITHHELD)
    told = "Its sender gets a report within moments."
    if sent is not None:
        told = f"Its sender, {sent['to']}, was told." if sent.get("to") else "Its sender was told."
    elif withheld is not None:
        told = f"Nobody was told: {withheld.get('why', 'there is nobody to tell')}."
    told = f"{told} {_off(details)}".strip()
    status = delivery.last_status
    return Standing(
        delivery, badge, happened, str(status) if status else "", status.cause if status else "", told,
        delivery.finished, str(sent.get("report", "")) if sent else "",
    )  # fmt: skip


def _cancelled(delivery: Delivery, details: _Details) -> Standing:
    by = details.get(EventKind.CANCELLED, {}).get("by", "")
    happened = f"Cancelled {{}}{' by ' + str(by) if by else ''}."
    return Standing(
        delivery, "cancelled", happened, next="It was not delivered, and nobody was told.", at=delivery.finished
    )


_TELLERS: dict[DeliveryState, Callable[[Delivery, _Details], Standing]] = {
    DeliveryState.QUEUED: _queued,
    DeliveryState.HELD: _held,
    DeliveryState.DELIVERED: _delivered,
    DeliveryState.BOUNCED: _bounced,
    DeliveryState.EXPIRED: _expired,
    DeliveryState.CANCELLED: _cancelled,
}
GRAVITY = (
    DeliveryState.BOUNCED,
    DeliveryState.EXPIRED,
    DeliveryState.HELD,
    DeliveryState.QUEUED,
    DeliveryState.CANCELLED,
    DeliveryState.DELIVERED,
)  # what needs eyes comes first


def headline(deliveries: Sequence[Delivery]) -> str:
    """What became of the whole message, in one sentence."""
    total = len(deliveries)
    states = [delivery.state for delivery in deliveries]
    if not total:
        return "It has no recipients."
    if len(set(states)) == 1:
        return _ALL[states[0]].format(
            {1: "its recipient", 2: "both recipients"}.get(total, f"all {total:,} recipients")
        )
    counts = [(state, states.count(state)) for state in reversed(GRAVITY) if state in states]
    told = [f"{number:,} {_EACH[state][number > 1]}" for state, number in counts]
    return f"Of {total:,} recipients, {', '.join(told[:-1])} and {told[-1]}."


_ALL = {
    DeliveryState.DELIVERED: "Delivered to {}.",
    DeliveryState.QUEUED: "Waiting for {}.",
    DeliveryState.HELD: "Held for {}.",
    DeliveryState.BOUNCED: "Refused for {}.",
    DeliveryState.EXPIRED: "Given up for {}.",
    DeliveryState.CANCELLED: "Cancelled for {}.",
}
_EACH = {
    DeliveryState.DELIVERED: ("has it", "have it"),
    DeliveryState.QUEUED: ("waits", "wait"),
    DeliveryState.HELD: ("is held", "are held"),
    DeliveryState.BOUNCED: ("was refused", "were refused"),
    DeliveryState.EXPIRED: ("was given up", "were given up"),
    DeliveryState.CANCELLED: ("was cancelled", "were cancelled"),
}
