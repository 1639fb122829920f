"""The search index beside SQLite: FTS5 tables in `search.sqlite`, made from the rows by SQL alone.

The rows are attached read-only, so that a slice of indexing is one statement that holds neither the interpreter's lock
nor a lock on the rows. The index is cut into parts by id, that is by time: a search goes through them from the newest
and ends when its page is full, however many messages there are; and what time takes away goes a part at a time. The
file can be made anew from the rows at any time, and is, when it is missing, damaged or of another version.
"""

# ruff: noqa: S608 - what is put into statements is our own names and numbers

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import apsw

from postroad.adapters.ids import first_id_at
from postroad.adapters.search.progress import EVENTS_A_MESSAGE, KINDS, Progress
from postroad.adapters.search.proposals import MAX_ID, bounds, fts5_expression
from postroad.adapters.search.threads import IndexThreads
from postroad.adapters.search.tokens import tokenizer
from postroad.observe import log
from postroad.ports.ids import MessageId
from postroad.ports.search import Coverage, MessageQuery
from postroad.ports.store import StoreUnavailable

T = TypeVar("T")

FILE = "search.sqlite"
VERSION = 1  # of the tables and of what is indexed how; the file of another one is made anew
SLICE = 500  # messages indexed in one transaction: about 10 ms
PART = 50_000  # messages in one part
PARTS_KEPT = 45  # a part covers at most that share of the time that messages are kept
MIN_WIDTH = timedelta(hours=1)
CARRIED = 2_000  # messages that outlive their part and are taken over by the next one

_DAMAGED = (apsw.CorruptError, apsw.NotADBError, apsw.SQLError)
_SCHEMA = """CREATE TABLE progress (built INTEGER NOT NULL, target INTEGER NOT NULL, events INTEGER NOT NULL);
CREATE TABLE part (
  number INTEGER PRIMARY KEY, first INTEGER NOT NULL, begun INTEGER NOT NULL, last INTEGER NOT NULL,
  docs INTEGER NOT NULL
)"""
_FIELDS = "sender, recipient, subject, ident, tag, reply, facet"
_TABLE = f'CREATE VIRTUAL TABLE {{}} USING fts5({_FIELDS}, content="", contentless_delete=1, tokenize="{{}}")'
_REPLY = " || ' ' || ".join(f"COALESCE(json_extract(d.last_status, '$[{place}]'), '')" for place in range(6))
# The facets are words that nobody writes: s and a state, v and a server, m and a stream in hexadecimal.
_INDEX = f"""INSERT OR REPLACE INTO {{table}} (rowid, {_FIELDS})
SELECT m.id, m.reverse_path || ' ' || m.header_from, group_concat(d.forward_path || ' ' || d.orig, ' '), m.subject,
  m.message_id, m.tag, group_concat({_REPLY}, ' '),
  COALESCE(group_concat('s' || d.state, ' '), '') || COALESCE(' v' || m.server, '') || ' m' || hex(m.stream)
FROM {{source}} LEFT JOIN mail.delivery d ON d.message = m.id WHERE m.id >= ? AND m.id < ? GROUP BY m.id"""
_FROM_ROWS = "mail.message m"
_FROM_TOUCHED = "temp.touched t JOIN mail.message m ON m.id = t.id"

_log = log.get("search")


class SqliteIndex:
    """Implements ports.search.SearchIndex. `reading` keeps the rows' log from beginning anew while they are read."""

    def __init__(
        self,
        data_dir: Path,
        rows: Path,
        reading: Callable[[], AbstractContextManager[None]],
        *,
        kept: timedelta,
        part: int = PART,
        slice_: int = SLICE,
    ) -> None:
        self._path = data_dir / FILE
        self._rows = rows
        self._reading = reading
        self._width = int(max(kept / PARTS_KEPT, MIN_WIDTH).total_seconds() * 1000) << 21  # of ids
        self._part = part
        self._slice = slice_
        self._threads = IndexThreads()
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []
        self._writer: apsw.Connection | None = None
        self._progress: Progress | None = None
        self._rewind = MAX_ID  # events from here on are to be looked at once more
        self._age = 0  # grows when the file is made anew

    # --- searching ---

    async def coverage(self) -> Coverage | None:
        if self._progress is None:
            await self._threads.read(self._load)
        progress = self._progress
        return progress.coverage if progress else None

    async def find(
        self, query: MessageQuery, *, below: MessageId | None, above: MessageId, limit: int
    ) -> list[MessageId] | None:
        expression = fts5_expression(query)
        if not expression:
            return None
        low, high = bounds(query, below, above)
        return await self._threads.read(lambda: self._find(expression, low, high, limit))

    def _find(self, expression: str, low: int, high: int, limit: int) -> list[MessageId] | None:
        try:
            database = self._reader()
            if database is None:
                return None
            database.execute("BEGIN")
            try:
                return self._find_in_parts(database, expression, low, high, limit)
            finally:
                database.execute("ROLLBACK")
        except apsw.Error as error:
            _log.warning("the index cannot be searched", error=str(error))
            return None

    @staticmethod
    def _find_in_parts(database: apsw.Connection, expression: str, low: int, high: int, limit: int) -> list[MessageId]:
        found: list[MessageId] = []
        for number, last in _rows(database, "SELECT number, last FROM part WHERE first < ? ORDER BY first DESC", high):
            if last < low or len(found) >= limit:
                break
            table = f"part_{number}"
            sql = f"SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid < ? AND rowid >= ? ORDER BY rowid DESC"
            rows = _rows(database, f"{sql} LIMIT ?", expression, high, low, limit - len(found))
            found += (MessageId(row[0]) for row in rows)
        return found

    def _reader(self) -> apsw.Connection | None:
        """This thread's connection; None while there is no file."""
        database, age = getattr(self._local, "known", (None, -1))
        if database is None or age != self._age:
            if not self._path.exists():
                return None
            database = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            database.set_busy_timeout(1000)
            database.execute("PRAGMA query_only = 1")
            self._opened.append(database)
            self._local.known = (database, self._age)
        found: apsw.Connection = database
        return found

    def _load(self) -> None:
        """How far the file has come, where somebody else has made it."""
        try:
            database = self._reader()
            if database is not None and database.pragma("user_version") == VERSION:
                self._progress = self._progress or _read(database)
        except apsw.Error as error:
            _log.warning("the index cannot be read", error=str(error))

    # --- following ---

    async def advance(self, until: datetime) -> bool:
        high, back, self._rewind = first_id_at(until), self._rewind, MAX_ID
        return await self._threads.write(lambda: self._told(lambda: self._advance(high, back)))

    def rewind(self, to: datetime) -> None:
        self._rewind = min(self._rewind, first_id_at(to))

    async def trim(self, before: datetime) -> int:
        return await self._threads.write(lambda: self._told(lambda: self._trim(first_id_at(before))))

    async def close(self) -> None:
        await self._threads.close()
        for database in (*self._opened, *([self._writer] if self._writer else ())):
            database.close()

    def _told(self, function: Callable[[], T]) -> T:
        """With the index's own errors as StoreUnavailable; a damaged file is taken away, and made anew next time."""
        try:
            return function()
        except _DAMAGED as error:
            _log.warning("the index is damaged and will be made anew", error=str(error))
            self._remove()
            raise StoreUnavailable(f"the search index is damaged: {error}") from error
        except (apsw.Error, OSError) as error:
            raise StoreUnavailable(f"the search index: {error}") from error

    def _advance(self, until: int, back: int) -> bool:
        database = self._writer or self._open(until)
        assert self._progress is not None
        progress = self._progress.rewound(back)
        with self._reading(), database:
            step = self._build(database, progress) if progress.is_building else self._follow(database, progress, until)
        self._progress, more = step  # only now does a search rely on it
        return more

    def _open(self, until: int) -> apsw.Connection:
        """The file, made anew where it is missing or of another version."""
        database = self._connect()
        if database.pragma("user_version") != VERSION:
            database.close()
            self._remove()
            database = self._connect()
            with database:
                database.execute(_SCHEMA)
                _rows(database, "INSERT INTO progress VALUES (0, ?, ?)", until, until)
                database.pragma("user_version", VERSION)
            _log.info("the index is being made from the rows")
        database.execute("CREATE TEMP TABLE touched (id INTEGER PRIMARY KEY)")
        self._progress = _read(database)
        self._writer = database
        return database

    def _connect(self) -> apsw.Connection:
        with suppress(OSError):  # for our eyes alone, like the rows; what is wrong with it shows when it is opened
            os.close(os.open(self._path, os.O_CREAT | os.O_CLOEXEC, 0o600))
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        database = apsw.Connection(str(self._path), flags=flags)
        try:
            database.set_busy_timeout(5000)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # whole after a power cut, though perhaps older
            # Read-only, so that beginning a transaction here takes no lock there.
            database.execute("ATTACH ? AS mail", (f"{self._rows.absolute().as_uri()}?mode=ro",))
        except BaseException:
            database.close()
            raise
        return database

    def _remove(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._progress = None
        self._age += 1
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    # --- one slice, in a transaction ---

    def _build(self, database: apsw.Connection, progress: Progress) -> tuple[Progress, bool]:
        """From the messages themselves, by id, up to those that their events will tell of."""
        low = progress.built
        ((last, count),) = _rows(
            database,
            "SELECT MAX(id), COUNT(*) FROM (SELECT id FROM mail.message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)",
            low,
            progress.target,
            self._slice,
        )
        if count:
            part = self._newest_part(database, low, last)
            self._index(database, part, _FROM_ROWS, low, last + 1)
            _rows(database, "UPDATE part SET last = ?, docs = docs + ? WHERE number = ?", last, count, part)
        progress = progress._replace(built=progress.target if count < self._slice else last + 1)
        _write(database, progress)
        if not progress.is_building:
            _log.info("the index is complete")
        return progress, True

    def _follow(self, database: apsw.Connection, progress: Progress, until: int) -> tuple[Progress, bool]:
        """Messages of which something was recorded; each is indexed anew."""
        low = progress.events
        if until <= low:
            return progress, False
        cut = _rows(
            database,
            "SELECT id FROM mail.event WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?",
            low,
            until,
            self._slice * EVENTS_A_MESSAGE,
        )
        high = cut[0][0] if cut else until
        _rows(
            database,
            "INSERT OR IGNORE INTO temp.touched SELECT message FROM mail.event WHERE id >= ? AND id < ?"
            f" AND kind IN ({KINDS}) AND message IS NOT NULL",
            low,
            high,
        )
        touched = database.changes()
        if touched:
            self._take_in(database)
            _rows(database, "DELETE FROM temp.touched")
        progress = progress._replace(events=high)
        if touched or cut:  # nothing is written while nothing happens
            _write(database, progress)
        return progress, bool(cut)

    def _take_in(self, database: apsw.Connection) -> None:
        """What was touched, each into the part that its id belongs to."""
        ((first, last),) = _rows(database, "SELECT MIN(id), MAX(id) FROM temp.touched")
        self._newest_part(database, first, last)
        end = MAX_ID
        for number, begin, known in _rows(database, "SELECT number, first, last FROM part ORDER BY first DESC"):
            self._index(database, number, _FROM_TOUCHED, begin, end)
            ((fresh, newest),) = _rows(
                database, "SELECT COUNT(*), MAX(id) FROM temp.touched WHERE id > ? AND id < ?", known, end
            )
            if fresh:
                _rows(database, "UPDATE part SET docs = docs + ?, last = ? WHERE number = ?", fresh, newest, number)
            if first >= begin:
                return
            end = begin

    @staticmethod
    def _index(database: apsw.Connection, part: int, source: str, low: int, high: int) -> None:
        _rows(database, _INDEX.format(table=f"part_{part}", source=source), low, high)

    def _newest_part(self, database: apsw.Connection, low: int, last: int) -> int:
        """The part for what is new: another one where the newest is full, or covers too much time."""
        newest = _rows(database, "SELECT number, begun, last, docs FROM part ORDER BY first DESC LIMIT 1")
        if not newest:
            return self._new_part(database, 1, first=0, begun=low)
        number, begun, known, docs = newest[0]
        is_full = docs >= self._part or last - begun >= self._width
        begin = max(low, known + 1)
        return self._new_part(database, number + 1, begin, begin) if is_full and last > known else int(number)

    @staticmethod
    def _new_part(database: apsw.Connection, number: int, first: int, begun: int) -> int:
        _rows(database, _TABLE.format(f"part_{number}", tokenizer()))
        _rows(database, "INSERT INTO part VALUES (?, ?, ?, ?, 0)", number, first, begun, begun)
        return number

    def _trim(self, before: int) -> int:
        """Drop the parts whose time is over."""
        database, dropped = self._writer, 0
        if database is None or self._progress is None or self._progress.is_building:
            return 0
        while self._drop_oldest(database, before):
            dropped += 1
        return dropped

    def _drop_oldest(self, database: apsw.Connection, before: int) -> bool:
        """The few messages that outlive their part go into the one behind it; where they are many, it stays."""
        with self._reading(), database:
            parts = _rows(database, "SELECT number, first, last FROM part ORDER BY first LIMIT 2")
            if len(parts) < 2 or parts[0][2] >= before:
                return False
            (old, first, _), (following, end, _) = parts
            left = "SELECT COUNT(*) FROM (SELECT 1 FROM mail.message WHERE id >= ? AND id < ? LIMIT ?)"
            ((count,),) = _rows(database, left, first, end, CARRIED + 1)
            if count > CARRIED:
                return False
            self._index(database, following, _FROM_ROWS, first, end)
            _rows(database, "DELETE FROM part WHERE number = ?", old)
            _rows(database, "UPDATE part SET first = ?, docs = docs + ? WHERE number = ?", first, count, following)
            _rows(database, f"DROP TABLE part_{old}")
        return True


def _write(database: apsw.Connection, progress: Progress) -> None:
    _rows(database, "UPDATE progress SET built = ?, target = ?, events = ?", *progress)


def _read(database: apsw.Connection) -> Progress:
    return Progress(*_rows(database, "SELECT built, target, events FROM progress")[0])


def _rows(database: apsw.Connection, sql: str, *params: int | str) -> list[tuple[Any, ...]]:
    return database.execute(sql, params).fetchall()
