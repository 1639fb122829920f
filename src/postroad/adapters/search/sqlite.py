"""The search index beside SQLite: FTS5 in a file of its own, `search.sqlite`.

A search goes through its parts from the newest and ends when its page is full, however many messages there are; what
time takes away goes a part at a time. The file can be made anew from the rows at any time, and is, when it is missing,
damaged or of another version.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import apsw

from postroad.adapters.ids import first_id_at, ids_in
from postroad.adapters.search import parts
from postroad.adapters.search.hunting import hunt
from postroad.adapters.search.progress import Progress
from postroad.adapters.search.proposals import MAX_ID, bounds, facet_expression, terms_of
from postroad.adapters.search.threads import IndexThreads
from postroad.observe import log
from postroad.ports.ids import MessageId
from postroad.ports.search import Coverage, MessageQuery, Walk
from postroad.ports.store import StoreUnavailable

T = TypeVar("T")

FILE = "search.sqlite"
SLICE = 500  # messages indexed in one transaction: about 10 ms
PART = 50_000  # messages in one part
PARTS_KEPT = 30  # a part covers at most that share of the time that messages are kept
MIN_WIDTH = timedelta(hours=1)


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
        width = max(kept / PARTS_KEPT, MIN_WIDTH)
        self._sizes = parts.Sizes(part, ids_in(width), slice_)
        self._threads = IndexThreads()
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []
        self._writer: apsw.Connection | None = None
        self._progress: Progress | None = None
        self._rewind = MAX_ID  # events from here on are to be looked at once more
        self._spoilt = False  # a search has found it damaged
        self._age = 0  # grows when the file is made anew

    # --- searching ---

    async def coverage(self) -> Coverage | None:
        if self._progress is None:
            await self._threads.read(self._load)
        progress = self._progress
        return progress.coverage if progress else None

    async def find(
        self, query: MessageQuery, *, below: MessageId | None, above: MessageId, limit: int, patience: float
    ) -> Walk | None:
        terms = terms_of(query)
        if not terms and not facet_expression(query):
            return None
        low, high = bounds(query, below, above)
        return await self._threads.read(
            lambda: self._find(lambda it: hunt(it, query, terms, low=low, high=high, limit=limit, patience=patience))
        )

    def _find(self, function: Callable[[apsw.Connection], Walk]) -> Walk | None:
        """In one state of the file. What goes wrong here shows to the one who writes, who mends it."""
        try:
            database = self._reader()
            if database is None:
                return None
            database.execute("BEGIN")
            try:
                return function(database)
            finally:
                database.execute("ROLLBACK")
        except apsw.Error as error:
            self._spoilt = self._spoilt or _is_damage(error)
            _log.warning("the index cannot be searched", error=str(error))
            return None

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
            if database is not None and database.pragma("user_version") == parts.VERSION:
                self._progress = self._progress or parts.read_progress(database)
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
        except (apsw.Error, OSError) as error:
            if _is_damage(error):
                _log.warning("the index is damaged and will be made anew", error=str(error))
                self._remove()
            raise StoreUnavailable(f"the search index: {error}") from error

    def _advance(self, until: int, back: int) -> bool:
        if self._spoilt:
            self._remove()
        database = self._writer or self._open(until)
        assert self._progress is not None
        progress = self._progress.rewound(back)
        with self._reading(), database:
            if progress.is_building:
                progress, more = parts.build(database, progress, self._sizes)
            else:
                progress, more = parts.follow(database, progress, until, self._sizes)
        self._progress = progress  # only now does a search rely on it
        return more

    def _open(self, until: int) -> apsw.Connection:
        """The file, made anew where it is missing or of another version."""
        database = self._connect()
        if database.pragma("user_version") != parts.VERSION:
            database.close()
            self._remove()
            database = self._connect()
            parts.create(database, until)
            _log.info("the index is being made from the rows")
        parts.prepare(database)
        self._progress = parts.read_progress(database)
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
        self._spoilt = False
        self._age += 1
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _trim(self, before: int) -> int:
        database, dropped = self._writer, 0
        if database is None or self._progress is None or self._progress.is_building:
            return 0
        while True:
            with self._reading(), database:
                gone = parts.drop_oldest(database, before)
            if not gone:
                return dropped
            dropped += 1


def _is_damage(error: Exception) -> bool:
    """A file that only making it anew can help. What a query may cause is none."""
    return isinstance(error, apsw.CorruptError | apsw.NotADBError) or str(error).startswith("no such table: part_")
