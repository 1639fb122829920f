"""Signing in and out as browsers see it: cookies, the step between password and second factor, where to go next."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from postroad.accounts.passkeys import Place
from postroad.accounts.sessions import LASTS
from postroad.ports.admins import AdminRecord
from postroad.ports.ids import AdminId
from postroad.web.console.guard import client_address, cookie_name, csrf_token, drop_cookie, set_cookie
from postroad.web.console.render import ROOT, page, url
from postroad.web.console.sealed import VALID, Seals

_VISIT_SECONDS = 30 * 86_400
_MAX_STEP = 1000  # characters of its cookie
_STEP = "first step"  # what a seal is for


class Step(NamedTuple):
    """The password or the link was right; a code or a passkey is still to come."""

    admin: AdminRecord
    next: str
    first: str  # what was right


def seals(request: Request) -> Seals:
    found: Seals = request.app.state.seals
    return found


def visit(request: Request) -> str:
    """The secret of a browser that has not signed in yet."""
    return request.cookies.get(cookie_name(request, "visit"), "")


def open_page(request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
    """A page for whoever is not signed in: it brings a cookie, to which its forms' token belongs."""
    known = visit(request)
    secret = known or base64.urlsafe_b64encode(request.app.state.services.random.token(24)).decode()
    if request.state.admin is None:
        request.state.csrf_token = csrf_token(secret)
    response = page(request, template, status=status, **{"admin": None, **context})
    if not known:
        set_cookie(request, response, "visit", secret, seconds=_VISIT_SECONDS)
    return response


def next_path(text: str) -> str:
    """Where to go after signing in: a page of the console, whatever a link says."""
    is_ours = text.startswith(f"{ROOT}/") and text.isprintable() and not {" ", "\\"} & set(text)
    return text if is_ours else url()


# --- the step between -------------------------------------------------------------------------------------------------


async def first_step(request: Request, admin: AdminRecord, *, first: str, target: str) -> Response:
    """`first` was right. Signed in; or, where there is a second factor, on to the page that asks for it: the browser
    carries the proof."""
    if not admin.has_totp and not await request.app.state.services.admins.passkeys(admin.id):
        return await begin(request, admin, method=first, target=target)
    data = [admin.id, admin.credential_version, target, first]
    sealed = await seals(request).seal(_STEP, visit(request), data)
    response = RedirectResponse(url("login/code"), 303)
    value = base64.urlsafe_b64encode(sealed).decode()
    set_cookie(request, response, "step", value, seconds=int(VALID.total_seconds()))
    return response


async def read_step(request: Request) -> Step | None:
    """What the browser carries, as long as the password is still the one that it was."""
    value = request.cookies.get(cookie_name(request, "step"), "")
    try:
        sealed = base64.urlsafe_b64decode(value[:_MAX_STEP])
    except (ValueError, binascii.Error):
        return None
    data = await seals(request).open(_STEP, visit(request), sealed) if sealed else None
    if data is None:
        return None
    number, version, target, first = data
    admin = await request.app.state.services.admins.get(AdminId(number))
    return Step(admin, target, first) if admin is not None and admin.credential_version == version else None


# --- in and out -------------------------------------------------------------------------------------------------------


async def begin(request: Request, admin: AdminRecord, *, method: str, target: str, script: bool = False) -> Response:
    """Signed in. `script`: it was a script that asked, which goes on by itself."""
    admins = request.app.state.services.admins
    secret = await admins.begin_session(
        admin.id, client_address(request), request.headers.get("user-agent", ""), method=method
    )
    response: Response = JSONResponse({"next": target}) if script else RedirectResponse(target, 303)
    set_cookie(request, response, "session", secret, seconds=int(LASTS.total_seconds()))
    for name in ("step", "visit"):
        drop_cookie(request, response, name)
    return response


def place(request: Request) -> Place:
    """Where the browser thinks it is."""
    base = request.base_url
    return Place(base.hostname or "", f"{base.scheme}://{base.netloc}")
