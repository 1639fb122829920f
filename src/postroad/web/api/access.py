"""Who asks: a key of the API, or an administrator whose browser is signed in to the console."""

from __future__ import annotations

import hmac

from starlette.requests import Request

from postroad.accounts.audit import Actor
from postroad.accounts.tokens import ANY_SCOPE
from postroad.ports.sending import TokenKind
from postroad.web.api.problems import Trouble
from postroad.web.api.routes import SAFE, Call
from postroad.web.services import WebServices
from postroad.web.wire import Scope, field


async def admit(scope: Scope, services: WebServices, wanted: str) -> Call:
    """Whoever asks, when he may have `wanted`. Raises Trouble, StoreUnavailable."""
    call = await _who(scope, services)
    if wanted not in call.scopes and ANY_SCOPE not in call.scopes:
        detail = f"This needs the scope “{wanted}”; the key has {', '.join(call.scopes)}."
        raise Trouble("forbidden", detail, scope=wanted)
    return call


async def _who(scope: Scope, services: WebServices) -> Call:
    header = field(scope, b"authorization").decode("latin-1")
    if header:
        return await _key(header, scope, services)
    if field(scope, b"cookie"):
        return await _session(scope, services)
    raise _unknown("There is no key in the request.")


async def _key(header: str, scope: Scope, services: WebServices) -> Call:
    kind, _, secret = header.partition(" ")
    record = await services.tokens.verify(secret.strip()) if kind.lower() == "bearer" else None
    if record is None:
        raise _unknown("There is no such key, or it has been revoked.")
    if record.kind is not TokenKind.KEY:
        raise _unknown("That is a server's token; it sends mail. This API wants a key.")
    return Call(services, Actor("key", f"{record.name} (…{record.hint})", _client(scope)), record.scopes)


async def _session(scope: Scope, services: WebServices) -> Call:
    """The console's own cookie. A browser sends it by itself, so a change must prove that a page of ours asks."""
    from postroad.web.console.guard import csrf_token, is_foreign, session_secret

    request = Request(scope)
    secret = session_secret(request)
    session = await services.admins.session(secret) if secret else None
    admin = await services.admins.get(session.admin) if session else None
    if admin is None:
        raise _unknown("Nobody is signed in.")
    if scope["method"] not in SAFE:
        given = request.headers.get("x-csrf-token", "")
        if is_foreign(request) or not hmac.compare_digest(given.encode(), csrf_token(secret).encode()):
            raise Trouble("foreign-request", "The request comes from another page, or that page is too old.")
    return Call(services, Actor("admin", admin.email, _client(scope)), (ANY_SCOPE,))


def _unknown(detail: str) -> Trouble:
    return Trouble("unauthorized", detail, fields=[(b"www-authenticate", b'Bearer realm="postroad"')])


def _client(scope: Scope) -> str:
    client = scope["client"]
    return client[0] if client else ""
