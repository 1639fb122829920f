"""Operations on what opens an account, and on who has failed to (see `operations`)."""

from __future__ import annotations

from typing import Any

from postroad.app.arguments import Arguments
from postroad.app.services import Services
from postroad.ports.apppasswords import AppPasswordRecord, Scope
from postroad.ports.ids import id_text


async def _app_password_add(services: Services, arguments: Arguments) -> Any:
    """The secret leaves the server this once."""
    scopes = arguments.texts("scopes") or list(Scope)
    made = await services.app_passwords.add(arguments.text("address"), arguments.text("name"), scopes)
    return _app_password(made.record) | {"secret": made.secret}


async def _app_password_revoke(services: Services, arguments: Arguments) -> Any:
    return _app_password(await services.app_passwords.revoke(arguments.text("address"), arguments.text("name")))


async def _ban_release(services: Services, arguments: Arguments) -> Any:
    return await services.guesses.release(arguments.text("who"))


def _app_password(record: AppPasswordRecord) -> dict[str, Any]:
    return {"id": id_text(record.id), "name": record.name, "scopes": list(record.scopes)}


OPERATIONS = {
    "app-password.add": _app_password_add,
    "app-password.revoke": _app_password_revoke,
    "ban.release": _ban_release,
}
