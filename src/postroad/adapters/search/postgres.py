"""The search index in PostgreSQL: one tsvector a message, with the same words and facets as beside SQLite.

Words are told apart here and not by the server, whose idea of them depends on its locale; each stands behind the letter
of its field. Several nodes may follow: whoever takes a slice holds the row that says how far all have come.
"""

# ruff: noqa: S608 - what is put into statements is our own names and lists of placeholders

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from postroad.adapters.ids import first_id_at
from postroad.adapters.search.progress import EVENTS_A_MESSAGE, KINDS, Progress
from postroad.adapters.search.proposals import FACET, LETTERS, MAX_ID, MAX_WORD, bounds, facets_of, tsquery
from postroad.adapters.search.threads import IndexThreads
from postroad.adapters.sql.connection import Connection, Fault, Row, in_list
from postroad.adapters.sql.engine import Engine, Session
from postroad.content.words import words
from postroad.observe import log
from postroad.ports.ids import MessageId
from postroad.ports.search import Coverage, MessageQuery, SearchField, Walk
from postroad.ports.store import StoreUnavailable

T = TypeVar("T")

VERSION = 1  # of what is indexed how; what another one has made is made anew
SLICE = 100  # messages indexed in one transaction: some milliseconds of the interpreter
NEWEST = 5_000  # messages that are looked at one by one
TRIMMED = 500

_MARK = "search"  # in meta
_DOCUMENTS = """SELECT m.id, m.reverse_path || ' ' || m.header_from, string_agg(d.forward_path || ' ' || d.orig, ' '),
  m.subject, m.message_id, m.tag, string_agg(d.last_status, chr(10)), string_agg(DISTINCT 's' || d.state, ' '),
  m.server, m.stream
FROM message m LEFT JOIN delivery d ON d.message = m.id WHERE {} GROUP BY m.id"""
_PUT = """INSERT INTO search (id, words) VALUES (?, array_to_tsvector(?))
ON CONFLICT (id) DO UPDATE SET words = excluded.words"""
_EDGE = "SELECT id FROM search WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1 OFFSET ?"
_AMONG_NEWEST = """SELECT id FROM (SELECT id, words FROM search WHERE id < ? AND id >= ? ORDER BY id DESC OFFSET 0)
  AS newest WHERE words @@ ?::tsquery LIMIT ?"""
_BY_INDEX = """WITH hits AS MATERIALIZED (SELECT id FROM search WHERE id < ? AND id >= ? AND words @@ ?::tsquery)
  SELECT id FROM hits ORDER BY id DESC LIMIT ?"""
_FIELDS = (
    SearchField.SENDER, SearchField.RECIPIENT, SearchField.SUBJECT, SearchField.IDENT, SearchField.TAG,
)  # fmt: skip

_log = log.get("search")


class PostgresIndex:
    """Implements ports.search.SearchIndex."""

    def __init__(self, engine: Engine, slice_: int = SLICE) -> None:
        self._engine = engine
        self._slice = slice_
        self._threads = IndexThreads()
        self._session: Session | None = None  # the writing thread's
        self._rewind = MAX_ID

    # --- searching ---

    async def coverage(self) -> Coverage | None:
        progress = await self._threads.read(lambda: self._told(lambda: self._engine.read(_progress)))
        return progress.coverage if progress else None

    async def find(
        self, query: MessageQuery, *, below: MessageId | None, above: MessageId, limit: int, patience: float
    ) -> Walk | None:
        wanted = tsquery(query)
        if not wanted:
            return None
        low, high = bounds(query, below, above)
        del patience  # two statements, and the server plans them
        return await self._threads.read(
            lambda: self._told(lambda: self._engine.read(lambda it: _find(it, wanted, low, high, limit)))
        )

    # --- following ---

    async def advance(self, until: datetime) -> bool:
        high, back, self._rewind = first_id_at(until), self._rewind, MAX_ID
        return await self._threads.write(lambda: self._written(lambda session: self._advance(session, high, back)))

    def rewind(self, to: datetime) -> None:
        self._rewind = min(self._rewind, first_id_at(to))

    async def trim(self, before: datetime) -> int:
        total = 0
        while number := await self._threads.write(lambda: self._written(lambda it: _trim(it, first_id_at(before)))):
            total += number
        return total

    async def close(self) -> None:
        await self._threads.close()
        self._drop_session()

    def _told(self, function: Callable[[], T]) -> T:
        """With the database's own errors as StoreUnavailable."""
        try:
            return function()
        except Exception as error:
            if self._engine.fault(error) is Fault.OWN:
                raise
            raise StoreUnavailable(f"the search index: {error}") from error

    def _written(self, function: Callable[[Session], T]) -> T:
        """In a transaction of the writing thread's own connection, which is opened anew after an error."""
        return self._told(lambda: self._transaction(function))

    def _transaction(self, function: Callable[[Session], T]) -> T:
        session = self._session = self._session or self._engine.open_session()
        try:
            session.begin()
            result = function(session)
            session.commit()
        except BaseException:
            self._drop_session()
            raise
        return result

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(Exception):  # a lost connection cannot be closed either
                session.close()

    def _advance(self, session: Session, until: int, back: int) -> bool:
        if back == MAX_ID and _is_idle(session, until):
            return False
        progress = _locked(session, until)
        at = progress.rewound(back)
        step, more = self._build(session, at) if at.is_building else self._follow(session, at, until)
        if step != progress:
            session.run("UPDATE meta SET value = ? WHERE name = ?", (_text(step), _MARK))
        return more

    def _build(self, session: Session, progress: Progress) -> tuple[Progress, bool]:
        """From the messages themselves, by id, up to those that their events will tell of."""
        rows = session.rows(
            "SELECT id FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (progress.built, progress.target, self._slice),
        )
        if rows:
            _index(session, "m.id >= ? AND m.id <= ?", (rows[0][0], rows[-1][0]))
        return progress._replace(built=rows[-1][0] + 1 if len(rows) == self._slice else progress.target), True

    def _follow(self, session: Session, progress: Progress, until: int) -> tuple[Progress, bool]:
        """Messages of which something was recorded; each is indexed anew. Nothing is written while nothing happens."""
        low = progress.events
        if until <= low:
            return progress, False
        cut = session.rows(
            "SELECT id FROM event WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?",
            (low, until, self._slice * EVENTS_A_MESSAGE),
        )
        high = cut[0][0] if cut else until
        rows = session.rows(
            f"SELECT DISTINCT message FROM event WHERE id >= ? AND id < ? AND kind IN ({KINDS})"
            " AND message IS NOT NULL",
            (low, high),
        )
        if rows:
            listed, params = in_list([row[0] for row in rows])
            _index(session, f"m.id IN {listed}", params)
        return (progress._replace(events=high) if rows or cut else progress), bool(cut)


def _find(connection: Connection, wanted: str, low: int, high: int, limit: int) -> Walk:
    """Among the newest row by row, where what is common is found at once; among the others by the index, whatever the
    server thinks of how rare a beginning of a word is."""
    edge = connection.rows(_EDGE, (high, low, NEWEST))
    begin = edge[0][0] if edge else low
    found = [MessageId(row[0]) for row in connection.rows(_AMONG_NEWEST, (high, begin, wanted, limit))]
    if len(found) < limit and edge:
        rest = connection.rows(_BY_INDEX, (begin, low, wanted, limit - len(found)))
        found += (MessageId(row[0]) for row in rest)
    return Walk(found, found[-1] if len(found) == limit else None)


def _index(session: Session, which: str, params: Sequence[Any]) -> None:
    documents = session.rows(_DOCUMENTS.format(which), params)
    session.run_many(_PUT, [(row[0], sorted(set(_lexemes(row)))) for row in documents])


def _lexemes(row: Row) -> Iterator[str]:
    _, sender, recipients, subject, ident, tag, statuses, states, server, stream = row
    for field, text in zip(_FIELDS, (sender, recipients, subject, ident, tag), strict=True):
        yield from (LETTERS[field] + word[:MAX_WORD] for word in words(text or ""))
    for status in (statuses or "").split("\n"):
        if status:
            reply = " ".join(str(part) for part in msgspec.json.decode(status))
            yield from (LETTERS[SearchField.REPLY] + word[:MAX_WORD] for word in words(reply))
    yield from (FACET + facet for facet in facets_of(states or "", server, stream))


def _trim(session: Session, before: int) -> int:
    return session.run(
        "DELETE FROM search WHERE id IN (SELECT id FROM search WHERE id < ? AND NOT EXISTS"
        " (SELECT 1 FROM message WHERE message.id = search.id) ORDER BY id LIMIT ?)",
        (before, TRIMMED),
    )


def _is_idle(session: Session, until: int) -> bool:
    """Nothing has happened that the index does not know: no row needs locking."""
    progress = _progress(session)
    if progress is None or progress.is_building:
        return False
    return not session.rows("SELECT 1 FROM event WHERE id >= ? AND id < ? LIMIT 1", (progress.events, until))


def _locked(session: Session, until: int) -> Progress:
    """The row that says how far all have come, ours till the commit. An index of another version is emptied."""
    fresh = Progress(0, until, until)
    sql = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
    session.run(sql, (_MARK, _text(fresh)))
    rows = session.rows("SELECT value FROM meta WHERE name = ? FOR UPDATE", (_MARK,))
    progress = _progress_of(rows[0][0])
    if progress is not None:
        return progress
    session.run("TRUNCATE search")
    return fresh


def _progress(connection: Connection) -> Progress | None:
    rows = connection.rows("SELECT value FROM meta WHERE name = ?", (_MARK,))
    return _progress_of(rows[0][0]) if rows else None


def _text(progress: Progress) -> str:
    return " ".join(map(str, (VERSION, *progress)))


def _progress_of(text: str) -> Progress | None:
    """None when another version wrote it."""
    version, *numbers = map(int, text.split())
    return Progress(*numbers) if version == VERSION else None
