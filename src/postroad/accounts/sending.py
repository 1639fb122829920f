"""Managing sending projects: servers, their streams and tokens, keys of the API, suppressed addresses.

Each changing method is one transaction with its audit row. Refusals are raised as `Refused`, with words for people.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from postroad.accounts.audit import COMMAND_LINE, Action, Actor, Changes, Told
from postroad.accounts.projects import (
    FIRST_STREAMS,
    LASTING_STREAMS,
    ServerRef,
    find_server,
    find_stream,
    read_color,
    read_description,
    read_name,
    read_stream_id,
    refuse_new_stream,
    refuse_one_more,
    write_stream,
)
from postroad.accounts.suppressions import Suppressions
from postroad.accounts.tokens import NewToken, digest_of, make_key, make_token, read_scopes
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource, ServerId, TokenId
from postroad.ports.random import Random
from postroad.ports.sending import ServerRecord, StreamKind, StreamRecord, TokenKind, TokenRecord
from postroad.ports.signals import Signals
from postroad.ports.store import Refused, Store, Tx


class Sending(Suppressions):
    """What console, API and command line do with sending projects. One for a process."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource, signals: Signals, random: Random) -> None:
        super().__init__(store, clock, Changes(store, clock, ids, signals))
        self._ids = ids
        self._random = random

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
        text, now = read_description(description), self._clock.now()

        def add(tx: Tx) -> tuple[ServerRecord, StreamRecord]:
            owner = find_server(tx, server)
            record = StreamRecord(owner.id, id, label, kind, now, now, text)
            refuse_new_stream(tx, owner, record)
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
            owner, record = find_stream(tx, server, stream)
            if record.id in LASTING_STREAMS:
                raise Refused(f"{record.id} is a stream that every server needs; it cannot be archived")
            if record.archived is not None:
                raise Refused(f"the stream {record.id} is archived already")
            return owner, write_stream(tx, replace(record, archived=now, updated=now))

        return (await self._changes.make(by, Action.STREAM_ARCHIVED, archive, _told_of_stream))[1]

    async def unarchive_stream(self, server: ServerRef, stream: str, *, by: Actor = COMMAND_LINE) -> StreamRecord:
        now = self._clock.now()

        def unarchive(tx: Tx) -> tuple[ServerRecord, StreamRecord]:
            owner, record = find_stream(tx, server, stream)
            if record.archived is None:
                raise Refused(f"the stream {record.id} is not archived")
            refuse_one_more(tx, owner)
            return owner, write_stream(tx, replace(record, archived=None, updated=now))

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
