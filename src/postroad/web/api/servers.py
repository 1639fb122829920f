"""Servers: sending projects, each with streams, tokens and history of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from postroad.ports.ids import ServerId
from postroad.ports.sending import ServerRecord
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import ByName, Page, ServerNumber, Time, existing, page_by_name

Color = Literal["", "purple", "blue", "turquoise", "green", "red", "yellow", "grey", "orange"]
ServerName = Annotated[str, Meta(min_length=1, max_length=100, examples=["Shop"])]


class Server(Struct):
    """A sending project. What a sandbox sends is accepted and shown, and goes nowhere."""

    id: int
    name: str
    created: Time
    color: str
    sandbox: bool


class NewServer(Struct, forbid_unknown_fields=True):
    """A server with its first streams."""

    name: ServerName
    color: Color = ""
    sandbox: bool = False


class ServerChange(Struct, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    name: ServerName | UnsetType = UNSET
    color: Color | UnsetType = UNSET


async def list_servers(call: Call, *, query: ByName) -> Page[Server]:
    """Servers, by name."""
    return page_by_name(await call.services.sending.servers(), query, lambda row: row.name, _server)


async def add_server(call: Call, *, body: NewServer) -> Server:
    """Add a sending project, with its first streams."""
    return _server(
        await call.services.sending.add_server(body.name, color=body.color, sandbox=body.sandbox, by=call.actor)
    )


async def get_server(call: Call, *, server: ServerNumber) -> Server:
    """One server."""
    return _server(await existing(call.services.sending.server(ServerId(server))))


async def change_server(call: Call, *, server: ServerNumber, body: ServerChange) -> Server:
    """Give a server another name or colour."""
    sending = call.services.sending
    record = await existing(sending.server(ServerId(server)))
    if body.name is UNSET and body.color is UNSET:
        return _server(record)
    color = None if body.color is UNSET else body.color
    return _server(
        await sending.change_server(record.id, name="" if body.name is UNSET else body.name, color=color, by=call.actor)
    )


async def remove_server(call: Call, *, server: ServerNumber) -> None:
    """Remove a server with its streams, tokens and suppressions.

    Its messages stay; what waits is still delivered.
    """
    record = await existing(call.services.sending.server(ServerId(server)))
    await call.services.sending.remove_server(record.id, by=call.actor)


def _server(record: ServerRecord) -> Server:
    return Server(record.id, record.name, record.created, record.color, record.sandbox)


READ, WRITE = "tenants:read", "tenants:write"
ROUTES = (
    Route("GET", "/servers", READ, list_servers),
    Route("POST", "/servers", WRITE, add_server, 201, "/servers/{made.id}", refuses=True),
    Route("GET", "/servers/{server}", READ, get_server),
    Route("PATCH", "/servers/{server}", WRITE, change_server, refuses=True),
    Route("DELETE", "/servers/{server}", WRITE, remove_server, 204),
)
