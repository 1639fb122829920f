"""Sending projects as rows: names that people type, read and refused in kind words, and transaction functions.

`sending` runs them and writes the audit log.
"""

from __future__ import annotations

import re

from postroad.ports.ids import ServerId
from postroad.ports.sending import DEFAULT_STREAM, ServerRecord, StreamKind, StreamRecord
from postroad.ports.store import Refused, Tx

FIRST_STREAMS = (  # id, name, kind: what every server begins with
    (DEFAULT_STREAM, "Default transactional stream", StreamKind.TRANSACTIONAL),
    ("inbound", "Default inbound stream", StreamKind.INBOUND),
    ("broadcast", "Default broadcast stream", StreamKind.BROADCASTS),
)
LASTING_STREAMS = (DEFAULT_STREAM, "inbound")  # cannot be archived: something always arrives there
COLORS = ("purple", "blue", "turquoise", "green", "red", "yellow", "grey", "orange")
MAX_NAME = 100
MAX_DESCRIPTION = 1000
MAX_STREAMS = 10  # of one server, archived ones left out
_STREAM_ID = re.compile(r"[a-z][a-z0-9_-]{0,29}")

ServerRef = ServerId | int | str  # its number, or its name


# --- what people type -------------------------------------------------------------------------------------------------


def read_name(text: str, what: str) -> str:
    """A name for people. Raises Refused."""
    name = " ".join(text.split())
    if not name:
        raise Refused(f"{what} needs a name")
    if len(name) > MAX_NAME:
        raise Refused(f"the name of {what} has at most {MAX_NAME} characters")
    if not name.isprintable():
        raise Refused(f"the name of {what} has a character that cannot be printed")
    return name


def read_color(text: str) -> str:
    color = text.strip().lower()
    if color and color not in COLORS:
        raise Refused(f"“{text}” is none of the colours: {', '.join(COLORS)}")
    return color


def read_stream_id(text: str) -> str:
    """Raises Refused."""
    name = text.strip()
    if not _STREAM_ID.fullmatch(name):
        raise Refused(
            f"“{text}” cannot be a stream's id: it begins with a letter and has at most 30 lower-case letters, digits,"
            " dashes and underscores"
        )
    if name.startswith("pm-"):
        raise Refused("a stream's id may not begin with pm-, which Postmark keeps for itself")
    return name


def read_description(text: str) -> str:
    if len(text) > MAX_DESCRIPTION:
        raise Refused(f"a description has at most {MAX_DESCRIPTION} characters")
    return text.strip()


# --- transaction functions --------------------------------------------------------------------------------------------


def find_server(tx: Tx, server: ServerRef) -> ServerRecord:
    """By number or name. Raises Refused."""
    record = tx.servers.get(ServerId(server)) if isinstance(server, int) else _named_server(tx, server.strip())
    if record is None:
        raise Refused(f"there is no server {server}; `postroad server list` shows those there are")
    return record


def _named_server(tx: Tx, name: str) -> ServerRecord | None:
    record = tx.servers.by_name(name)
    if record is None and name.isascii() and name.isdigit() and len(name) < 10:
        record = tx.servers.get(ServerId(int(name)))
    return record


def find_stream(tx: Tx, server: ServerRef, stream: str) -> tuple[ServerRecord, StreamRecord]:
    owner = find_server(tx, server)
    record = tx.streams.get(owner.id, stream.strip())
    if record is None:
        raise Refused(f"the server {owner.name} has no stream {stream}")
    return owner, record


def write_stream(tx: Tx, record: StreamRecord) -> StreamRecord:
    tx.streams.change(record)
    return record


def refuse_new_stream(tx: Tx, owner: ServerRecord, record: StreamRecord) -> None:
    if tx.streams.get(owner.id, record.id):
        raise Refused(f"the server {owner.name} has a stream {record.id} already")
    if record.kind is StreamKind.INBOUND:
        raise Refused(f"the server {owner.name} has its inbound stream already; there can be only one")
    refuse_one_more(tx, owner)


def refuse_one_more(tx: Tx, owner: ServerRecord) -> None:
    if len(tx.streams.list(owner.id)) >= MAX_STREAMS:
        raise Refused(f"a server has at most {MAX_STREAMS} streams; archive one of {owner.name} first")
