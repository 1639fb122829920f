"""Events as rows: one helper for each kind, so that a detail's keys are written in one place.

Nothing is written here: the caller puts the rows into its own transaction, beside what they tell of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from postroad.events.model import FINAL_KIND, EventKind
from postroad.mail.status import Status
from postroad.ports.ids import DeliveryId, EventId, IdSource, MessageId, id_text
from postroad.ports.sending import SuppressionRecord
from postroad.ports.store import Delivery, DeliveryState, Event, Message

MAX_REPLY = 1000  # characters of a stranger's words


class Recorder:
    """Makes events; one for a process."""

    __slots__ = ("_ids",)

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids

    def event(
        self,
        kind: EventKind,
        at: datetime,
        message: MessageId | None = None,
        delivery: DeliveryId | None = None,
        detail: dict[str, Any] | None = None,
    ) -> Event:
        """Any event; details that are empty are left out by the helpers below."""
        return Event(EventId(self._ids.new()), at, kind, message, delivery, detail or {})

    def received(
        self,
        message: Message,
        recipients: int,
        asked: Mapping[str, str] | None = None,
        verdicts: Sequence[tuple[str, str, float, str]] = (),
    ) -> Event:
        """A message is ours. `asked`: what its sender wants done with it, beside sending it; `verdicts`: what the front
        door's steps said (step, kind, weight, reason)."""
        origin = message.origin
        detail: dict[str, Any] = {"protocol": origin.protocol, "size": message.size, "recipients": recipients}
        if origin.client:
            detail["client"] = origin.client
        if origin.helo:
            detail["helo"] = origin.helo
        if origin.account:
            detail["account"] = origin.account
        if asked:
            detail.update(asked)
        if verdicts:
            detail["verdicts"] = verdicts
        return self.event(EventKind.RECEIVED, message.created, message.id, None, detail)

    def queued(self, delivery: Delivery, at: datetime, via: str = "", release: datetime | None = None) -> Event:
        """A recipient waits for its first attempt, which is not made before `release`."""
        until = release.isoformat(timespec="seconds") if release else ""
        return self._of(EventKind.QUEUED, delivery, at, dest=delivery.dest, orig=delivery.orig, via=via, release=until)

    def delivered_here(self, delivery: Delivery, at: datetime, mailbox: str, via: str = "") -> Event:
        """A recipient's mail lies in a mailbox of ours."""
        return self._of(EventKind.DELIVERED, delivery, at, mailbox=mailbox, orig=delivery.orig, via=via)

    def deferred(self, delivery: Delivery, at: datetime, status: Status, *, host: str, next_due: datetime) -> Event:
        """An attempt failed and another will follow."""
        return self._of(
            EventKind.DEFERRED,
            delivery,
            at,
            reply=str(status),
            host=host,
            cause=status.cause,
            reason=status.reason,
            attempt=delivery.tries,
            next=next_due.isoformat(timespec="seconds"),
        )

    def final(
        self, delivery: Delivery, state: DeliveryState, at: datetime, *, reply: str = "", host: str = "", **detail: Any
    ) -> Event:
        """The one event that ends a delivery: delivered, bounced, expired or cancelled."""
        return self._of(FINAL_KIND[state], delivery, at, reply=reply, host=host, **detail)

    def held(self, delivery: Delivery, at: datetime, why: str) -> Event:
        return self._of(EventKind.HELD, delivery, at, why=why)

    def released(self, delivery: Delivery, at: datetime, by: str) -> Event:
        return self._of(EventKind.RELEASED, delivery, at, by=by)

    def retry_asked(self, delivery: Delivery, at: datetime, by: str) -> Event:
        return self._of(EventKind.RETRY_ASKED, delivery, at, by=by)

    def report_sent(
        self,
        message: MessageId,
        delivery: DeliveryId | None,
        at: datetime,
        *,
        report: MessageId,
        to: str,
        action: str = "",
    ) -> Event:
        """A DSN has been accepted for the sender: about this recipient, or (None) about an alias of several. `action`
        is what it tells, where that is no failure."""
        detail = {"report": id_text(report), "to": to}
        if action:
            detail["action"] = action
        return self.event(EventKind.REPORT_SENT, at, message, delivery, detail)

    def report_withheld(self, message: MessageId, delivery: DeliveryId | None, at: datetime, why: str) -> Event:
        return self.event(EventKind.REPORT_WITHHELD, at, message, delivery, {"why": why})

    def came_back(
        self,
        kind: EventKind,
        message: MessageId,
        delivery: DeliveryId | None,
        at: datetime,
        *,
        report: str,
        detail: Mapping[str, str],
    ) -> Event:
        """Something about a recipient has come by mail, itself a message of ours: `report`."""
        told = {name: value[:MAX_REPLY] for name, value in detail.items() if value}
        return self.event(kind, at, message, delivery, {"report": report, **told})

    def suppressed(self, delivery: Delivery, record: SuppressionRecord) -> Event:
        """A recipient gets nothing more on the stream."""
        detail = {"address": record.address, "stream": record.stream, "reason": record.reason.value}
        return self.event(EventKind.SUPPRESSED, record.created, delivery.message, delivery.id, detail)

    def repeat(self, message: MessageId, at: datetime, client: str) -> Event:
        """The client sent `message` again, for it had never seen our answer."""
        return self.event(EventKind.REPEAT, at, message, None, {"client": client})

    def admin(self, at: datetime, *, action: str, by: str, what: Sequence[str]) -> Event:
        """Somebody changed something that is not mail."""
        return self.event(EventKind.ADMIN, at, None, None, {"action": action, "by": by, "what": list(what)})

    def _of(self, kind: EventKind, delivery: Delivery, at: datetime, **detail: Any) -> Event:
        if "" in detail.values():
            detail = {key: value for key, value in detail.items() if value != ""}
        return Event(EventId(self._ids.new()), at, kind, delivery.message, delivery.id, detail)
