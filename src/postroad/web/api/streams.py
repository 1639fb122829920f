"""Streams: how a server keeps different kinds of mail apart."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from postroad.ports.ids import ServerId
from postroad.ports.sending import StreamKind, StreamRecord
from postroad.web.api.problems import not_found
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import ByName, Page, ServerNumber, Time, existing, page_by_name

StreamName = Annotated[str, Meta(description="A stream's id.", examples=["outbound"])]


class Stream(Struct):
    """A stream of one server. Nothing can be sent on an archived one; its history stays."""

    id: str
    server: int
    name: str
    kind: StreamKind
    description: str
    created: Time
    updated: Time
    archived: Time | None


class StreamSearch(ByName, forbid_unknown_fields=True):
    """One page of a server's streams, by id."""

    archived: Annotated[bool, Meta(description="Archived ones too.")] = False


class NewStream(Struct, forbid_unknown_fields=True):
    """Another stream. Without a name it is called by its id."""

    id: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,29}$", examples=["receipts"])]
    name: Annotated[str, Meta(max_length=100)] = ""
    kind: Literal["transactional", "broadcasts"] = "transactional"
    description: Annotated[str, Meta(max_length=1000)] = ""


async def list_streams(call: Call, *, server: ServerNumber, query: StreamSearch) -> Page[Stream]:
    """A server's streams, by id."""
    rows = await existing(call.services.sending.streams(ServerId(server), query.archived))
    return page_by_name(rows, query, lambda row: row.id, _stream)


async def add_stream(call: Call, *, server: ServerNumber, body: NewStream) -> Stream:
    """Add a stream to a server."""
    sending = call.services.sending
    record = await existing(sending.server(ServerId(server)))
    kind = StreamKind(body.kind)
    return _stream(await sending.add_stream(record.id, body.id, body.name, kind, body.description, by=call.actor))


async def get_stream(call: Call, *, server: ServerNumber, stream: StreamName) -> Stream:
    """One stream, archived or not."""
    return _stream(await _found(call, server, stream))


async def archive_stream(call: Call, *, server: ServerNumber, stream: StreamName) -> Stream:
    """Let nothing more be sent on a stream."""
    record = await _found(call, server, stream)
    return _stream(await call.services.sending.archive_stream(record.server, record.id, by=call.actor))


async def unarchive_stream(call: Call, *, server: ServerNumber, stream: StreamName) -> Stream:
    """Let mail be sent on a stream again."""
    record = await _found(call, server, stream)
    return _stream(await call.services.sending.unarchive_stream(record.server, record.id, by=call.actor))


async def _found(call: Call, server: int, name: str) -> StreamRecord:
    for record in await existing(call.services.sending.streams(ServerId(server), True)):
        if record.id == name:
            return record
    raise not_found(f"The server {server} has no stream {name}.")


def _stream(record: StreamRecord) -> Stream:
    return Stream(
        record.id,
        record.server,
        record.name,
        record.kind,
        record.description,
        record.created,
        record.updated,
        record.archived,
    )


READ, WRITE = "tenants:read", "tenants:write"
ROUTES = (
    Route("GET", "/servers/{server}/streams", READ, list_streams),
    Route("POST", "/servers/{server}/streams", WRITE, add_stream, 201, "/servers/{server}/streams/{made.id}", True),
    Route("GET", "/servers/{server}/streams/{stream}", READ, get_stream),
    Route("POST", "/servers/{server}/streams/{stream}/archive", WRITE, archive_stream, refuses=True),
    Route("POST", "/servers/{server}/streams/{stream}/unarchive", WRITE, unarchive_stream, refuses=True),
)
