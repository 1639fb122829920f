"""The queue: what waits, where and why; and what can be done about it, with a preview."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from postroad.ports.ids import DeliveryId, MessageId
from postroad.ports.store import DeliveryState, QueueEntry, QueueFilter
from postroad.queue.actions import states_of
from postroad.queue.history import samples
from postroad.queue.view import list_queue, preview, summary
from postroad.web.api.problems import Trouble
from postroad.web.api.routes import Call, Route
from postroad.web.api.shapes import MessageBrief, Recipient, show_message, show_recipient
from postroad.web.api.values import PAGE, AfterId, IdText, Limit, Page, Text, Time, page_by_id, read_id

Seconds = Annotated[int, Meta(ge=0, le=10**9)]
Action = Literal["retry", "hold", "release", "cancel", "bounce", "reroute"]
Waiting = Literal["", "queued", "held"]

MAX_CHOSEN = 500
OneMessage = Annotated[str, Meta(pattern="^([0-7][0-9a-hjkmnp-tv-z]{12})?$", description="A message's id.")]


class QueueWhere(Struct, frozen=True, forbid_unknown_fields=True):
    """Which recipients: everything given must fit. Only those that wait or are held are in the queue."""

    message: OneMessage = ""
    domain: Annotated[Text, Meta(description="The domain that it goes to.")] = ""
    destination: Annotated[Text, Meta(description="The next hop, as `destination` says it.")] = ""
    state: Waiting = ""
    sender: Annotated[Text, Meta(description="The reverse-path.")] = ""
    recipient: Annotated[Text, Meta(description="A part of the recipient's address.")] = ""
    provider: Annotated[Text, Meta(description="Who takes the mail of its domain, such as `google`.")] = ""
    stream: Annotated[Text, Meta(description="The message stream.")] = ""
    tag: Annotated[Text, Meta(description="The message's tag.")] = ""
    cause: Annotated[
        Text, Meta(description="The reason of the last reply, such as `greylisted`: see docs/reference/reasons.md.")
    ] = ""
    older_than: Annotated[Seconds, Meta(description="Accepted longer ago than so many seconds.")] = 0
    younger_than: Annotated[Seconds, Meta(description="Accepted within so many seconds.")] = 0


class QueueSearch(QueueWhere, frozen=True, forbid_unknown_fields=True):
    """Which recipients, oldest first."""

    limit: Limit = PAGE
    after: AfterId = ""


class QueueItem(Struct):
    """One recipient that waits."""

    recipient: Recipient
    message: MessageBrief


class Destination(Struct):
    """One next hop's part of the queue."""

    destination: str
    queued: int
    held: int
    oldest: Time
    next_due: Time | None
    last_reply: str
    provider: str


class QueueMoment(Struct):
    """How much waited at one moment."""

    at: Time
    queued: int
    held: int
    oldest: Time | None


class QueueHistory(Struct):
    """The queue over time, a sample every five minutes."""

    items: list[QueueMoment]


class HistorySearch(Struct, frozen=True, forbid_unknown_fields=True):
    """How far back."""

    hours: Annotated[int, Meta(ge=1, le=720, description="So many hours back from now.")] = 24


class Destinations(Struct):
    """The queue by next hop."""

    items: list[Destination]


class QueueOrder(Struct, forbid_unknown_fields=True):
    """Whom an action shall reach. Nothing chosen would mean everybody: that has to be said by `all`."""

    where: QueueWhere = QueueWhere()
    recipients: Annotated[list[IdText], Meta(max_length=MAX_CHOSEN, description="A choice by id.")] = []
    all: bool = False
    to: Annotated[
        Text, Meta(description="Of `reroute`: `mx`, `smarthost`, a host and port, `lmtp://host:24`, or `usual`.")
    ] = ""
    dry_run: Annotated[bool, Meta(description="Only say what would be done.")] = False


class QueuePreview(Struct):
    """Whom an action would reach. `more`: there are more than were counted."""

    recipients: int
    messages: int
    more: bool
    senders: dict[str, int]
    destinations: dict[str, int]
    examples: list[QueueItem]


class QueueDone(Struct):
    """`changed` at once, `asked`: being sent by a node, which does it between two attempts. An outcome reached
    meanwhile wins. After a dry run nothing is changed, and `preview` says what is meant."""

    dry_run: bool
    changed: int
    asked: int
    preview: QueuePreview | None


async def list_waiting(call: Call, *, query: QueueSearch) -> Page[QueueItem]:
    """Recipients that wait, in order of their ids."""
    after = read_id(query.after, "after")
    where = _filter(query, ())
    rows = await list_queue(
        call.services.store, where, after=DeliveryId(after) if after else None, limit=query.limit + 1
    )
    return page_by_id(rows, query.limit, lambda row: row.delivery.id, _item)


async def summarize_queue(call: Call) -> Destinations:
    """The queue by destination, with a late reply of each."""
    rows = await summary(call.services.store)
    return Destinations(
        [
            Destination(row.dest, row.queued, row.held, row.oldest, row.next_due, row.last_text, row.provider)
            for row in rows
        ]
    )


async def show_history(call: Call, *, query: HistorySearch) -> QueueHistory:
    """How much waited when."""
    found = await samples(call.services.store, call.services.clock, timedelta(hours=query.hours))
    return QueueHistory([QueueMoment(one.at, one.queued, one.held, one.oldest) for one in found])


async def act_on_queue(call: Call, *, action: Action, body: QueueOrder) -> QueueDone:
    """Retry, hold, release, cancel, bounce or reroute what waits.

    `retry` tries now; `hold` tries no more until released; `cancel` gives up without telling the sender, `bounce` with
    a report; `reroute` sends `to` another host.
    """
    if not (body.all or body.recipients or body.where != QueueWhere()):
        raise Trouble("refused", "Say in `where` or `recipients` what is meant, or `all` if it is everything.")
    where = _filter(body.where, body.recipients)
    shown = await _preview(call, action, where) if body.dry_run else None
    done = await call.services.actions.act(action, where, call.actor, dry_run=body.dry_run, to=body.to)
    return QueueDone(body.dry_run, done.changed, done.asked, shown)


async def _preview(call: Call, action: str, where: QueueFilter) -> QueuePreview:
    filters = [_in_state(where, state) for state in states_of(action) if where.state in (None, state)]
    found = await preview(call.services.store, filters)
    return QueuePreview(
        found.recipients,
        found.messages,
        found.more,
        dict(found.senders.most_common()),
        dict(found.dests.most_common()),
        [_item(entry) for entry in found.examples],
    )


def _in_state(where: QueueFilter, state: DeliveryState) -> QueueFilter:
    return replace(where, state=state)


def _filter(where: QueueWhere, chosen: list[str] | tuple[str, ...]) -> QueueFilter:
    message = read_id(where.message, "message")
    return QueueFilter(
        message=MessageId(message) if message else None,
        domain=where.domain.lower(),
        dest=where.destination,
        state=DeliveryState(where.state) if where.state else None,
        older_than=timedelta(seconds=where.older_than) if where.older_than else None,
        younger_than=timedelta(seconds=where.younger_than) if where.younger_than else None,
        sender=where.sender,
        recipient=where.recipient,
        provider=where.provider,
        stream=where.stream,
        tag=where.tag,
        cause=where.cause or None,
        deliveries=tuple(DeliveryId(read_id(one, "recipients") or 0) for one in chosen),
    )


def _item(entry: QueueEntry) -> QueueItem:
    return QueueItem(show_recipient(entry.delivery), show_message(entry.message))


READ, WRITE = "queue:read", "queue:write"
ROUTES = (
    Route("GET", "/queue", READ, list_waiting),
    Route("GET", "/queue/summary", READ, summarize_queue),
    Route("GET", "/queue/history", READ, show_history),
    Route("POST", "/queue/{action}", WRITE, act_on_queue, refuses=True),
)
