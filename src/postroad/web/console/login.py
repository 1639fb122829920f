"""Signing in: a password or a link that works once and where there is one a second factor, a passkey alone; and out.

Whatever is wrong, the answer is the same, and as slow: a stranger learns neither who is known here nor what was wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from postroad.accounts import passkeys, totp
from postroad.accounts.admins import Admins
from postroad.accounts.logins import TooManyLogins
from postroad.ports.admins import AdminRecord, PasskeyRecord
from postroad.ports.store import Refused
from postroad.web.console import session
from postroad.web.console.failures import sentence
from postroad.web.console.guard import client_address, drop_cookie
from postroad.web.console.render import done, url

WRONG = "That does not match what we have. Please check it and try again."
ANYBODY = 0  # no administrator has this id
_PASSKEY = "passkey sign-in"  # what a seal is for; and the name in the audit log where none is known


async def show(request: Request) -> Response:
    if request.state.admin is not None:
        return RedirectResponse(session.next_path(request.query_params.get("next", "")), 303)
    if not await _admins(request).list():
        return session.open_page(request, "welcome.html")
    return _form(request, request.query_params.get("next", ""))


async def password(request: Request) -> Response:
    """The first step."""
    form = await request.form()
    email, target = _text(form, "email"), session.next_path(_text(form, "next"))
    try:
        admin = await _admins(request).log_in(email, _text(form, "password"), client_address(request))
    except TooManyLogins as error:
        return _slow(_form(request, target, email=email, problem=sentence(str(error)), status=429), error)
    if admin is None:
        return _form(request, target, email=email, problem=WRONG, status=401)
    return await session.first_step(request, admin, first="password", target=target)


async def show_code(request: Request) -> Response:
    step = await session.read_step(request)
    return await _code_form(request, step) if step else RedirectResponse(url("login"), 303)


async def code(request: Request) -> Response:
    """The second step, by an authenticator app's code or one of the codes kept for a bad day."""
    step = await session.read_step(request)
    if step is None:
        return RedirectResponse(url("login"), 303)
    services, client, typed = request.app.state.services, client_address(request), _text(await request.form(), "code")
    try:
        await services.throttle.admit(client, step.admin.email)
    except TooManyLogins as error:
        return _slow(await _code_form(request, step, problem=sentence(str(error)), status=429), error)
    second = await _check_code(request, step.admin, typed)
    if not second:
        await services.admins.refused(step.admin.email, client, "wrong code")
        return await _code_form(request, step, problem=WRONG, status=401)
    return await session.begin(request, step.admin, method=f"{step.first} and {second}", target=step.next)


async def _check_code(request: Request, admin: AdminRecord, typed: str) -> str:
    """What it was, or an empty text."""
    services = request.app.state.services
    counter = totp.counter_of(admin.totp_secret, typed, services.clock.now()) if admin.has_totp else None
    if counter is not None:
        return "code" if await services.admins.totp_used(admin.id, counter) else ""
    return "recovery code" if await request.app.state.recovery.take(admin, typed) else ""


# --- passkeys ---------------------------------------------------------------------------------------------------------


async def passkey_options(request: Request) -> Response:
    """What to ask the browser: any passkey, or after a password one of that administrator's."""
    step, known = await _step_and_passkeys(request)
    challenge = await session.seals(request).seal(_PASSKEY, session.visit(request), step.admin.id if step else ANYBODY)
    text = passkeys.request_options(session.place(request), challenge, known)
    return Response(text, media_type="application/json")


async def passkey(request: Request) -> Response:
    """The browser's answer."""
    services, client = request.app.state.services, client_address(request)
    step, _ = await _step_and_passkeys(request)
    try:
        await services.throttle.admit(client, step.admin.email if step else "")
        admin = await _check_passkey(request, step)
    except TooManyLogins as error:
        return _slow(JSONResponse({"problem": sentence(str(error))}, 429), error)
    except Refused as error:
        await services.admins.refused(step.admin.email if step else _PASSKEY, client, str(error))
        return JSONResponse({"problem": WRONG}, 401)
    target = step.next if step else session.next_path(request.query_params.get("next", ""))
    method = f"{step.first} and passkey" if step else "passkey"
    return await session.begin(request, admin, method=method, target=target, script=True)


async def _check_passkey(request: Request, step: session.Step | None) -> AdminRecord:
    """Whose passkey answered. Raises Refused, for the audit log alone."""
    admins, seals = _admins(request), session.seals(request)
    answer = passkeys.read_answer((await request.body()).decode("utf-8", "replace"))
    wanted = step.admin.id if step else ANYBODY
    if await seals.open(_PASSKEY, session.visit(request), answer.challenge) != wanted:
        raise Refused("the challenge is not ours, or too old")
    record = await admins.passkey(answer.credential)
    admin = await admins.get(record.admin) if record else None
    if record is None or admin is None or wanted not in (ANYBODY, admin.id):
        raise Refused("the passkey is not known")
    if answer.owner is not None and answer.owner != passkeys.owner_handle(admin):
        raise Refused("the passkey says that it is somebody else's")
    count = passkeys.used(session.place(request), record, answer, alone=step is None)
    if not seals.take(answer.challenge):
        raise Refused("the answer was used before")
    await admins.passkey_used(record.credential, count)
    return admin


async def _step_and_passkeys(request: Request) -> tuple[session.Step | None, Sequence[PasskeyRecord]]:
    step = await session.read_step(request)
    return step, await _admins(request).passkeys(step.admin.id) if step else ()


# --- links, and out ---------------------------------------------------------------------------------------------------


async def show_link(request: Request) -> Response:
    """Opening a link uses nothing up: mail programs open links too. The page posts it."""
    return session.open_page(request, "enter.html", secret=request.url.query, problem="")


async def link(request: Request) -> Response:
    secret = _text(await request.form(), "secret")
    try:
        admin = await _admins(request).redeem(secret, client_address(request))
    except TooManyLogins as error:
        return _slow(_bad_link(request, sentence(str(error)), status=429), error)
    if admin is None:
        return _bad_link(request, "This link is not right, was used before, or is too old.", status=401)
    return await session.first_step(request, admin, first="link", target=url())


async def sign_out(request: Request) -> Response:
    await _admins(request).end_session(request.state.session.id, by=request.state.actor)
    response = done(request, "login", "You are signed out.")
    drop_cookie(request, response, "session")
    response.headers["clear-site-data"] = '"cache"'
    return response


# --- their pages ------------------------------------------------------------------------------------------------------


def _form(request: Request, target: str, *, email: str = "", problem: str = "", status: int = 200) -> Response:
    wanted = target if target != url() else ""
    return session.open_page(
        request,
        "login.html",
        status=status,
        email=email,
        problem=problem,
        next=wanted,
        place=session.place(request),
    )


async def _code_form(request: Request, step: session.Step, *, problem: str = "", status: int = 200) -> Response:
    known = await _admins(request).passkeys(step.admin.id)
    return session.open_page(
        request, "code.html", status=status, person=step.admin, has_passkeys=bool(known), problem=problem
    )


def _bad_link(request: Request, problem: str, *, status: int) -> Response:
    return session.open_page(request, "enter.html", status=status, secret="", problem=problem)


def _slow(response: Response, error: TooManyLogins) -> Response:
    response.headers["retry-after"] = str(error.seconds)
    return response


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _admins(request: Request) -> Admins:
    admins: Admins = request.app.state.services.admins
    return admins


ROUTES = [
    Route("/login", show),
    Route("/login", password, methods=["POST"]),
    Route("/login/code", show_code),
    Route("/login/code", code, methods=["POST"]),
    Route("/login/passkey/options", passkey_options, methods=["POST"]),
    Route("/login/passkey", passkey, methods=["POST"]),
    Route("/enter", show_link),
    Route("/enter", link, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
