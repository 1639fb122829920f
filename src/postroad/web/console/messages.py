"""Searching messages: the list, its filters, and what was refused at the door. The address says all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.ports.ids import MessageId, id_text, parse_id
from postroad.ports.search import FoundMessage
from postroad.ports.store import Delivery, DeliveryState, Message, Refusal
from postroad.reports.search import QueryError, SearchPage, parse
from postroad.web.console.forms import services_of
from postroad.web.console.render import page, reader_zone, url
from postroad.web.console.standing import GRAVITY

PAGE = 50
MAX_PAGES = 10  # that one address may show; further back means a narrower search
MAX_QUERY = 500
RECIPIENTS = 2  # named in a row

STATES = {
    "": "All",
    "waiting": "Waiting",
    "deferred": "Deferred",
    "delivered": "Delivered",
    "failed": "Failed",
    "held": "Held",
    "cancelled": "Cancelled",
}
TIMES = {"": "Any time", "1h": "Last hour", "today": "Today", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
HELP = (
    ("invoice", "a word in an address, the subject, the tag or the Message-ID; the beginning of it is enough"),
    ("to:bob@example.com", "a recipient; also from: and address: (either of them)"),
    ('subject:"your order"', "words that stand together"),
    ("state:bounced", "queued, deferred, held, delivered, bounced, expired, cancelled; also waiting and failed"),
    ("reply:greylisted", "what the last reply about a recipient says"),
    ("since:2h", "a span (m, h, d, w), a day or a time; also until: and on:yesterday"),
    ("tag:welcome", "the tag; also stream: and server:"),
    ("id:0c1x2d3f4g5h6", "an id, its beginning, a UUID or a Message-ID"),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the address asks for."""

    text: str
    state: str
    time: str
    after: MessageId | None
    pages: int

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Wish:
        pages = given.get("pages", "1")
        return cls(
            given.get("q", "").strip()[:MAX_QUERY],
            given.get("state", "") if given.get("state", "") in STATES else "",
            given.get("time", "") if given.get("time", "") in TIMES else "",
            MessageId(parse_id(given.get("after", "")) or 0) or None,
            min(max(int(pages), 1), MAX_PAGES) if pages.isascii() and pages.isdigit() and len(pages) < 3 else 1,
        )

    @property
    def is_narrow(self) -> bool:
        return bool(self.text or self.state or self.time)

    @property
    def query(self) -> str:
        """All of it in the language of searches."""
        parts = (self.text, self.state and f"state:{self.state}", self.time and f"since:{self.time}")
        return " ".join(part for part in parts if part)

    def address(self, **other: object) -> str:
        """Where this list is, with something else instead."""
        return url("messages", **{"q": self.text, "state": self.state, "time": self.time, **other})

    def asking(self, text: str) -> str:
        """Where the search for `text` is."""
        return url("messages", q=text)


@dataclass(frozen=True, slots=True)
class Row:
    """One message as the list shows it."""

    message: Message
    ident: str
    state: str  # for the badge
    word: str  # instead of the state's own, where recipients differ
    recipients: tuple[str, ...]
    others: int


async def show(request: Request) -> Response:
    wish, services = Wish.read(request.query_params), services_of(request)
    problem, found = "", SearchPage([], None)
    try:
        query = parse(wish.query, services.clock.now(), reader_zone(request))
        found = await services.search.messages(query, wish.after, PAGE if wish.after else PAGE * wish.pages)
    except QueryError as error:
        problem = str(error)
    response = page(
        request, "messages.html", fragment="found", wish=wish, rows=[row(one) for one in found.rows], problem=problem,
        following=_following(wish, found.next), is_short=found.next is not None and len(found.rows) < PAGE,
        states=STATES, times=TIMES, help=HELP,
    )  # fmt: skip
    return _in_step(request, response, wish)


def _following(wish: Wish, after: MessageId | None) -> str:
    if after is None or wish.pages >= MAX_PAGES:
        return ""
    return wish.address(after=id_text(after), pages=wish.pages + 1)


def _in_step(request: Request, response: Response, wish: Wish) -> Response:
    """Keep the browser's address what is shown: typing changes it, a choice or a step makes a new one to go back to."""
    if "hx-request" in request.headers:
        typed = request.headers.get("hx-trigger-name") == "q"
        pages = wish.pages if wish.pages > 1 else ""
        response.headers["hx-replace-url" if typed or wish.after else "hx-push-url"] = wish.address(pages=pages)
    return response


def row(found: FoundMessage) -> Row:
    """What the list says of one message. Pure."""
    counts = found.states or _counted(found)
    worst = next((state for state in GRAVITY if counts.get(state)), None)
    state, word = (worst.value if worst else "cancelled"), ""
    if worst is DeliveryState.QUEUED and any(_is_deferred(delivery) for delivery in found.deliveries):
        state = "deferred"
    total = max(found.recipients, len(found.deliveries))
    if worst and counts[worst] < total:
        word = f"{counts[worst]} of {total} {state}"
    names = tuple(delivery.forward_path for delivery in found.deliveries[:RECIPIENTS])
    return Row(found.message, id_text(found.message.id), state, word, names, total - len(names))


def _counted(found: FoundMessage) -> Mapping[DeliveryState, int]:
    states = [delivery.state for delivery in found.deliveries]
    return {state: states.count(state) for state in states}


def _is_deferred(delivery: Delivery) -> bool:
    return delivery.state is DeliveryState.QUEUED and delivery.last_status is not None


# --- refused at the door ----------------------------------------------------------------------------------------------


async def show_refused(request: Request) -> Response:
    """What was never accepted: the other half of "where is my mail?"."""
    text = request.query_params.get("q", "").strip()[:MAX_QUERY]
    refusals: list[Refusal] = await services_of(request).store.read(
        lambda tx: tx.refusals.search(text=text, limit=PAGE + 1)
    )
    response = page(
        request, "messages_refused.html", fragment="refused", text=text, refusals=refusals[:PAGE],
        more=len(refusals) > PAGE,
    )  # fmt: skip
    if "hx-request" in request.headers:
        response.headers["hx-replace-url"] = url("messages/refused", q=text)
    return response


ROUTES = [Route("/messages", show), Route("/messages/refused", show_refused)]
