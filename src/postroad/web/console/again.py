"""The password once more, before something that weakens or widens the way in: a browser left open is not enough."""

from __future__ import annotations

from starlette.requests import Request

from postroad.accounts.logins import TooManyLogins
from postroad.ports.admins import AdminRecord
from postroad.web.console.failures import sentence
from postroad.web.console.forms import Wrong, services_of
from postroad.web.console.guard import client_address

_WRONG = "This is not your present password."


async def same_person(request: Request, given: str, *, field: str = "password") -> None:
    """`given` is the password of whoever is signed in, where there is one; it is guessed at no other pace than on the
    sign-in page. Raises Wrong, about `field`."""
    admin: AdminRecord = request.state.admin
    if not admin.password_hash:
        return
    services, client = services_of(request), client_address(request)
    try:
        await services.throttle.admit(client, admin.email)
    except TooManyLogins as error:
        raise Wrong(field, sentence(str(error))) from error
    if await services.admins.verify(admin.email, given) is None:
        await services.admins.refused(admin.email, client, "wrong password, asked for once more")
        raise Wrong(field, _WRONG)
    await services.throttle.succeeded(client, admin.email)
