"""Administrators of the console: who they are, inviting one, a sign-in link for one who is locked out, removing one.

Whoever lets somebody in says who they are once more: else a browser left open would be a way in for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.accounts.admins import LINK_VALID, MIN_PASSWORD
from postroad.accounts.names import read_address
from postroad.ports.admins import AdminRecord
from postroad.ports.ids import AdminId, parse_id
from postroad.ports.store import Refused, Tx
from postroad.web.console.again import same_person
from postroad.web.console.forms import Form, Wrong, about, actor_of, deeds, errors_of, read_form, services_of
from postroad.web.console.once import Secret, keep_once, shown_once
from postroad.web.console.render import done, done_at, page, url
from postroad.web.console.servers import base_url

INVITATION_VALID = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AdminRow:
    """An administrator, how they sign in, and in how many browsers they are signed in."""

    record: AdminRecord
    passkeys: int
    sessions: int


async def list_admins(request: Request) -> Response:
    def read(tx: Tx) -> list[AdminRow]:
        return [
            AdminRow(record, len(tx.admins.passkeys(record.id)), len(tx.sessions.list(record.id)))
            for record in tx.admins.list()
        ]

    rows = await services_of(request).store.read(read)
    return page(request, "admins.html", rows=rows, made=shown_once(request), valid=LINK_VALID)


async def new_admin(request: Request) -> Response:
    return _form(request, Form(), {})


def _form(request: Request, form: Form, errors: dict[str, str]) -> Response:
    status = 422 if errors else 200
    return page(request, "admin_new.html", status=status, form=form, errors=errors, shortest=MIN_PASSWORD)


async def add_admin(request: Request) -> Response:
    """With a password that is typed here, or with a link by which they choose their own way to sign in."""
    form, admins, by = await read_form(request), services_of(request).admins, actor_of(request)
    typed = form.text("how", "link") == "password"
    try:
        await same_person(request, form.raw("yours"), field="yours")
        with about("email"):
            read_address(form.text("email"))
        if typed and len(form.raw("password")) < MIN_PASSWORD:
            raise Wrong("password", f"a password has at least {MIN_PASSWORD} characters")
        password = form.raw("password") if typed else ""
        made = await admins.add(form.text("email"), password, form.text("name"), by=by)
    except Refused as refused:
        return _form(request, form, errors_of(refused, "email"))
    if typed:
        return done(request, "admins", f"Added {made.email}.")
    return await _with_link(request, made, INVITATION_VALID, f"Added {made.email}. Send them the link below.")


async def _link(request: Request, form: Form) -> Response:
    record = await _find(request, form)
    try:
        await same_person(request, form.raw("yours"))
    except Wrong as wrong:
        return done(request, "admins", str(wrong), kind="bad")
    return await _with_link(request, record, LINK_VALID, f"Made a sign-in link for {record.email}.")


async def _with_link(request: Request, record: AdminRecord, valid: timedelta, text: str) -> Response:
    secret = await services_of(request).admins.login_link(record.id, valid=valid, by=actor_of(request))
    link = f"{base_url(request)}{url('enter')}?{secret}"
    key = keep_once(request, Secret("link", record.email, link))
    return done_at(request, url("admins", made=key), text)


async def _remove(request: Request, form: Form) -> Response:
    record = await _find(request, form)
    if record.id == request.state.admin.id:
        raise Refused("you cannot remove yourself; have another administrator do it")
    await services_of(request).admins.remove(record.id, by=actor_of(request))
    return done(request, "admins", f"Removed {record.email}. They are signed out everywhere.")


async def _find(request: Request, form: Form) -> AdminRecord:
    """The administrator of the form. 404 where there is none."""
    number = AdminId(parse_id(form.text("admin")) or 0)
    record = await services_of(request).admins.get(number)
    if record is None:
        raise HTTPException(404)
    return record


ROUTES = [
    Route("/admins", list_admins),
    Route("/admins", deeds({"link": _link, "remove": _remove}), methods=["POST"]),
    Route("/admins/new", new_admin),
    Route("/admins/new", add_admin, methods=["POST"]),
]
