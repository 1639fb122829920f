"""Searching messages: an index proposes, the rows decide, and what the index has not seen yet is read from the rows.

So results are never stale, however far the index lags behind, and never wrong, whatever it proposes. Newest first. A
search that has to look at very many rows ends after `PATIENCE` with what it has found, and says where to go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from postroad.content.words import begins
from postroad.ports.clock import Clock
from postroad.ports.ids import EventId, MessageId, ServerId
from postroad.ports.search import (
    Coverage,
    FoundMessage,
    MessageQuery,
    SearchFacts,
    SearchField,
    SearchIndex,
    SearchTerm,
)
from postroad.ports.store import Message, Store, Tx
from postroad.reports.query import QueryError, parse

__all__ = ["FoundMessage", "MessageQuery", "QueryError", "Search", "SearchPage", "fits", "parse"]

PAGE = 50
SHOWN = 20  # recipients of one message in a list
WINDOW = 20_000  # rows looked at in one read: a fraction of a second
BATCH = 200  # proposals looked at in one read
FIRST_MORE = 10  # proposals at first, beside those that a page needs: most of them fit
PATIENCE = 0.8  # seconds
MAX_DIGITS = 10  # of a server's number

_EVERYTHING = Coverage(MessageId(0), EventId(0))  # of which an index knows nothing: all of it is read


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`next` is the `after` of the following page; None: that was all. A page may be short, or empty, and have one:
    then it took too long to look further."""

    rows: list[FoundMessage]
    next: MessageId | None


class Search:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock, index: SearchIndex | None = None) -> None:
        self._store = store
        self._clock = clock
        self._index = index

    async def messages(self, query: MessageQuery, after: MessageId | None = None, limit: int = PAGE) -> SearchPage:
        """A page of messages, newest first. Raises StoreUnavailable."""
        exact = await self._store.read(lambda tx: _exactly(tx, query))
        if exact is None:
            return SearchPage([], None)
        hunt = _Hunt(self._store, self._clock, self._index, exact, after=after, limit=limit)
        await hunt.run()
        rows = hunt.found[:limit]
        found = await self._store.read(lambda tx: tx.search.found(rows, SHOWN))
        if len(hunt.found) > limit:
            return SearchPage(found, rows[-1].id)
        return SearchPage(found, hunt.below if hunt.out_of_time else None)


class _Hunt:
    """One search on its way down through time: `below` is where it has come to."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        index: SearchIndex | None,
        query: MessageQuery,
        *,
        after: MessageId | None,
        limit: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._index = index
        self._query = query
        self._wanted = limit + 1  # one more tells whether there is another page
        self._end = clock.monotonic() + PATIENCE
        self.below = after
        self.found: list[Message] = []
        self.out_of_time = False

    async def run(self) -> None:
        coverage = await self._coverage()
        if coverage is None:
            await self._walk(MessageId(0))
            return
        if self.below is None or self.below > coverage.messages:
            await self._walk(coverage.messages)
        if not self._is_over and not await self._propose(coverage):
            await self._walk(MessageId(0))

    async def _coverage(self) -> Coverage | None:
        if self._index is None or not self._query.wants_index:
            return None
        return await self._index.coverage()

    @property
    def _is_over(self) -> bool:
        return self.out_of_time or len(self.found) >= self._wanted

    def _look_at_the_clock(self) -> None:
        self.out_of_time = self._clock.monotonic() > self._end and len(self.found) < self._wanted

    async def _walk(self, above: MessageId) -> None:
        """Through the rows, down to `above`."""
        while not self._is_over:
            below, missing = self.below, self._wanted - len(self.found)
            floor, fitting = await self._store.read(partial(_walk, self._query, below, above, missing))
            self.found += fitting
            if floor is None:
                self.below = above
                return
            self.below = floor
            self._look_at_the_clock()

    async def _propose(self, coverage: Coverage) -> bool:
        """Through what the index proposes and what has changed since it looked. False: it cannot help."""
        assert self._index is not None
        below = self.below
        changed = await self._store.read(
            lambda tx: tx.search.touched(coverage.events, below=below, under=coverage.messages)
        )
        batch = self._wanted + FIRST_MORE
        while not self._is_over:
            below = coverage.messages if self.below is None else min(self.below, coverage.messages)
            walk = await self._index.find(
                self._query, below=below, above=MessageId(0), limit=batch, patience=self._patience_left
            )
            if walk is None:
                return False
            floor = walk.floor or MessageId(0)
            candidates = sorted({*walk.ids, *(one for one in changed if floor <= one < below)}, reverse=True)
            for at in range(0, len(candidates), BATCH):
                self.found += await self._store.read(partial(_fitting, self._query, candidates[at : at + BATCH]))
            self.below = floor
            if not floor:
                break
            self._look_at_the_clock()
            batch = BATCH
        return True

    @property
    def _patience_left(self) -> float:
        return max(0.0, self._end - self._clock.monotonic())


def _exactly(tx: Tx, query: MessageQuery) -> MessageQuery | None:
    """The query with names and whole ids looked up; None when nothing can fit."""
    if query.server:
        server = tx.servers.by_name(query.server)
        is_number = query.server.isdecimal() and len(query.server) < MAX_DIGITS
        number = server.id if server else int(query.server) if is_number else None
        if number is None:
            return None
        query = replace(query, server_id=ServerId(number))
    if query.ids and query.ids[1] - query.ids[0] == 1:
        message = tx.search.owner_of(query.ids[0])
        return replace(query, ids=(message, message + 1)) if message else None
    return query


def _walk(
    query: MessageQuery, below: MessageId | None, above: MessageId, missing: int, tx: Tx
) -> tuple[MessageId | None, list[Message]]:
    walk = tx.search.walk(query, below=below, above=above, limit=max(missing, 1), window=WINDOW)
    return walk.floor, _fitting(query, walk.ids, tx)


def _fitting(query: MessageQuery, ids: Sequence[MessageId], tx: Tx) -> list[Message]:
    if not ids:
        return []
    return [facts.message for facts in tx.search.facts(query, ids) if fits(query, facts)]


def fits(query: MessageQuery, facts: SearchFacts) -> bool:
    """Whether every text of the query is there. Everything else the rows have decided."""
    return all(_has(term, facts) for term in query.terms)


def _has(term: SearchTerm, facts: SearchFacts) -> bool:
    return any(begins(text, term.text) for field in term.fields for text in _texts(field, facts))


def _texts(field: SearchField, facts: SearchFacts) -> tuple[str, ...]:
    message = facts.message
    match field:
        case SearchField.SENDER:
            return message.reverse_path, message.header_from
        case SearchField.SUBJECT:
            return (message.subject,)
        case SearchField.IDENT:
            return (message.message_id,)
        case SearchField.TAG:
            return (message.tag,)
        case SearchField.RECIPIENT:
            return facts.recipients
        case SearchField.REPLY:
            return facts.replies
