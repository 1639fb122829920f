"""Messages: search them, and follow one on its way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated

from msgspec import Meta, Struct

from postroad.ports.ids import MessageId, id_text, parse_id
from postroad.ports.search import FoundMessage
from postroad.ports.store import Message, Tx
from postroad.ports.uuids import parse_uuid
from postroad.reports.query import QueryError, parse
from postroad.reports.story import Story, read_story
from postroad.web.api.problems import Trouble, not_found
from postroad.web.api.routes import Call, Route, Source
from postroad.web.api.shapes import MessageBrief, Recipient, Reply, show_message, show_recipient, show_reply
from postroad.web.api.values import PAGE, AfterId, Limit, Page, Time, read_id

MessageName = Annotated[str, Meta(description="A message's id, that of one of its recipients, or its UUID.")]


class MessageSearch(Struct, forbid_unknown_fields=True):
    """What to look for, newest first."""

    q: Annotated[
        str,
        Meta(
            max_length=500,
            description="Words, and where to look for them: from: to: address: subject: id: tag: state: reply: stream: "
            "server: since: until: on:. All must fit; empty: everything.",
            examples=["invoice to:bob@example.com state:bounced since:2d"],
        ),
    ] = ""
    limit: Limit = PAGE
    after: AfterId = ""


class MessageRow(Struct):
    """A message with its first recipients; `states` counts all of them."""

    message: MessageBrief
    recipients: list[Recipient]
    recipient_count: int
    states: dict[str, int]


class MessageDetail(Struct):
    """A message with all its recipients."""

    message: MessageBrief
    recipients: list[Recipient]
    finished: bool


class Step(Struct):
    """One step of a message's way, in words. `good` is null where it is neither good nor bad news."""

    at: Time
    text: str
    good: bool | None


class Timeline(Struct):
    """From its receipt to now, in order of time."""

    items: list[Step]


class Outcome(Struct):
    """What an attempt came to for one recipient."""

    recipient: str
    address: str
    reply: Reply | None


class AttemptDetail(Struct):
    """One conversation with one host. `timings` are seconds by phase; secrets and bodies stand as lengths in
    `dialogue`."""

    id: str
    started: Time
    ended: Time
    host: str
    address: str
    tls: str
    timings: Mapping[str, float]
    outcomes: list[Outcome]
    dialogue: str


class Attempts(Struct):
    """In order of time."""

    items: list[AttemptDetail]


async def search_messages(call: Call, *, query: MessageSearch) -> Page[MessageRow]:
    """Search messages, newest first.

    A page may be short, or empty, and still have a `next`: then it took too long to look further at once.
    """
    after = read_id(query.after, "after")
    try:
        wanted = parse(query.q, call.services.clock.now(), UTC)
    except QueryError as error:
        raise Trouble("invalid-parameter", f"q: {error}") from None
    page = await call.services.search.messages(wanted, MessageId(after) if after else None, query.limit)
    return Page([_row(found) for found in page.rows], id_text(page.next) if page.next else None)


async def get_message(call: Call, *, message: MessageName) -> MessageDetail:
    """One message, and where each of its recipients stands."""
    story = await _story(call, message)
    recipients = [show_recipient(delivery) for delivery in story.deliveries]
    return MessageDetail(show_message(story.message), recipients, story.is_finished)


async def get_timeline(call: Call, *, message: MessageName) -> Timeline:
    """What happened to a message, step by step, in plain words."""
    story = await _story(call, message)
    return Timeline([Step(line.at, line.text, line.good) for line in story.lines()])


async def get_attempts(call: Call, *, message: MessageName) -> Attempts:
    """Every attempt to pass a message on, with what was said."""
    story = await _story(call, message)
    addresses = {delivery.id: delivery.forward_path for delivery in story.deliveries}
    return Attempts(
        [
            AttemptDetail(
                id_text(attempt.id),
                attempt.started,
                attempt.ended,
                attempt.host,
                attempt.address,
                attempt.tls,
                attempt.timings,
                [Outcome(id_text(one), addresses.get(one, ""), show_reply(reply)) for one, reply in statuses.items()],
                attempt.dialogue,
            )
            for attempt, statuses in story.attempts
        ]
    )


async def get_source(call: Call, *, message: MessageName) -> Source:
    """A message as it is stored, octet by octet."""
    number = _number(message)
    found = await call.services.store.read(lambda tx: _found(tx, number))
    place = await call.services.store.read(lambda tx: tx.messages.place(found.blob)) if found else None
    if found is None or place is None:
        raise not_found(f"There is no message {message}.")
    return Source(call.services.blobs.stream(place), place.length, f"{id_text(found.id)}.eml")


async def _story(call: Call, name: str) -> Story:
    number = _number(name)

    def read(tx: Tx) -> Story | None:
        message = _found(tx, number)
        return read_story(tx, message) if message else None

    story = await call.services.store.read(read)
    if story is None:
        raise not_found(f"There is no message {name}.")
    return story


def _number(name: str) -> int:
    return parse_id(name) or parse_uuid(name) or 0


def _found(tx: Tx, number: int) -> Message | None:
    owner = tx.search.owner_of(number) if number else None
    return tx.messages.get(owner) if owner else None


def _row(found: FoundMessage) -> MessageRow:
    return MessageRow(
        show_message(found.message),
        [show_recipient(delivery) for delivery in found.deliveries],
        found.recipients,
        {state.value: count for state, count in found.states.items()},
    )


READ = "messages:read"
ROUTES = (
    Route("GET", "/messages", READ, search_messages),
    Route("GET", "/messages/{message}", READ, get_message),
    Route("GET", "/messages/{message}/timeline", READ, get_timeline),
    Route("GET", "/messages/{message}/attempts", READ, get_attempts),
    Route("GET", "/messages/{message}/source", READ, get_source),
)
