"""One message: what became of each recipient, its way as a picture, each attempt, its facts, and what may be done."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from postroad.content.classify import classify
from postroad.content.explain import Facts
from postroad.ports.ids import DeliveryId, MessageId, id_text, parse_id
from postroad.ports.sending import ServerRecord
from postroad.ports.store import Attempt, Delivery, Event, Message, QueueFilter, Tx
from postroad.ports.uuids import parse_uuid, uuid_text
from postroad.reports.facts import about_recipient, gather, plain_facts, source_addresses
from postroad.reports.story import Story, read_story
from postroad.web.console.forms import actor_of, count, read_form, services_of
from postroad.web.console.queue import DEEDS, Deed
from postroad.web.console.render import done, page, url
from postroad.web.console.standing import GRAVITY, Standing, headline, standing
from postroad.web.console.timeline import PHASES, Phase, bar, life, steps, summed, tried

SHOWN = 50  # recipients on the page, those that need eyes first
DIALOGUE_LINES = 2000
DNS_PATIENCE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Known:
    """All that the page shows of what the rows say."""

    story: Story
    server: ServerRecord | None

    @property
    def ident(self) -> str:
        return id_text(self.story.message.id)

    @property
    def stamp(self) -> str:
        """Changes whenever what is shown would."""
        story = self.story
        states = repr([(d.state, d.due, d.wish, d.owner, d.tries, d.epoch) for d in story.deliveries])
        return f"{len(story.events)}-{len(story.attempts)}-{crc32(states.encode()):x}"


async def show(request: Request) -> Response:
    """The page, or the part of it that changes: nothing at all where nothing has changed."""
    found = await _known(request)
    if isinstance(found, Response):
        return found
    if request.query_params.get("seen") == found.stamp:
        return Response(status_code=204)
    story, now = found.story, services_of(request).clock.now()
    tries = [tried(attempt, len(statuses)) for attempt, statuses in story.attempts]
    words = headline(story.deliveries)
    phases = life(story, tries, now)
    shown = people(story, await our_facts(request, story))
    return page(
        request, "message.html", fragment="message_state", known=found, story=story, message=story.message,
        words=words, people=shown, others=max(len(story.deliveries) - SHOWN, 0),
        steps=steps(story, tries), life=summed(phases), life_bar=bar(phases, words=_life_words(phases)),
        longest=max((one.seconds for one in tries), default=0.0), bar=bar, deeds=deeds_for, phases=PHASES,
        uuid=uuid_text(story.message.id), view=request.query_params.get("view", ""),
        deeds_of_all=deeds_of_all(story.deliveries),
    )  # fmt: skip


async def _known(request: Request) -> Known | Response:
    """What the rows say of the message that the address names; the way there, where it names it otherwise."""
    ident = request.path_params["id"]
    number = parse_id(ident) or parse_uuid(ident) or 0

    def read(tx: Tx) -> Known | None:
        message = tx.messages.get(MessageId(number))
        if message is None and (delivery := tx.deliveries.get(DeliveryId(number))):
            message = tx.messages.get(delivery.message)
        if message is None:
            return None
        server = tx.servers.get(message.server) if message.server is not None else None
        return Known(read_story(tx, message), server)

    found = await services_of(request).store.read(read) if number else None
    if found is None:
        raise HTTPException(404)
    return found if found.ident == ident else RedirectResponse(url(f"messages/{found.ident}"), 303)


async def our_facts(request: Request, story: Story) -> Facts:
    """What bears on the worst refusal, for all of them: it is our side that is told of. Whoever looks does not wait
    long for DNS."""
    services = services_of(request)
    facts = plain_facts(sender=story.message.reverse_path, hello=services.hostname)
    refused = [each.last_status for each in story.deliveries if each.last_status and not each.last_status.is_success]
    if not refused:
        return facts
    try:
        async with asyncio.timeout(DNS_PATIENCE):
            return await gather(
                classify(refused[0]), facts, resolver=services.resolver, store=services.store,
                now=services.clock.now(), sources=source_addresses(services.settings),
            )  # fmt: skip
    except TimeoutError:
        return facts


def people(story: Story, facts: Facts | None = None) -> list[Standing]:
    """The recipients that are shown, those that need eyes first."""
    events: dict[DeliveryId, list[Event]] = defaultdict(list)
    for event in story.events:
        if event.delivery is not None:
            events[event.delivery].append(event)
    shown = sorted(story.deliveries, key=lambda delivery: GRAVITY.index(delivery.state))[:SHOWN]
    known = facts or Facts()
    return [
        standing(delivery, events[delivery.id], about_recipient(known, delivery.forward_path)) for delivery in shown
    ]


def _life_words(phases: Sequence[Phase]) -> str:
    return (
        f"Where the time went: {', '.join(phase.text for phase in summed(phases))}." if phases else "It took no time."
    )


# --- an attempt's dialogue --------------------------------------------------------------------------------------------


async def show_dialogue(request: Request) -> Response:
    """Both sides, line by line; passwords and contents were left out when it was written down."""
    number, attempt = parse_id(request.path_params["id"]), parse_id(request.path_params["attempt"])
    found = await services_of(request).store.read(lambda tx: _attempt(tx, number, attempt))
    if found is None:
        raise HTTPException(404)
    lines = found.dialogue.splitlines()
    return page(
        request, "message_dialogue.html", attempt=found, lines=[said(line) for line in lines[:DIALOGUE_LINES]],
        more=max(len(lines) - DIALOGUE_LINES, 0), ident=request.path_params["id"],
    )  # fmt: skip


def _attempt(tx: Tx, message: int | None, attempt: int | None) -> Attempt | None:
    if not message or not attempt:
        return None
    return next((one for one, _ in tx.messages.attempts(MessageId(message)) if one.id == attempt), None)


def said(line: str) -> tuple[str, str, str]:
    """(class, who for screen readers, words) of a line of dialogue."""
    side = {">": ("us", "we"), "<": ("them", "they")}.get(line[:1], ("aside", "note"))
    return (*side, (line.removeprefix("*") if side[0] == "aside" else line[1:]).strip())


# --- doing something about it -----------------------------------------------------------------------------------------


_HERE = [deed for deed in DEEDS.values() if deed.name != "reroute"]  # another way is chosen for groups, in the queue


def deeds_for(delivery: Delivery) -> list[Deed]:
    """What may be done about one recipient."""
    return [deed for deed in _HERE if delivery.state in deed.states]


def deeds_of_all(deliveries: Sequence[Delivery]) -> list[Deed]:
    """What may be done about all that wait, where there are several."""
    waiting = [delivery.state for delivery in deliveries if not delivery.state.is_final]
    return [deed for deed in _HERE if set(deed.states) & set(waiting)] if len(waiting) > 1 else []


@dataclass(frozen=True, slots=True)
class Asked:
    """What a button asks for."""

    deed: Deed
    message: Message
    where: QueueFilter
    what: str


async def _asked(request: Request, given: Mapping[str, str]) -> Asked:
    """Raises 400 and 404: only an address typed by hand leads there."""
    number, chosen = parse_id(request.path_params["id"]), given.get("delivery", "")
    deed = DEEDS.get(given.get("do", ""))
    if deed is None or (chosen and not parse_id(chosen)):
        raise HTTPException(400)
    wanted = DeliveryId(parse_id(chosen) or 0) if chosen else None

    def read(tx: Tx) -> tuple[Message | None, list[Delivery]]:
        message = tx.messages.get(MessageId(number)) if number else None
        return message, tx.deliveries.of_message(message.id) if message else []

    message, deliveries = await services_of(request).store.read(read)
    meant = [d for d in deliveries if d.state in deed.states and wanted in (None, d.id)]
    if message is None or (wanted and wanted not in [delivery.id for delivery in deliveries]):
        raise HTTPException(404)
    what = meant[0].forward_path if len(meant) == 1 else count(len(meant), "recipient")
    return Asked(deed, message, QueueFilter(message=message.id, delivery=wanted), what if meant else "")


async def ask(request: Request) -> Response:
    """ "Are you sure?", with what is meant."""
    asked = await _asked(request, request.query_params)
    return page(
        request, "message_act.html", fragment="act_body", asked=asked, deed=asked.deed,
        ident=id_text(asked.message.id), delivery=request.query_params.get("delivery", ""),
    )  # fmt: skip


async def act(request: Request) -> Response:
    form = await read_form(request)
    asked = await _asked(request, {"do": form.text("do"), "delivery": form.text("delivery")})
    result = await services_of(request).actions.act(asked.deed.name, asked.where, actor_of(request))
    back = f"messages/{id_text(asked.message.id)}"
    if not result.total:
        return done(
            request, back, "That is not possible any more: it has moved on, so nothing was changed.", kind="note"
        )
    if result.asked and asked.deed.name != "retry":
        return done(request, back, f"{asked.what}: asked for. It happens as soon as the attempt under way ends.")
    return done(request, back, f"{asked.what}: {asked.deed.after}.")


ROUTES = [
    Route("/messages/{id}", show),
    Route("/messages/{id}/act", ask),
    Route("/messages/{id}/act", act, methods=["POST"]),
    Route("/messages/{id}/attempts/{attempt}", show_dialogue),
]
