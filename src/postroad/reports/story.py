"""One message's life in plain words: received, where each recipient led, each attempt, how each ended. Pure.

The command line prints it; whoever shows a message elsewhere tells the same story.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from postroad.content.reasons import Reason, meaning
from postroad.events.model import EventKind
from postroad.intake.verdicts import SCANNER, Kept, Kind, in_words
from postroad.mail.status import Status
from postroad.ports.ids import AttemptId, DeliveryId
from postroad.ports.store import Attempt, Delivery, DeliveryState, Event, Message, Tx
from postroad.routing.routes import FEEDBACK_DEST, told_apart

ATTEMPT = "attempt"  # the kind of a line that no event stands behind
FRONT_DOOR = "front-door"  # what its steps said of a stranger; part of the event `received`
SCANNED = "scanned"  # what a scanner said of the message; part of the same event


@dataclass(frozen=True, slots=True)
class Line:
    """One step. `good` is None where it is neither good nor bad news; `kind` is the event's, or one of those above.

    `text` says all; `whom` (a recipient, or several) and `what` are its parts, without the time of the next try.
    """

    at: datetime
    text: str
    good: bool | None = None
    kind: str = ""
    attempt: AttemptId | None = None
    whom: str = ""
    what: str = ""
    next: datetime | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one message."""

    message: Message
    deliveries: tuple[Delivery, ...]
    events: tuple[Event, ...]
    attempts: tuple[tuple[Attempt, Mapping[DeliveryId, Status]], ...]

    @property
    def is_finished(self) -> bool:
        """Every recipient is in a final state."""
        return all(delivery.state.is_final for delivery in self.deliveries)

    def lines(self) -> list[Line]:
        """The steps in order of time."""
        steps = [*self._attempt_lines(), *(line for event in self.events for line in self._event_lines(event))]
        return sorted(steps, key=lambda line: line.at)

    def verdicts(self) -> list[tuple[str, bool | None]]:
        """Where each recipient stands now, in words, and whether that is good news."""
        failed = self._failed_later()
        return [
            (f"{delivery.forward_path}: {failed[delivery.id]}", False)
            if delivery.id in failed
            else (f"{delivery.forward_path}: {_standing(delivery)}", _GOOD[delivery.state])
            for delivery in self.deliveries
        ]

    def _failed_later(self) -> dict[DeliveryId | None, str]:
        """Recipients whose server took the message, and said afterwards that it came to nothing."""
        bounced = [e for e in self.events if e.kind == EventKind.RETURNED and e.detail.get("type") != "Transient"]
        return {event.delivery: f"taken, but {_came_back(_Detail(event.detail))}" for event in bounced}

    def _attempt_lines(self) -> Iterator[Line]:
        for attempt, statuses in self.attempts:
            names = ", ".join(self._recipient(delivery) for delivery in statuses) or "its recipients"
            place = f"{attempt.host} ({attempt.address})" if attempt.address else attempt.host
            what = f"trying {place}{_secured(attempt)}"
            yield Line(attempt.started, f"{names}: {what}", None, ATTEMPT, attempt.id, names, what)

    def _event_lines(self, event: Event) -> Iterator[Line]:
        words = _WORDS.get(event.kind)
        if words is None:
            return
        detail = _Detail(event.detail)
        what, good = words(detail)
        whom = self._recipient(event.delivery) if event.delivery else ""
        again = f"; next try {_clock_time(detail['next'])}" if detail["next"] else ""
        text = f"{whom}: {what}{again}" if whom else f"{what}{again}"
        yield Line(event.at, text, good, event.kind, None, whom, what, _moment(detail["next"]))
        if said := event.detail.get("verdicts"):
            yield from _verdict_lines(event.at, said)

    def _recipient(self, delivery: DeliveryId | None) -> str:
        for known in self.deliveries:
            if known.id == delivery:
                return f"{known.forward_path} (for {known.orig})" if known.orig else known.forward_path
        return "a recipient"


def _verdict_lines(at: datetime, said: Kept) -> Iterator[Line]:
    """The front door's steps in one line, each scanner in one of its own."""
    steps = tuple(each for each in said if not each[0].startswith(SCANNER))
    if steps:
        what = f"front door: {in_words(steps)}"
        yield Line(at, what, None, FRONT_DOOR, what=what)
    for step, kind, _, reason in said:
        if step.startswith(SCANNER):
            what = f"{step}: {reason}"
            yield Line(at, what, False if kind in _AGAINST else None, SCANNED, what=what)


def read_story(tx: Tx, message: Message) -> Story:
    """All rows of one message."""
    return Story(
        message,
        tuple(tx.deliveries.of_message(message.id)),
        tuple(tx.events.of_message(message.id)),
        tuple(tx.messages.attempts(message.id)),
    )


class _Detail:
    """An event's detail as words; a missing key is an empty text."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        value = self._values.get(name)
        return "" if value is None else str(value)

    def after(self, words: str, name: str) -> str:
        """`words` and the value, or nothing when there is none."""
        return f"{words}{self[name]}" if self[name] else ""


_Telling = tuple[str, bool | None]


def _received(detail: _Detail) -> _Telling:
    helo = f" ({detail['helo']})" if detail["helo"] else ""
    size = f", {detail['size']} octets" if detail["size"] else ""
    source = f" from {detail['client']}{helo}" if detail["client"] else ""
    asked = detail.after("; asked for: ", "wishes")
    return f"received{source}{detail.after(' by ', 'protocol')}{size}{asked}", None


def _queued(detail: _Detail) -> _Telling:
    way = f", {detail['via']} for {detail['orig']}" if detail["via"] else detail.after(", sent to ", "orig")
    held = f", held until {_date_time(detail['release'])}" if detail["release"] else ""
    return f"queued for {_next_hop(detail['dest'])}{way}{held}", None


def _deferred(detail: _Detail) -> _Telling:
    return f"deferred{detail.after(' by ', 'host')}{_reply(detail)}{_why(detail)}", False


def _delivered(detail: _Detail) -> _Telling:
    if detail["mailbox"]:
        return f"delivered into {detail['mailbox']}", True
    return f"delivered{detail.after(' to ', 'host')}{_reply(detail)}", True


def _bounced(detail: _Detail) -> _Telling:
    told = f"{_reply(detail)}{detail.after('; ', 'cause')}{_why(detail)}"
    return f"failed for good{detail.after(' at ', 'host')}{told}", False


def _expired(detail: _Detail) -> _Telling:
    return f"given up: its time has run out{_reply(detail)}{_why(detail)}", False


def _reported(detail: _Detail) -> _Telling:
    what = _REPORTED.get(detail["action"], "the failure was reported")
    return f"{what}{detail.after(' to ', 'to')}{detail.after(', as message ', 'report')}", None


_AGAINST = (Kind.HOLD, Kind.DISCARD)


def _came_back(detail: _Detail) -> str:
    """What another server reported after it had taken the message."""
    what = "a delay was reported" if detail["type"] == "Transient" else "came back"
    whom = detail.after(", at ", "address")
    doubt = " (nothing proves that)" if detail["unproven"] else ""
    return f"{what}{detail.after(' from ', 'host')}{whom}{_reply(detail)}{doubt}"


_REPORTED = {
    "delayed": "the delay was reported",
    "delivered": "the delivery was reported",
    "relayed": "that it was passed on was reported",
    "expanded": "that it was sent on to several was reported",
}


def _reply(detail: _Detail) -> str:
    return detail.after(": ", "reply")


def _why(detail: _Detail) -> str:
    """The reason in words, where one was found."""
    name = detail["reason"]
    known = name in set(Reason) and name != Reason.UNKNOWN
    return f" ({meaning(Reason(name)).title.lower()})" if known else ""


_WORDS: dict[str, Callable[[_Detail], _Telling]] = {
    EventKind.RECEIVED: _received,
    EventKind.QUEUED: _queued,
    EventKind.DEFERRED: _deferred,
    EventKind.DELIVERED: _delivered,
    EventKind.BOUNCED: _bounced,
    EventKind.EXPIRED: _expired,
    EventKind.CANCELLED: lambda detail: (f"cancelled{detail.after(' by ', 'by')}", False),
    EventKind.HELD: lambda detail: (f"held{detail.after(': ', 'why')}", None),
    EventKind.RELEASED: lambda detail: (f"released{detail.after(' by ', 'by')}", None),
    EventKind.RETRY_ASKED: lambda detail: (f"a try at once was asked for{detail.after(' by ', 'by')}", None),
    EventKind.REPORT_SENT: _reported,
    EventKind.REPORT_WITHHELD: lambda detail: (f"no report was sent{detail.after(': ', 'why')}", None),
    EventKind.RETURNED: lambda detail: (_came_back(detail), None if detail["type"] == "Transient" else False),
    EventKind.COMPLAINED: lambda detail: (f"the recipient complained{detail.after(' by way of ', 'host')}", False),
    EventKind.AUTO_REPLIED: lambda _: ("a robot answered: nobody may have read it yet", None),
    EventKind.CHALLENGED: lambda _: ("a filter there wants to see a person first, and asks for an answer", None),
    EventKind.SUPPRESSED: lambda detail: (
        f"gets nothing more on the stream {detail['stream']}{detail.after(' after a ', 'reason')}",
        False,
    ),
    EventKind.REPEAT: lambda _: ("the client sent it again, having missed our answer; it was not taken twice", None),
}


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _clock_time(text: str) -> str:
    """A recorded time, in the reader's zone."""
    moment = _moment(text)
    return moment.astimezone().strftime("%H:%M:%S") if moment else text


def _date_time(text: str) -> str:
    moment = _moment(text)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else text


def _secured(attempt: Attempt) -> str:
    return f", {attempt.tls}" if attempt.tls else ""


def _next_hop(dest: str) -> str:
    """`mx:remote.test` in words."""
    dest, wished = told_apart(dest)
    kind, _, name = dest.partition(":")
    if kind == "mx":
        return f"the mail hosts of {name}{wished}"
    if kind == FEEDBACK_DEST:
        return "being read: it came to a return address"
    return f"the host {name}{wished}" if kind == "host" else "a mailbox here"


def _standing(delivery: Delivery) -> str:
    status = f": {delivery.last_status}" if delivery.last_status and not delivery.last_status.is_success else ""
    return {
        DeliveryState.QUEUED: f"waiting, tried {delivery.tries} time{'s' if delivery.tries != 1 else ''}{status}",
        DeliveryState.HELD: f"held{': ' + delivery.held_for if delivery.held_for else ''}",
        DeliveryState.DELIVERED: "delivered",
        DeliveryState.BOUNCED: f"failed for good{status}",
        DeliveryState.EXPIRED: f"given up{status}",
        DeliveryState.CANCELLED: "cancelled",
    }[delivery.state]


_GOOD = {
    DeliveryState.QUEUED: None,
    DeliveryState.HELD: None,
    DeliveryState.DELIVERED: True,
    DeliveryState.BOUNCED: False,
    DeliveryState.EXPIRED: False,
    DeliveryState.CANCELLED: False,
}
