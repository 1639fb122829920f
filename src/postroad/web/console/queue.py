"""The queue: what waits by destination, by cause and by age; who is in a group; and what a person may do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.ports.ids import DeliveryId, id_text, parse_id
from postroad.ports.store import DeliveryState, QueueFilter
from postroad.queue import view
from postroad.queue.census import Census, Group, Picture
from postroad.queue.history import samples
from postroad.queue.view import Preview
from postroad.routing.rules import by_hand
from postroad.web.console.charts import over_time
from postroad.web.console.chosen import (
    NO_REPLY,
    Scope,
    band_words,
    cause_words,
    delivery_pick,
    dest_words,
    picked,
)
from postroad.web.console.forms import Form, actor_of, count, read_form, services_of
from postroad.web.console.render import done_at, page, url
from postroad.web.console.works import Part, Work, works_of

SHOWN = 100  # groups on the page; the search finds the others
PATIENCE = 1.0  # seconds that a page waits for the count of a long queue
VIEWS = {"dest": "By destination", "provider": "By provider", "cause": "By cause", "age": "By age"}
SPAN = timedelta(hours=24)  # of the picture over time
QUEUED, HELD = DeliveryState.QUEUED, DeliveryState.HELD


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that may be done: its words before, in question and after, and what it can be done to."""

    name: str
    label: str
    for_all: str
    confirm: str
    icon: str
    question: str
    means: str
    after: str
    states: tuple[DeliveryState, ...]
    danger: bool = False
    rare: bool = False  # not among the buttons of each row


DEEDS = {
    deed.name: deed
    for deed in (
        Deed("retry", "Try now", "Try all now", "Try them now", "retry", "Try {what} now?",
             "Each is tried at once instead of at its next due time. Servers that refuse for now may refuse again.",
             "will be tried now", (QUEUED,)),
        Deed("hold", "Hold", "Hold all", "Hold them", "pause", "Hold {what}?",
             "No more attempts are made until somebody releases them. Nothing is lost, and nobody is told.",
             "held", (QUEUED,)),
        Deed("release", "Release", "Release all", "Release them", "play", "Release {what}?",
             "They go back into the queue and are tried at once.",
             "released", (HELD,)),
        Deed("cancel", "Cancel", "Cancel all", "Cancel for good", "cross", "Cancel {what} for good?",
             "They are never delivered, and their senders get no report. This cannot be undone.",
             "cancelled", (QUEUED, HELD), danger=True),
        Deed("bounce", "Return", "Return all", "Return to sender", "out", "Return {what} to the sender?",
             "They are given up, and their senders get a report that says so. This cannot be undone.",
             "will be returned", (QUEUED, HELD), danger=True, rare=True),
        Deed("reroute", "Another way", "Send all another way", "Send this way", "aliases", "Send {what} another way?",
             "They are sent by what you name below instead, at once; what is held stays held.",
             "will go another way", (QUEUED, HELD), rare=True),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group as the table shows it."""

    group: Group
    pick: str
    name: str
    more: str  # beside the name, in small print
    link: str  # the query of its recipients
    share: float  # of the largest group, 0 to 100


async def show_queue(request: Request) -> Response:
    by = request.query_params.get("by", "dest")
    if by not in VIEWS:
        raise HTTPException(404)
    find = request.query_params.get("q", "").strip().lower()
    picture = await _census(request).glance(PATIENCE)
    if picture is None:
        return page(request, "queue.html", fragment="queue_groups", by=by, views=VIEWS, find=find, picture=None)
    rows = await _provider_rows(request) if by == "provider" else group_rows(picture, by)
    kept = await samples(services_of(request).store, services_of(request).clock, SPAN)
    found = [row for row in rows if find in row.name.lower()] if find else rows
    rest = {"dest": picture.rest_of_dests, "cause": picture.rest_of_causes}.get(by, 0)
    return page(
        request, "queue.html", fragment="queue_groups", by=by, views=VIEWS, find=find, picture=picture,
        rows=found[:SHOWN], found=len(found), rest=rest, deeds=DEEDS, scope=Scope({}),
        works=works_of(request).current(), over_time=over_time(kept, picture.total.total),
    )  # fmt: skip


async def _provider_rows(request: Request) -> list[GroupRow]:
    """Destinations put together by who takes their mail; a host that nobody has looked up stands for itself."""
    shares = view.by_provider(await view.summary(services_of(request).store))
    largest = max((share.queued + share.held for share in shares), default=0) or 1
    return [_provider_row(share, (share.queued + share.held) * 100 / largest) for share in shares]


def _provider_row(share: view.Share, part: float) -> GroupRow:
    group = Group(share.key, share.queued, share.held, share.oldest)
    name = "dest" if ":" in share.key else "provider"
    words = dest_words(share.key) if name == "dest" else share.key
    return GroupRow(group, f"{name}:{share.key}", words, share.last_text, Scope({name: share.key}).query, part)


def _census(request: Request) -> Census:
    """One for the console: whoever looks shares its count."""
    state, services = request.app.state, services_of(request)
    if not hasattr(state, "census"):
        state.census = Census(services.store, services.clock)
    found: Census = state.census
    return found


def group_rows(picture: Picture, by: str) -> list[GroupRow]:
    """Rows for the table. Pure."""
    groups: Sequence[Group] = {"dest": picture.by_dest, "cause": picture.by_cause}.get(by, picture.by_age)
    largest = max((group.total for group in groups), default=0) or 1
    return [_ROWS[by](group, group.total * 100 / largest) for group in groups if group.total]


def _dest_row(group: Group, share: float) -> GroupRow:
    link = Scope({"dest": group.key}).query
    return GroupRow(group, f"dest:{group.key}", dest_words(group.key), cause_words(group.cause), link, share)


def _cause_row(group: Group, share: float) -> GroupRow:
    key = group.key or NO_REPLY
    others = len(group.dests) - 1
    more = dest_words(group.dest) + (f" and {count(others, 'other destination')}" if others > 0 else "")
    link = Scope({"cause": key}).query
    return GroupRow(group, f"cause:{key}", cause_words(group.key), more, link, share)


def _age_row(group: Group, share: float) -> GroupRow:
    link, words = Scope({"age": group.key}).query, band_words(int(group.key))
    return GroupRow(group, f"age:{group.key}", words, cause_words(group.cause), link, share)


_ROWS = {"dest": _dest_row, "cause": _cause_row, "age": _age_row}


# --- recipients -------------------------------------------------------------------------------------------------------


async def show_recipients(request: Request) -> Response:
    """Who waits, oldest first: of one group, or all that fit what was asked for."""
    scope = Scope.read(request.query_params)
    after = parse_id(request.query_params.get("after", "")) or 0
    entries = await view.list_queue(
        services_of(request).store, scope.filter(), after=DeliveryId(after), limit=view.PAGE + 1
    )
    shown = entries[: view.PAGE]
    following = id_text(shown[-1].delivery.id) if len(entries) > view.PAGE else ""
    return page(
        request, "queue_recipients.html", fragment="queue_recipients", scope=scope, entries=shown,
        following=following, after=after, deeds=DEEDS, pick=delivery_pick, dest_words=dest_words,
        works=works_of(request).current(),
    )  # fmt: skip


# --- doing something about it -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a form asks for: a deed, on which filters, and the page to go back to."""

    deed: Deed
    filters: list[QueueFilter]
    picks: list[str]
    scope: Scope
    place: Mapping[
        str, str
    ]  # of the page of groups, where the form stands there: how they are grouped, what was sought
    to: str = ""  # the way of a reroute

    @property
    def back(self) -> str:
        """The address to go back to."""
        if self.place:
            return url("queue", **self.place)
        return f"{url('queue/recipients')}?{self.scope.query}"

    def affected(self) -> list[QueueFilter]:
        """The filters narrowed to what the deed can be done to."""
        if len(self.deed.states) > 1:
            return self.filters
        (state,) = self.deed.states
        return [replace(where, state=state) for where in self.filters if where.state in (None, state)]


def read_wanted(form: Form) -> Wanted:
    """A button of one row says `only` (deed and pick together); those for what is ticked say `deed`."""
    only = form.text("only")
    name, _, pick = only.partition(" ") if only else (form.text("deed"), "", "")
    if name not in DEEDS:
        raise HTTPException(400)
    picks = [pick] if only else form.texts("pick")
    scope = Scope.of_form(form)
    place = {key: form.text(key) for key in ("by", "q")} if form.text("by") else {}
    to = form.text("to").strip() if name == "reroute" else ""
    return Wanted(DEEDS[name], picked(picks, scope), picks, scope, place, to)


async def preview(request: Request) -> Response:
    """What is meant, before it is done: how many, whose, a few by name, and what will happen."""
    wanted = read_wanted(await read_form(request))
    store = services_of(request).store
    meant = await view.preview(store, wanted.affected())
    everything = await view.preview(store, wanted.filters) if len(wanted.deed.states) == 1 else meant
    untouched = 0 if everything.more else everything.recipients - meant.recipients
    return page(
        request, "queue_preview.html", fragment="act_body", wanted=wanted, deed=wanted.deed, meant=meant,
        what=_what(meant), untouched=untouched, dest_words=dest_words, nothing=not wanted.picks,
    )  # fmt: skip


def _what(meant: Preview) -> str:
    return f"more than {count(meant.recipients, 'recipient')}" if meant.more else count(meant.recipients, "recipient")


async def act(request: Request) -> Response:
    wanted = read_wanted(await read_form(request))
    services, census = services_of(request), _census(request)
    filters = wanted.affected()
    meant = await view.preview(services.store, filters)
    if not meant.recipients:
        text = "Nothing of this is there any more, so nothing was changed."
        return done_at(request, wanted.back, text, kind="note")
    if wanted.deed.name == "reroute":
        try:
            by_hand(wanted.to, "someone@example.com")
        except ValueError as error:
            return done_at(request, wanted.back, f"Nothing was changed: {error}.", kind="bad")
    parts = [_part(request, wanted, where) for where in filters]
    work = Work(wanted.deed.label, _what(meant), 0 if meant.more else meant.recipients)
    return _told(request, wanted, await works_of(request).begin(work, parts, census.forget))


def _part(request: Request, wanted: Wanted, where: QueueFilter) -> Part:
    """One filter's share of an action."""
    actions, by = services_of(request).actions, actor_of(request)
    return lambda tell: actions.act(wanted.deed.name, where, by, tell=tell, to=wanted.to)


def _told(request: Request, wanted: Wanted, work: Work) -> Response:
    if work.finished is None:
        text = f"{work.what[:1].upper()}{work.what[1:]} are many: this goes on, and the queue shows how far it is."
        return done_at(request, wanted.back, text, kind="note")
    works_of(request).forget(work)
    if work.trouble:
        return done_at(
            request, wanted.back, f"Stopped after {count(work.reached, 'recipient')}: {work.trouble}", kind="bad"
        )
    return done_at(request, wanted.back, f"{count(work.reached, 'recipient')} {wanted.deed.after}.")


ROUTES = [
    Route("/queue", show_queue),
    Route("/queue/recipients", show_recipients),
    Route("/queue/preview", preview, methods=["POST"]),
    Route("/queue/act", act, methods=["POST"]),
]
