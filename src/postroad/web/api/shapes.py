"""Messages, recipients and replies as the API shows them, and how they are made of rows."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from postroad.mail.status import Status
from postroad.ports.ids import id_text
from postroad.ports.store import Delivery, DeliveryState, Message
from postroad.ports.uuids import uuid_text
from postroad.web.api.values import Time


class Reply(Struct):
    """What was answered about a recipient; `server` is empty where we said it ourselves. `reason` is the name of why,
    in docs/reference/reasons.md; `GET /explain` says more."""

    code: int
    enhanced: str
    text: str
    server: str
    cause: str
    reason: str


class Recipient(Struct):
    """One recipient of one message, and where he stands. `original` is whom the client named, where an alias or a
    forward has changed it. `due` is the next try; `held_for` says why nothing is tried."""

    id: str
    address: str
    original: str
    state: DeliveryState
    destination: str
    tries: int
    due: Time | None
    expires: Time | None
    finished: Time | None
    held_for: str
    last_reply: Reply | None


class MessageBrief(Struct):
    """A message's own facts. `uuid` is the MessageID that Postmark's clients know it by."""

    id: str
    uuid: str
    received: Time
    subject: str
    sender: str = field(name="from")
    reverse_path: str
    message_id: str
    size: int
    service: str
    server: int | None
    stream: str
    tag: str
    metadata: Mapping[str, str]


def show_message(message: Message) -> MessageBrief:
    return MessageBrief(
        id=id_text(message.id),
        uuid=uuid_text(message.id),
        received=message.created,
        subject=message.subject,
        sender=message.header_from,
        reverse_path=message.reverse_path,
        message_id=message.message_id,
        size=message.size,
        service=message.origin.service,
        server=message.server,
        stream=message.stream,
        tag=message.tag,
        metadata=message.metadata,
    )


def show_recipient(delivery: Delivery) -> Recipient:
    return Recipient(
        id=id_text(delivery.id),
        address=delivery.forward_path,
        original=delivery.orig,
        state=delivery.state,
        destination=delivery.dest,
        tries=delivery.tries,
        due=delivery.due,
        expires=delivery.expires,
        finished=delivery.finished,
        held_for=delivery.held_for,
        last_reply=show_reply(delivery.last_status),
    )


def show_reply(status: Status | None) -> Reply | None:
    if status is None:
        return None
    enhanced = str(status.enhanced) if status.enhanced else ""
    text = status.diagnostic or status.text
    return Reply(status.reply_code, enhanced, text, status.remote, status.cause, status.reason)
