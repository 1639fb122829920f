"""Keys of Postroad's own API: the list with what each may do, making one, revoking it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts.tokens import ANY_SCOPE, SCOPES
from postroad.ports.sending import TokenKind
from postroad.ports.store import Refused
from postroad.web.console.forms import Form, actor_of, deeds, errors_of, read_form, services_of
from postroad.web.console.once import Secret, keep_once, shown_once
from postroad.web.console.render import done, done_at, page, url
from postroad.web.console.servers import base_url, revoke


async def list_keys(request: Request) -> Response:
    tokens = await services_of(request).sending.tokens()
    keys = [token for token in tokens if token.kind is TokenKind.KEY]
    return page(
        request, "keys.html", keys=keys, made=shown_once(request), scopes=SCOPES, any_scope=ANY_SCOPE,
        base=base_url(request),
    )  # fmt: skip


async def new_key(request: Request) -> Response:
    return _form(request, Form(), {})


def _form(request: Request, form: Form, errors: dict[str, str]) -> Response:
    status = 422 if errors else 200
    return page(request, "key_new.html", status=status, form=form, errors=errors, scopes=SCOPES, any_scope=ANY_SCOPE)


async def add_key(request: Request) -> Response:
    form = await read_form(request)
    try:
        made = await services_of(request).sending.add_key(form.text("name"), form.texts("scope"), by=actor_of(request))
    except Refused as refused:
        named = bool(form.text("name"))
        return _form(request, form, errors_of(refused, "scope" if named else "name"))
    key = keep_once(request, Secret("key", made.record.name, made.secret))
    return done_at(request, url("keys", made=key), f"Made {made.record.name}.")


async def _revoke(request: Request, form: Form) -> Response:
    gone = await revoke(request, form, TokenKind.KEY)
    return done(request, "keys", f"Revoked {gone.name}. It opens nothing now.")


ROUTES = [
    Route("/keys", list_keys),
    Route("/keys", deeds({"revoke": _revoke}), methods=["POST"]),
    Route("/keys/new", new_key),
    Route("/keys/new", add_key, methods=["POST"]),
]
