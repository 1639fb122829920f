"""What an administrator does about their own way in: password, authenticator app, recovery codes, passkeys, sessions.

What weakens or widens the way in asks for the password again, see `again`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from postroad.accounts import passkeys, totp
from postroad.accounts.admins import MIN_PASSWORD, Admins
from postroad.accounts.recovery import RecoveryCodes
from postroad.ports.admins import AdminRecord
from postroad.ports.ids import SessionId, parse_id
from postroad.ports.store import Refused
from postroad.web.console import session
from postroad.web.console.again import same_person
from postroad.web.console.browsers import browser_name, is_handheld
from postroad.web.console.failures import sentence
from postroad.web.console.forms import Wrong
from postroad.web.console.guard import session_secret
from postroad.web.console.render import done, page, url

_PASSKEY = "new passkey"  # what a seal is for
_HOME = "security"
_WRONG_CODE = "This code is not right. Codes change twice a minute: wait for the next one and type it."


async def show(request: Request) -> Response:
    return await _page(request)


async def _page(request: Request, *, status: int = 200, **context: Any) -> Response:
    admin, admins = _me(request), _admins(request)
    known = {
        "passkeys": await admins.passkeys(admin.id),
        "sessions": await admins.sessions(admin.id),
        "codes_left": await _recovery(request).left(admin),
        "place": session.place(request),
        "least": MIN_PASSWORD,
        "browser": browser_name,
        "is_handheld": is_handheld,
        "codes": (),
        "errors": {},
    }
    return page(request, "security.html", status=status, **{**known, **context})


# --- password ---------------------------------------------------------------------------------------------------------


async def password(request: Request) -> Response:
    """A new one; everywhere else the old one is signed out."""
    form, admin = await request.form(), _me(request)
    try:
        await same_person(request, _text(form, "password"))
        if _text(form, "new") != _text(form, "again"):
            raise Wrong("again", "This is not the same as above.")
        try:
            await _admins(request).set_password(
                admin.id, _text(form, "new"), keep=request.state.session.id, by=request.state.actor
            )
        except Refused as error:
            raise Wrong("new", sentence(str(error))) from error
    except Wrong as wrong:
        return await _page(request, status=422, errors={wrong.field: str(wrong)})
    return done(request, _HOME, "Your password is changed. Every other session of yours has ended.")


# --- authenticator app ------------------------------------------------------------------------------------------------


async def begin_app(request: Request) -> Response:
    await _admins(request).totp_begin(_me(request).id, by=request.state.actor)
    return RedirectResponse(url("security/app"), 303)


async def show_app(request: Request) -> Response:
    return _app_page(request) if _me(request).totp_pending else RedirectResponse(url(_HOME), 303)


def _app_page(request: Request, *, status: int = 200, **errors: str) -> Response:
    secret = totp.spelled(_me(request).totp_pending)
    return page(request, "authenticator.html", status=status, secret=secret, errors=errors)


async def picture(request: Request) -> Response:
    """The secret to scan, as long as it is not confirmed."""
    admin = _me(request)
    if not admin.totp_pending:
        raise HTTPException(404)
    uri = totp.enrolment_uri(admin.totp_pending, admin.email, request.app.state.services.hostname)
    return Response(totp.picture(uri), media_type="image/svg+xml")


async def confirm_app(request: Request) -> Response:
    admin, form = _me(request), await request.form()
    if not admin.totp_pending:
        return RedirectResponse(url(_HOME), 303)
    try:
        await same_person(request, _text(form, "password"))
    except Wrong as wrong:
        return _app_page(request, status=422, password=str(wrong))
    counter = totp.counter_of(admin.totp_pending, _text(form, "code"), request.app.state.services.clock.now())
    if counter is None:
        return _app_page(request, status=422, code=_WRONG_CODE)
    await _admins(request).totp_confirm(admin.id, counter, by=request.state.actor)
    request.state.admin = await _admins(request).get(admin.id)
    return await _new_codes(request)


async def remove_app(request: Request) -> Response:
    try:
        await same_person(request, _text(await request.form(), "password"))
    except Wrong as wrong:
        return done(request, _HOME, str(wrong), kind="bad")
    await _admins(request).totp_remove(_me(request).id, by=request.state.actor)
    await _drop_useless_codes(request)
    return done(request, _HOME, "The authenticator app is not asked for any more.")


async def new_codes(request: Request) -> Response:
    try:
        await same_person(request, _text(await request.form(), "password"))
    except Wrong as wrong:
        return done(request, _HOME, str(wrong), kind="bad")
    return await _new_codes(request)


async def _new_codes(request: Request) -> Response:
    """Shown once, in the answer itself."""
    codes = await _recovery(request).renew(_me(request), by=request.state.actor)
    return page(request, "recovery.html", codes=codes)


async def _drop_useless_codes(request: Request) -> None:
    """Without a second factor there is nothing that they could stand in for."""
    admin = await _admins(request).get(_me(request).id)
    if admin is not None and not admin.has_totp and not await _admins(request).passkeys(admin.id):
        await _recovery(request).drop(admin, by=request.state.actor)


# --- passkeys ---------------------------------------------------------------------------------------------------------


class _Wish(msgspec.Struct):
    password: str = ""


class _NewPasskey(msgspec.Struct):
    name: str
    answer: msgspec.Raw


async def passkey_options(request: Request) -> Response:
    admin = _me(request)
    try:
        await same_person(request, msgspec.json.decode(await request.body(), type=_Wish).password)
    except (Wrong, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return JSONResponse({"problem": str(error)}, 422)
    challenge = await session.seals(request).seal(_PASSKEY, session_secret(request), admin.id)
    known = await _admins(request).passkeys(admin.id)
    text = passkeys.creation_options(session.place(request), admin, known, challenge)
    return Response(text, media_type="application/json")


async def add_passkey(request: Request) -> Response:
    try:
        await _keep_passkey(request, await request.body())
    except (Refused, msgspec.MsgspecError, UnicodeDecodeError) as error:
        words = sentence(str(error)) if isinstance(error, Refused) else "The browser's answer cannot be read."
        return JSONResponse({"problem": words}, 422)
    response = JSONResponse({"next": url(_HOME)})
    return _with_word(request, response, "The passkey is added.")


async def _keep_passkey(request: Request, body: bytes) -> None:
    """Raises Refused."""
    admin, seals = _me(request), session.seals(request)
    given = msgspec.json.decode(body, type=_NewPasskey)
    answer = passkeys.read_answer(bytes(given.answer).decode())
    if await seals.open(_PASSKEY, session_secret(request), answer.challenge) != admin.id:
        raise Refused("that took too long; try again")
    now = request.app.state.services.clock.now()
    record = passkeys.created(session.place(request), admin, answer, name=given.name, now=now)
    if not seals.take(answer.challenge):
        raise Refused("this answer was used before; try again")
    await _admins(request).add_passkey(record, by=request.state.actor)


def _with_word(request: Request, response: Response, text: str) -> Response:
    """The next page says it."""
    for name, value in done(request, _HOME, text).headers.items():
        if name == "set-cookie":
            response.headers.append(name, value)
    return response


async def remove_passkey(request: Request) -> Response:
    form = await request.form()
    try:
        await same_person(request, _text(form, "password"))
        credential = base64.urlsafe_b64decode(_text(form, "credential"))
        await _admins(request).remove_passkey(_me(request).id, credential, by=request.state.actor)
    except Refused as error:
        return done(request, _HOME, sentence(str(error)), kind="bad")
    except (ValueError, binascii.Error):
        raise HTTPException(404) from None
    await _drop_useless_codes(request)
    return done(request, _HOME, "The passkey is removed.")


# --- sessions ---------------------------------------------------------------------------------------------------------


async def end_session(request: Request) -> Response:
    wanted = parse_id(_text(await request.form(), "session"))
    mine = {record.id for record in await _admins(request).sessions(_me(request).id)}
    if wanted is None or SessionId(wanted) not in mine:
        return done(request, _HOME, "That session had ended already.", kind="note")
    await _admins(request).end_session(SessionId(wanted), by=request.state.actor)
    return done(request, _HOME, "That session has ended.")


async def end_others(request: Request) -> Response:
    keep = request.state.session.id
    ended = await _admins(request).end_sessions(_me(request).id, keep, by=request.state.actor)
    return done(request, _HOME, f"{ended} other session{'s have' if ended != 1 else ' has'} ended.")


def _me(request: Request) -> AdminRecord:
    admin: AdminRecord = request.state.admin
    return admin


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _admins(request: Request) -> Admins:
    admins: Admins = request.app.state.services.admins
    return admins


def _recovery(request: Request) -> RecoveryCodes:
    codes: RecoveryCodes = request.app.state.recovery
    return codes


ROUTES = [
    Route("/security", show),
    Route("/security/password", password, methods=["POST"]),
    Route("/security/app", show_app),
    Route("/security/app", begin_app, methods=["POST"]),
    Route("/security/app.svg", picture),
    Route("/security/app/confirm", confirm_app, methods=["POST"]),
    Route("/security/app/remove", remove_app, methods=["POST"]),
    Route("/security/codes", new_codes, methods=["POST"]),
    Route("/security/passkeys", add_passkey, methods=["POST"]),
    Route("/security/passkeys/options", passkey_options, methods=["POST"]),
    Route("/security/passkeys/remove", remove_passkey, methods=["POST"]),
    Route("/security/sessions/end", end_session, methods=["POST"]),
    Route("/security/sessions/end-others", end_others, methods=["POST"]),
]
