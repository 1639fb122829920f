"""Who is held back: senders that are frozen or over their limits, and whoever typed too many wrong passwords."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts.freezes import words
from postroad.ports.ids import id_text
from postroad.ports.senders import SenderKey, SenderKind
from postroad.ports.sending import TokenKind
from postroad.ports.store import Refused
from postroad.queue.senders import SenderState
from postroad.web.console.forms import Form, actor_of, count, deeds, errors_of, services_of
from postroad.web.console.render import done, page

KINDS = {  # what it is called, its picture
    SenderKind.ACCOUNT: ("account", "accounts"),
    SenderKind.TOKEN: ("token", "keys"),
    SenderKind.STREAM: ("stream", "servers"),
    SenderKind.ALL: ("everything", "warning"),
}
WAYS = [
    (SenderKind.ACCOUNT, "An account", "its address"),
    (SenderKind.TOKEN, "A token", "its last four characters, or its id"),
    (SenderKind.STREAM, "A stream", "server/stream"),
    (SenderKind.ALL, "Everything", "nothing leaves this server, and nothing reaches a mailbox"),
]


async def show(request: Request) -> Response:
    return await _page(request, Form(request.query_params), {})


async def _page(request: Request, form: Form, errors: dict[str, str]) -> Response:
    services = services_of(request)
    return page(
        request, "senders.html", status=422 if errors else 200, states=await services.senders.states(),
        bans=await services.guesses.bans(), kinds=KINDS, ways=WAYS, form=form, errors=errors,
        known=await _known(request),
    )  # fmt: skip


async def _known(request: Request) -> list[tuple[str, str]]:
    """What may be typed for a name: suggestions of the browser, with what each is."""
    services = services_of(request)
    accounts = await services.administration.accounts()
    tokens = [token for token in await services.sending.tokens() if token.kind is TokenKind.SERVER]
    return [
        *((record.address, "account") for record in accounts[:200]),
        *((id_text(token.id), f"{token.name} …{token.hint}") for token in tokens[:200]),
    ]


async def _freeze(request: Request, form: Form) -> Response:
    try:
        kind = SenderKind(form.text("kind", SenderKind.ACCOUNT.value))
    except ValueError:
        raise HTTPException(400) from None
    name = "" if kind is SenderKind.ALL else form.text("name")
    try:
        if kind is not SenderKind.ALL and not name:
            raise Refused(f"type which {kind} it is")
        state = await services_of(request).senders.freeze(kind, name, by=actor_of(request))
    except Refused as refused:
        return await _page(request, form, errors_of(refused, "name"))
    who = words(state.key.kind, state.name).capitalize() if kind is SenderKind.ALL else state.name
    return done(request, "senders", f"{who}: frozen. What it sends is held until you release it.")


async def _release(request: Request, form: Form) -> Response:
    state = await _find(request, form)
    try:
        released = await services_of(request).senders.release_key(state.key, state.name, by=actor_of(request))
    except Refused as refused:
        return done(request, "senders", f"{refused}.".capitalize(), kind="note")
    who = state.name or "Everything"
    return done(request, "senders", f"{who}: released, with {count(released, 'recipient')}, who are tried now.")


async def _find(request: Request, form: Form) -> SenderState:
    """The one whose row it was. 404 where it is not held any more."""
    wanted = (form.text("kind"), form.text("subject"), form.text("stream"))
    for state in await services_of(request).senders.states():
        if wanted == named(state.key):
            return state
    raise HTTPException(404)


def named(key: SenderKey) -> tuple[str, str, str]:
    return key.kind.value, str(key.subject), key.stream


async def _unban(request: Request, form: Form) -> Response:
    who = form.text("who")
    try:
        await services_of(request).guesses.release(who, by=actor_of(request))
    except Refused as refused:
        return done(request, "senders", f"{refused}.".capitalize(), kind="note")
    return done(request, "senders", f"{who} may try again.")


ROUTES = [
    Route("/senders", show),
    Route("/senders", deeds({"freeze": _freeze, "release": _release, "unban": _unban}), methods=["POST"]),
]
