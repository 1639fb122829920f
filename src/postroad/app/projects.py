"""Operations on sending projects, their tokens, and the console's administrators (see `operations`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from postroad.accounts.tokens import find_token
from postroad.app.arguments import Arguments
from postroad.app.services import Services
from postroad.ports.admins import AdminRecord
from postroad.ports.ids import id_text
from postroad.ports.sending import ServerRecord, StreamKind, StreamRecord, SuppressionRecord, TokenRecord


async def _server_add(services: Services, arguments: Arguments) -> Any:
    return _server(
        await services.sending.add_server(
            arguments.text("name"), color=arguments.text("color"), sandbox=arguments.truth("sandbox")
        )
    )


async def _server_rename(services: Services, arguments: Arguments) -> Any:
    return _server(await services.sending.rename_server(arguments.text("server"), arguments.text("name")))


async def _server_remove(services: Services, arguments: Arguments) -> Any:
    return _server(await services.sending.remove_server(arguments.text("server")))


async def _stream_add(services: Services, arguments: Arguments) -> Any:
    return _stream(
        await services.sending.add_stream(
            arguments.text("server"),
            arguments.text("id"),
            arguments.text("name"),
            StreamKind(arguments.text("kind") or StreamKind.TRANSACTIONAL),
            arguments.text("description"),
        )
    )


async def _stream_archive(services: Services, arguments: Arguments) -> Any:
    return _stream(await services.sending.archive_stream(arguments.text("server"), arguments.text("id")))


async def _stream_unarchive(services: Services, arguments: Arguments) -> Any:
    return _stream(await services.sending.unarchive_stream(arguments.text("server"), arguments.text("id")))


async def _stream_return_path(services: Services, arguments: Arguments) -> Any:
    paths, server, stream = services.administration.return_paths, arguments.text("server"), arguments.text("id")
    if arguments.truth("off"):
        return {"name": (await paths.clear_of_stream(server, stream)).name}
    return {"name": (await paths.set_of_stream(server, stream, arguments.text("name"))).name}


async def _suppression_add(services: Services, arguments: Arguments) -> Any:
    server, stream = arguments.text("server"), arguments.text("stream")
    return _suppression(await services.sending.suppress(server, stream, arguments.text("address")))


async def _suppression_remove(services: Services, arguments: Arguments) -> Any:
    server, stream = arguments.text("server"), arguments.text("stream")
    return _suppression(await services.sending.unsuppress(server, stream, arguments.text("address")))


async def _token_add(services: Services, arguments: Arguments) -> Any:
    """A server's token, or with `scopes` a key of the API. The secret leaves the server this once."""
    name, scopes = arguments.text("name"), arguments.texts("scopes")
    if scopes:
        made = await services.sending.add_key(name, scopes)
    else:
        made = await services.sending.add_token(arguments.text("server"), name)
    return _token(made.record) | {"secret": made.secret}


async def _token_revoke(services: Services, arguments: Arguments) -> Any:
    text = arguments.text("token")
    token = await services.store.read(lambda tx: find_token(tx, text))
    return _token(await services.sending.revoke(token.id))


async def _admin_add(services: Services, arguments: Arguments) -> Any:
    return _admin(
        await services.admins.add(arguments.text("email"), arguments.text("password"), arguments.text("name"))
    )


async def _admin_remove(services: Services, arguments: Arguments) -> Any:
    record = await services.admins.find(arguments.text("email"))
    return _admin(await services.admins.remove(record.id))


async def _admin_password(services: Services, arguments: Arguments) -> Any:
    record = await services.admins.find(arguments.text("email"))
    return _admin(await services.admins.set_password(record.id, arguments.text("password")))


async def _admin_reset(services: Services, arguments: Arguments) -> Any:
    record = await services.admins.find(arguments.text("email"))
    return _admin(await services.admins.reset_second_step(record.id))


async def _admin_link(services: Services, arguments: Arguments) -> Any:
    record = await services.admins.find(arguments.text("email"))
    valid = timedelta(seconds=arguments.number("valid"))
    return _admin(record) | {"secret": await services.admins.login_link(record.id, valid=valid)}


def _server(record: ServerRecord) -> dict[str, Any]:
    return {"id": record.id, "name": record.name, "color": record.color, "sandbox": record.sandbox}


def _stream(record: StreamRecord) -> dict[str, Any]:
    return {"server": record.server, "id": record.id, "name": record.name, "kind": record.kind.value}


def _suppression(record: SuppressionRecord) -> dict[str, Any]:
    return {"address": record.address, "stream": record.stream, "reason": record.reason.value}


def _token(record: TokenRecord) -> dict[str, Any]:
    return {
        "id": id_text(record.id),
        "kind": record.kind.value,
        "name": record.name,
        "hint": record.hint,
        "server": record.server,
        "scopes": list(record.scopes),
    }


def _admin(record: AdminRecord) -> dict[str, Any]:
    return {"id": id_text(record.id), "email": record.email, "name": record.name}


OPERATIONS = {
    "server.add": _server_add,
    "server.rename": _server_rename,
    "server.remove": _server_remove,
    "stream.add": _stream_add,
    "stream.archive": _stream_archive,
    "stream.unarchive": _stream_unarchive,
    "stream.return_path": _stream_return_path,
    "suppression.add": _suppression_add,
    "suppression.remove": _suppression_remove,
    "token.add": _token_add,
    "token.revoke": _token_revoke,
    "admin.add": _admin_add,
    "admin.remove": _admin_remove,
    "admin.password": _admin_password,
    "admin.link": _admin_link,
    "admin.reset": _admin_reset,
}
