"""Managing sending projects: servers, their streams and tokens, keys of the API, suppressed addresses.

Each changing method is one transaction with its audit row. Refusals are raised as `Refused`, with words for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from postroad.accounts.audit import COMMAND_LINE, Action, Actor, Changes, Told
from postroad.accounts.names import read_address
from postroad.accounts.tokens import NewToken, digest_of, make_key, make_token, read_scopes
from postroad.mail.address import Address, AddressError
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource, ServerId, TokenId
from postroad.ports.random import Random
from postroad.ports.sending import (
    DEFAULT_STREAM,
    ServerRecord,
    StreamKind,
    StreamRecord,
    SuppressionOrigin,
    SuppressionReason,
    SuppressionRecord,
    TokenKind,
    TokenRecord,
)
from postroad.ports.signals import Signals
from postroad.ports.store import Refused, Store, Tx

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
_EMPTY_SECONDS = 10.0  # how long a stream without suppressions is taken for one

ServerRef = ServerId | int | str  # its number, or its name


class Sending:
    """What console, API and command line do with sending projects. One for a process."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource, signals: Signals, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._random = random
        self._changes = Changes(store, clock, ids, signals)
        self._empty: dict[tuple[ServerId, str], float] = {}  # streams known to suppress nobody, and until when
        self._suppressed = 0  # grows with each suppression made here

    # --- servers ------------------------------------------------------------------------------------------------------

    async def add_server(
        self, name: str, *, color: str = "", sandbox: bool = False, by: Actor = COMMAND_LINE
    ) -> ServerRecord:
        """A server with its first streams. What a sandbox sends is accepted and shown, and goes nowhere."""
        name, color, now = read_name(name, "a server"), read_color(color), self._clock.now()

        def add(tx: Tx) -> ServerRecord:
            record = ServerRecord(tx.servers.next_id(), name, now, color, sandbox)
            tx.servers.add(record)
            for number, label, kind in FIRST_STREAMS:
                tx.streams.add(StreamRecord(record.id, number, label, kind, now, now))
            return record

        return await self._changes.make(by, Action.SERVER_ADDED, add, lambda made: Told(made.name, _sandbox(made)))

    async def servers(self) -> list[ServerRecord]:
        return await self._store.read(lambda tx: tx.servers.list())

    async def server(self, name_or_id: ServerRef) -> ServerRecord:
        """Raises Refused when there is none."""
        return await self._store.read(lambda tx: find_server(tx, name_or_id))

    async def change_server(
        self, server: ServerRef, *, name: str = "", color: str | None = None, by: Actor = COMMAND_LINE
    ) -> ServerRecord:
        """Another name, another colour. What is left out stays."""
        wanted = read_name(name, "a server") if name else ""
        shade = None if color is None else read_color(color)

        def change(tx: Tx) -> tuple[ServerRecord, ServerRecord]:
            old = find_server(tx, server)
            new = replace(old, name=wanted or old.name, color=old.color if shade is None else shade)
            tx.servers.change(new)
            return old, new

        tell = _told_of_server
        return (await self._changes.make(by, Action.SERVER_CHANGED, change, tell))[1]

    async def rename_server(self, server: ServerRef, name: str, *, by: Actor = COMMAND_LINE) -> ServerRecord:
        read_name(name, "a server")
        return await self.change_server(server, name=name, by=by)

    async def remove_server(self, server: ServerRef, *, by: Actor = COMMAND_LINE) -> ServerRecord:
        """With its streams, tokens and suppressions. Its messages stay; what waits is still delivered."""

        def remove(tx: Tx) -> ServerRecord:
            record = find_server(tx, server)
            tx.servers.remove(record.id)
            return record

        return await self._changes.make(by, Action.SERVER_REMOVED, remove, lambda gone: Told(gone.name))

    # --- streams ------------------------------------------------------------------------------------------------------

    async def add_stream(
        self,
        server: ServerRef,
        id: str,  # noqa: A002
        name: str = "",
        kind: StreamKind = StreamKind.TRANSACTIONAL,
        description: str = "",
        *,
        by: Actor = COMMAND_LINE,
    ) -> StreamRecord:
        """Another stream. Without a name it is called by its id."""
        id, label = read_stream_id(id), read_name(name or id, "a stream")  # noqa: A001
        text, now = _read_description(description), self._clock.now()

        def add(tx: Tx) -> tuple[ServerRecord, StreamRecord]:
            owner = find_server(tx, server)
            record = StreamRecord(owner.id, id, label, kind, now, now, text)
            _refuse_stream(tx, owner, record)
            tx.streams.add(record)
            return owner, record

        return (await self._changes.make(by, Action.STREAM_ADDED, add, _told_of_stream))[1]

    async def streams(self, server: ServerRef, archived: bool = False) -> list[StreamRecord]:
        """Oldest first; with `archived` those too."""
        return await self._store.read(lambda tx: tx.streams.list(find_server(tx, server).id, archived=archived))

    async def archive_stream(self, server: ServerRef, stream: str, *, by: Actor = COMMAND_LINE) -> StreamRecord:
        """Nothing can be sent on it any more; its history stays."""
        now = self._clock.now()

        def archive(tx: Tx) -> tuple[ServerRecord, StreamRecord]:
            owner, record = _find_stream(tx, server, stream)
            if record.id in LASTING_STREAMS:
                raise Refused(f"{record.id} is a stream that every server needs; it cannot be archived")
            if record.archived is not None:
                raise Refused(f"the stream {record.id} is archived already")
            return owner, _change_stream(tx, replace(record, archived=now, updated=now))

        return (await self._changes.make(by, Action.STREAM_ARCHIVED, archive, _told_of_stream))[1]

    async def unarchive_stream(self, server: ServerRef, stream: str, *, by: Actor = COMMAND_LINE) -> StreamRecord:
        now = self._clock.now()

        def unarchive(tx: Tx) -> tuple[ServerRecord, StreamRecord]:
            owner, record = _find_stream(tx, server, stream)
            if record.archived is None:
                raise Refused(f"the stream {record.id} is not archived")
            _refuse_one_more(tx, owner)
            return owner, _change_stream(tx, replace(record, archived=None, updated=now))

        return (await self._changes.make(by, Action.STREAM_UNARCHIVED, unarchive, _told_of_stream))[1]

    # --- tokens -------------------------------------------------------------------------------------------------------

    async def add_token(self, server: ServerRef, name: str = "", *, by: Actor = COMMAND_LINE) -> NewToken:
        """A token to send with: by Postmark's API, or as user and password of SMTP."""
        label = read_name(name, "a token") if name else ""
        secret = make_token(self._random)

        def add(tx: Tx) -> TokenRecord:
            owner = find_server(tx, server)
            return self._keep(tx, secret, TokenKind.SERVER, label or f"{owner.name} token", server=owner.id)

        return NewToken(await self._changes.make(by, Action.TOKEN_ADDED, add, _told_of_token), secret)

    async def add_key(self, name: str, scopes: Sequence[str], *, by: Actor = COMMAND_LINE) -> NewToken:
        """A key for our own API, as far as `scopes` (of `tokens.SCOPES`, or `*`) reach."""
        label, allowed = read_name(name, "a key"), read_scopes(tuple(scopes))
        secret = make_key(self._random)

        def add(tx: Tx) -> TokenRecord:
            return self._keep(tx, secret, TokenKind.KEY, label, scopes=allowed)

        return NewToken(await self._changes.make(by, Action.TOKEN_ADDED, add, _told_of_token), secret)

    def _keep(
        self,
        tx: Tx,
        secret: str,
        kind: TokenKind,
        name: str,
        *,
        server: ServerId | None = None,
        scopes: tuple[str, ...] = (),
    ) -> TokenRecord:
        number, now = TokenId(self._ids.new()), self._clock.now()
        record = TokenRecord(number, kind, name, secret[-4:], now, server, scopes)
        tx.tokens.add(record, digest_of(secret))
        return record

    async def tokens(self, server: ServerRef | None = None, *, revoked: bool = False) -> list[TokenRecord]:
        """Those of one server, or all with the keys of the API; oldest first."""

        def read(tx: Tx) -> list[TokenRecord]:
            return tx.tokens.list(None if server is None else find_server(tx, server).id, revoked=revoked)

        return await self._store.read(read)

    async def revoke(self, token: TokenId, *, by: Actor = COMMAND_LINE) -> TokenRecord:
        """From now on the token opens nothing."""
        now = self._clock.now()

        def revoke(tx: Tx) -> TokenRecord:
            record = tx.tokens.get(token)
            if record is None:
                raise Refused("there is no such token")
            if not tx.tokens.revoke(token, now):
                raise Refused(f"the token {record.name} (…{record.hint}) is revoked already")
            return replace(record, revoked=now)

        return await self._changes.make(by, Action.TOKEN_REVOKED, revoke, _told_of_token)

    # --- suppressions -------------------------------------------------------------------------------------------------

    async def suppress(
        self,
        server: ServerRef,
        stream: str,
        address: str,
        reason: SuppressionReason = SuppressionReason.MANUAL,
        origin: SuppressionOrigin = SuppressionOrigin.CUSTOMER,
        *,
        by: Actor = COMMAND_LINE,
    ) -> SuppressionRecord:
        """Send nothing more to `address` on this stream. What is suppressed already stays as it was."""
        key, now = read_address(address).key, self._clock.now()

        def put(tx: Tx) -> SuppressionRecord:
            owner, found = _find_stream(tx, server, stream)
            record = SuppressionRecord(owner.id, found.id, key, reason, origin, now)
            return record if tx.suppressions.put(record) else tx.suppressions.get(owner.id, found.id, key) or record

        made = await self._changes.make(by, Action.ADDRESS_SUPPRESSED, put, _told_of_suppression, signal=False)
        self._suppressed += 1
        self._empty.clear()
        return made

    async def unsuppress(
        self, server: ServerRef, stream: str, address: str, *, by: Actor = COMMAND_LINE
    ) -> SuppressionRecord:
        """Take an address back. Raises Refused when it is not suppressed, or is not ours to take back."""
        key = read_address(address).key

        def remove(tx: Tx) -> SuppressionRecord:
            owner, found = _find_stream(tx, server, stream)
            record = tx.suppressions.get(owner.id, found.id, key)
            if record is None:
                raise Refused(f"{key} is not suppressed on {found.id}")
            if record.reason is SuppressionReason.SPAM_COMPLAINT:
                raise Refused(f"{key} complained of spam; only the recipient can take that back")
            tx.suppressions.remove(owner.id, found.id, key)
            return record

        return await self._changes.make(by, Action.ADDRESS_UNSUPPRESSED, remove, _told_of_suppression, signal=False)

    async def suppressions(
        self, server: ServerRef, stream: str, *, after: str = "", limit: int | None = None
    ) -> list[SuppressionRecord]:
        """By address, from the one behind `after`."""

        def read(tx: Tx) -> list[SuppressionRecord]:
            owner, found = _find_stream(tx, server, stream)
            return tx.suppressions.list(owner.id, found.id, after=after, limit=limit)

        return await self._store.read(read)

    def suppresses_nobody(self, server: ServerId, stream: str) -> bool:
        """True when the stream is known to suppress nobody; never waits."""
        return self._empty.get((server, stream), 0.0) > self._clock.monotonic()

    async def suppressed(self, server: ServerId, stream: str, addresses: Iterable[str]) -> set[str]:
        """Those of `addresses`, as they were given, that get nothing on this stream."""
        if self.suppresses_nobody(server, stream):
            return set()
        keys = {address: _key(address) for address in addresses}
        before = self._suppressed

        def read(tx: Tx) -> tuple[bool, set[str]]:
            if not tx.suppressions.any(server, stream):
                return True, set()
            return False, {found.address for found in tx.suppressions.among(server, stream, sorted(set(keys.values())))}

        empty, found = await self._store.read(read)
        if empty and before == self._suppressed:
            self._empty[server, stream] = self._clock.monotonic() + _EMPTY_SECONDS
        return {address for address, key in keys.items() if key in found}


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


def _read_description(text: str) -> str:
    if len(text) > MAX_DESCRIPTION:
        raise Refused(f"a description has at most {MAX_DESCRIPTION} characters")
    return text.strip()


def _key(address: str) -> str:
    try:
        return Address.parse(address.strip()).key
    except AddressError:
        return address.strip().lower()


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


def _find_stream(tx: Tx, server: ServerRef, stream: str) -> tuple[ServerRecord, StreamRecord]:
    owner = find_server(tx, server)
    record = tx.streams.get(owner.id, stream.strip())
    if record is None:
        raise Refused(f"the server {owner.name} has no stream {stream}")
    return owner, record


def _change_stream(tx: Tx, record: StreamRecord) -> StreamRecord:
    tx.streams.change(record)
    return record


def _refuse_stream(tx: Tx, owner: ServerRecord, record: StreamRecord) -> None:
    if tx.streams.get(owner.id, record.id):
        raise Refused(f"the server {owner.name} has a stream {record.id} already")
    if record.kind is StreamKind.INBOUND:
        raise Refused(f"the server {owner.name} has its inbound stream already; there can be only one")
    _refuse_one_more(tx, owner)


def _refuse_one_more(tx: Tx, owner: ServerRecord) -> None:
    if len(tx.streams.list(owner.id)) >= MAX_STREAMS:
        raise Refused(f"a server has at most {MAX_STREAMS} streams; archive one of {owner.name} first")


# --- what the audit log says ------------------------------------------------------------------------------------------


def _sandbox(record: ServerRecord) -> dict[str, bool]:
    return {"sandbox": True} if record.sandbox else {}


def _told_of_server(change: tuple[ServerRecord, ServerRecord]) -> Told:
    old, new = change
    detail = {"name": new.name} if new.name != old.name else {}
    return Told(old.name, detail | ({"color": new.color} if new.color != old.color else {}))


def _told_of_stream(found: tuple[ServerRecord, StreamRecord]) -> Told:
    server, stream = found
    return Told(f"{server.name}/{stream.id}", {"kind": stream.kind.value})


def _told_of_token(record: TokenRecord) -> Told:
    reach = {"server": record.server} if record.kind is TokenKind.SERVER else {"scopes": list(record.scopes)}
    return Told(f"{record.name} (…{record.hint})", {"kind": record.kind.value, **reach})


def _told_of_suppression(record: SuppressionRecord) -> Told:
    return Told(record.address, {"server": record.server, "stream": record.stream, "reason": record.reason.value})
