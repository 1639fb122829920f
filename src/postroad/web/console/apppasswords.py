"""App passwords on the page of an account: made for one program each, shown once, revoked."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from postroad.ports.apppasswords import AppPasswordRecord, Scope
from postroad.ports.ids import parse_id
from postroad.ports.store import AccountRecord, Refused, Tx
from postroad.web.console.forms import Form, about, actor_of, services_of
from postroad.web.console.once import Secret, keep_once
from postroad.web.console.render import done, done_at, url

CHOICES = [("both", "Read and send"), (Scope.READ.value, "Read alone"), (Scope.SEND.value, "Send alone")]
KIND = "app password"
_WORDS = {(Scope.SEND, Scope.READ): "reads and sends", (Scope.READ,): "reads", (Scope.SEND,): "sends"}


def of_account(tx: Tx, account: AccountRecord) -> list[tuple[AppPasswordRecord, str]]:
    """Each with what it does, in words."""
    return [(record, _words(record.scopes)) for record in tx.app_passwords.list(account.id)]


def _words(scopes: Sequence[Scope]) -> str:
    return _WORDS[tuple(scopes)]


async def add(request: Request, form: Form) -> Response:
    """Make one; the page that comes next shows it, once. Raises Refused."""
    address, chosen = request.path_params["address"], form.text("scope", "both")
    scopes = list(Scope) if chosen == "both" else [chosen]
    with about("app_name"):
        made = await services_of(request).app_passwords.add(
            address, form.text("app_name"), scopes, by=actor_of(request)
        )
    key = keep_once(request, Secret(KIND, made.record.name, made.secret))
    return done_at(request, url(f"accounts/{made.account.address}", made=key), f"Made {made.record.name}.")


async def revoke(request: Request, form: Form) -> Response:
    """One that is gone already is gone."""
    address, number = request.path_params["address"], form.text("app")
    where = f"accounts/{address}"
    if parse_id(number) is None:
        return done(request, where, "There is no such app password.", kind="note")
    try:
        gone = await services_of(request).app_passwords.revoke(address, number, by=actor_of(request))
    except Refused:
        return done(request, where, "It was revoked already.", kind="note")
    return done(request, where, f"Revoked {gone.name}; it opens nothing any more.")
