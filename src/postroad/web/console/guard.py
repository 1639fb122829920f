"""What stands before every page of the console: who it is, and that the request comes from our own pages. A page cannot
forget it, since it is not asked.

Whatever is not named in `OPEN` wants a session. Whatever may change something (every method but GET, HEAD, OPTIONS)
must come from our origin by the browser's own word (Sec-Fetch-Site, Origin) and bring a token that only our pages know.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postroad.accounts.audit import Actor
from postroad.web.console.assets import PREFIX
from postroad.web.console.failures import problem
from postroad.web.console.render import ROOT, url

if TYPE_CHECKING:
    from postroad.web.services import WebServices

OPEN = ("login", "enter")  # pages for whoever is not signed in, and all below them
MAX_FORM = 1 << 20  # octets
MAX_OPEN_FORM = 128 * 1024  # of whoever is not signed in: a passkey's answer is the longest
_MAX_FIELDS = 2000
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, services: WebServices) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if not scope["path"].startswith(PREFIX):
            refusal = await self._admit(request)
            if refusal is None and request.method not in _SAFE:
                receive, refusal = await _checked_form(request)
                refusal = refusal or await self._admit(request)  # a session may have ended while the form came in
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, request: Request) -> Response | None:
        """Who it is, into `request.state`; or the answer to whoever has to sign in first."""
        state = request.state
        state.admin = state.session = None
        secret = session_secret(request)
        state.session = await self._services.admins.session(secret) if secret else None
        if state.session is not None:
            state.admin = await self._services.admins.get(state.session.admin)
        if state.admin is not None:
            state.actor = Actor("admin", state.admin.email, client_address(request))
            state.csrf_token = csrf_token(secret)
            return None
        if not _is_open(request.scope["path"]):
            return sign_in_first(request)
        state.csrf_token = csrf_token(request.cookies.get(cookie_name(request, "visit"), ""))
        return None


def session_secret(request: Request) -> str:
    """What the session's cookie says, or an empty text."""
    return request.cookies.get(cookie_name(request, "session"), "")


def cookie_name(request: Request, name: str) -> str:
    """Over https the prefix has browsers refuse the cookie from any other host or an insecure page."""
    return f"__Host-postroad-{name}" if request.url.scheme == "https" else f"postroad-{name}"


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int) -> None:
    """A cookie that scripts cannot read and other sites' requests do not carry."""
    secure = request.url.scheme == "https"
    response.set_cookie(
        cookie_name(request, name), value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    set_cookie(request, response, name, "", seconds=0)


def csrf_token(secret: str) -> str:
    """The token that belongs to a cookie's secret: it tells nothing of the secret."""
    return hmac.digest(secret.encode(), b"console form", hashlib.sha256).hex() if secret else ""


def client_address(request: Request) -> str:
    return request.client.host if request.client else ""


def sign_in_first(request: Request) -> Response:
    """To the login page, and back here afterwards; scripts are told so in their own way."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = url("login", next=path if path != f"{ROOT}/" and request.method in _SAFE else "")
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"hx-redirect": url("login")})
    if request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        return PlainTextResponse("Please sign in again.\n", 401)
    return RedirectResponse(target, 303)


def is_foreign(request: Request) -> bool:
    """The browser itself says that another site's page is behind this request."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return True
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host", "")


def _is_open(path: str) -> bool:
    return any(path == f"{ROOT}/{name}" or path.startswith(f"{ROOT}/{name}/") for name in OPEN)


async def _checked_form(request: Request) -> tuple[Receive, Response | None]:
    """The body to read anew; and the answer, where the request is not one of our own pages'."""
    if is_foreign(request):
        return request.receive, _refuse(request, "This request comes from another site's page.")
    given = request.headers.get("x-csrf-token", "")
    body = await _body(request, MAX_FORM if request.state.admin else MAX_OPEN_FORM)
    if body is None:
        return request.receive, problem(request, 413, "Too much", "That is more than this page takes.")
    given = given or _field(request.headers, body)
    expected = request.state.csrf_token
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        return request.receive, _refuse(
            request, "This page has lain open for too long. Go back, reload it and try again."
        )
    return _replay(body, request.receive), None


def _refuse(request: Request, text: str) -> Response:
    return problem(request, 403, "Nothing was changed", text)


async def _body(request: Request, limit: int) -> bytes | None:
    """All of it, or None when it is longer than any form of ours."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _field(headers: Mapping[str, str], body: bytes) -> str:
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return ""
    try:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MAX_FIELDS).get("csrf_token", [""])[0]
    except ValueError:  # more fields than any form of ours has
        return ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read already, then whatever follows."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
