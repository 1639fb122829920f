"""Servers (sending projects): cards, adding one, and the page of one with its streams, tokens and how to send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts.projects import COLORS, LASTING_STREAMS
from postroad.ports.ids import ServerId, TokenId, parse_id
from postroad.ports.sending import DEFAULT_STREAM, ServerRecord, StreamKind, StreamRecord, TokenKind, TokenRecord
from postroad.ports.store import DomainKind, Refused, Tx
from postroad.web.console.accounts import ways_in
from postroad.web.console.forms import Form, actor_of, deeds, errors_of, read_form, services_of
from postroad.web.console.once import Secret, keep_once, shown_once
from postroad.web.console.render import done, done_at, page, url
from postroad.web.console.samples import samples

STREAM_KINDS = {
    StreamKind.TRANSACTIONAL: ("Transactional", "Receipts, password resets: one message for one person"),
    StreamKind.BROADCASTS: ("Broadcasts", "Newsletters: the same message for many"),
    StreamKind.INBOUND: ("Inbound", "Mail that comes in and is handed to a program"),
}


@dataclass(frozen=True, slots=True)
class ServerCard:
    """A server with what its card says."""

    record: ServerRecord
    streams: int
    tokens: int
    last_used: datetime | None


async def list_servers(request: Request) -> Response:
    cards = await services_of(request).store.read(_cards)
    return page(request, "servers.html", cards=cards)


def _cards(tx: Tx) -> list[ServerCard]:
    tokens: dict[ServerId | None, list[TokenRecord]] = {}
    for token in tx.tokens.list():
        tokens.setdefault(token.server, []).append(token)
    return [_card(tx, record, tokens.get(record.id, [])) for record in tx.servers.list()]


def _card(tx: Tx, record: ServerRecord, tokens: list[TokenRecord]) -> ServerCard:
    used = [token.last_used for token in tokens if token.last_used is not None]
    return ServerCard(record, len(tx.streams.list(record.id)), len(tokens), max(used, default=None))


# --- adding -----------------------------------------------------------------------------------------------------------


async def new_server(request: Request) -> Response:
    return page(request, "server_new.html", form=Form(), errors={}, colors=COLORS)


async def add_server(request: Request) -> Response:
    form, sending, by = await read_form(request), services_of(request).sending, actor_of(request)
    try:
        made = await sending.add_server(
            form.text("name"), color=form.text("color"), sandbox=form.text("sandbox") == "1", by=by
        )
    except Refused as refused:
        errors = errors_of(refused, "name")
        return page(request, "server_new.html", status=422, form=form, errors=errors, colors=COLORS)
    token = await sending.add_token(made.id, by=by)
    return _with_secret(request, made, token.secret, f"Added {made.name}, with a first token.")


# --- one server -------------------------------------------------------------------------------------------------------


async def show_server(request: Request) -> Response:
    return await _page(request, Form(), {})


async def _page(request: Request, form: Form, errors: dict[str, str]) -> Response:
    services, number = services_of(request), _number(request)

    def read(tx: Tx) -> tuple[ServerRecord | None, list[StreamRecord], list[TokenRecord], str]:
        domains = [domain.name for domain in tx.domains.list() if domain.kind is DomainKind.LOCAL]
        streams = tx.streams.list(number, archived=True)
        return tx.servers.get(number), streams, tx.tokens.list(number), domains[0] if domains else "example.com"

    record, streams, tokens, domain = await services.store.read(read)
    if record is None:
        raise HTTPException(404)
    made, streams = shown_once(request), sorted(streams, key=_standing)
    base, token = base_url(request), made.value if made else "SERVER-TOKEN"
    sending_ways = [way for way in ways_in(services.settings) if way.what.startswith("Sending")]
    return page(
        request, "server.html", status=422 if errors else 200, record=record, form=form, errors=errors, made=made,
        streams=[stream for stream in streams if stream.archived is None], tokens=tokens, base=base,
        archived=[stream for stream in streams if stream.archived is not None], kinds=STREAM_KINDS, colors=COLORS,
        lasting=LASTING_STREAMS, samples=samples(base, token, f"you@{domain}"), ways=sending_ways,
        default_stream=DEFAULT_STREAM,
    )  # fmt: skip


def _standing(stream: StreamRecord) -> tuple[bool, datetime]:
    """What messages go to that name no stream stands first."""
    return stream.id != DEFAULT_STREAM, stream.created


def base_url(request: Request) -> str:
    """Where programs reach us: as this browser did."""
    return f"{request.url.scheme}://{request.url.netloc}"


async def _change(request: Request, form: Form) -> Response:
    try:
        changed = await services_of(request).sending.change_server(
            _number(request), name=form.text("name"), color=form.text("color"), by=actor_of(request)
        )
    except Refused as refused:
        return await _page(request, form, errors_of(refused, "name"))
    return done(request, f"servers/{changed.id}", f"Saved {changed.name}.")


async def _remove(request: Request, _: Form) -> Response:
    gone = await services_of(request).sending.remove_server(_number(request), by=actor_of(request))
    return done(request, "servers", f"Removed {gone.name}. Its tokens open nothing now.")


async def _add_stream(request: Request, form: Form) -> Response:
    number = _number(request)
    try:
        made = await services_of(request).sending.add_stream(
            number,
            form.text("stream_id"),
            form.text("stream_name"),
            _kind(form),
            form.text("description"),
            by=actor_of(request),
        )
    except Refused as refused:
        return await _page(request, form, errors_of(refused, "stream_id"))
    return done(request, f"servers/{number}", f"Added the stream {made.id}.")


def _kind(form: Form) -> StreamKind:
    try:
        return StreamKind(form.text("kind", StreamKind.TRANSACTIONAL))
    except ValueError:
        raise HTTPException(400) from None


async def _archive(request: Request, form: Form) -> Response:
    sending = services_of(request).sending
    return await _stream(request, form, sending.archive_stream, "is archived; nothing can be sent on it now")


async def _unarchive(request: Request, form: Form) -> Response:
    return await _stream(request, form, services_of(request).sending.unarchive_stream, "can be sent on again")


async def _stream(request: Request, form: Form, change: Callable[..., Awaitable[StreamRecord]], after: str) -> Response:
    number = _number(request)
    changed = await change(number, form.text("stream"), by=actor_of(request))
    return done(request, f"servers/{number}", f"The stream {changed.id} {after}.")


async def _add_token(request: Request, form: Form) -> Response:
    number, sending = _number(request), services_of(request).sending
    try:
        made = await sending.add_token(number, form.text("token_name"), by=actor_of(request))
    except Refused as refused:
        return await _page(request, form, errors_of(refused, "token_name"))
    return _with_secret(request, await sending.server(number), made.secret, f"Made {made.record.name}.")


def _with_secret(request: Request, server: ServerRecord, secret: str, text: str) -> Response:
    """On to the server's page, which shows the token this once."""
    where = f"servers/{server.id}"
    key = keep_once(request, Secret("token", server.name, secret))
    return done_at(request, url(where, made=key), text)


async def _revoke(request: Request, form: Form) -> Response:
    number = _number(request)
    gone = await revoke(request, form, TokenKind.SERVER, number)
    return done(request, f"servers/{number}", f"Revoked {gone.name}. It opens nothing now.")


async def revoke(request: Request, form: Form, kind: TokenKind, server: ServerId | None = None) -> TokenRecord:
    """Revoke the token of the form, if it is of this kind and server. 404 where it is not."""
    services, number = services_of(request), TokenId(parse_id(form.text("token")) or 0)
    record = await services.store.read(lambda tx: tx.tokens.get(number))
    if record is None or record.kind is not kind or record.server != server:
        raise HTTPException(404)
    return await services.sending.revoke(number, by=actor_of(request))


def _number(request: Request) -> ServerId:
    return ServerId(request.path_params["server"])


_DEEDS = {
    "change": _change,
    "remove": _remove,
    "add-stream": _add_stream,
    "archive": _archive,
    "unarchive": _unarchive,
    "add-token": _add_token,
    "revoke": _revoke,
}
ROUTES = [
    Route("/servers", list_servers),
    Route("/servers/new", new_server),
    Route("/servers/new", add_server, methods=["POST"]),
    Route("/servers/{server:int}", show_server),
    Route("/servers/{server:int}", deeds(_DEEDS), methods=["POST"]),
]
