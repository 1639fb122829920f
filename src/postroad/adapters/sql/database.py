"""The store port over an engine: transaction functions, the two doors, reserves. `open_database` chooses the engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.adapters.cores import roam
from postroad.adapters.sql import upkeep
from postroad.adapters.sql.connection import Connection, Fault
from postroad.adapters.sql.engine import Engine
from postroad.adapters.sql.migrate import Schema, found_in, migrate, refuse_newer, refuse_older
from postroad.adapters.sql.names import NameCaches
from postroad.adapters.sql.reserve import BALLAST, Reserve
from postroad.adapters.sql.tx import SqlTx
from postroad.adapters.sql.units import AcceptUnit, AppendUnit, GroupQueue, OutcomeUnit, Unit, WorkUnit
from postroad.adapters.sql.writer import RECOVER_EVERY, Writer
from postroad.config.schema import Limits, Storage
from postroad.ports.clock import Clock
from postroad.ports.ids import Uid
from postroad.ports.store import (
    Acceptance,
    Accepted,
    Lane,
    LedgerFinding,
    MailboxAppend,
    Outcomes,
    StoreUnavailable,
    Tx,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

DATABASE_FILE = "postroad.db"
_READERS = 4


class Database:
    """Implements ports.store.Store. Made on the loop's thread; `start` before use, `close` at the end."""

    def __init__(
        self,
        engine: Engine,
        blobs: SegmentBlobs,
        clock: Clock,
        reserve: Reserve,
        *,
        read_only: bool = False,
        schema: Schema | None = None,
        recover_every: float = RECOVER_EVERY,
    ) -> None:
        self.engine = engine
        self.blobs = blobs
        self._clock = clock
        self._reserve = reserve
        self._read_only = read_only
        self._schema = schema or Schema()
        self._recover_every = recover_every
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader", initializer=roam)
        self._writers: list[Writer] = []
        self._queue: GroupQueue | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Open, check, migrate. Raises StoreUnavailable with what to change."""
        self._loop = asyncio.get_running_loop()
        problems = await self._in_thread(self._told(self.engine.problems))
        if problems:
            raise StoreUnavailable("; ".join(problems))
        if self._read_only:
            await self._in_thread(self._told(lambda: self.engine.read(self._check_schema)))
            return
        await self._in_thread(self._told(self._migrate))
        await self._in_thread(self.blobs.prepare)
        self._reserve.keep_ballast()
        queue = self._queue = GroupQueue(self._loop)
        for _ in range(self.engine.writers):
            writer = Writer(
                queue,
                engine=self.engine,
                blobs=self.blobs,
                reserve=self._reserve,
                loop=self._loop,
                now=self._clock.now,
                recover_every=self._recover_every,
            )
            self._writers.append(writer)
            writer.start()

    async def close(self) -> None:
        """What waits is still written; then everything is closed."""
        if self._queue is not None:  # it is false while it is empty
            self._queue.close()
            for writer in self._writers:
                await self._in_thread(writer.join)
        await asyncio.get_running_loop().run_in_executor(None, self._readers.shutdown)
        self.engine.close()
        await asyncio.get_running_loop().run_in_executor(None, self.blobs.close)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, function)

    def _migrate(self) -> None:
        session = self.engine.open_session()
        try:
            migrate(session, self._schema)
        finally:
            session.close()

    def _check_schema(self, connection: Connection) -> None:
        found = found_in(connection)
        refuse_newer(found, self._schema)
        refuse_older(found, self._schema)

    # --- ports.store.Store ---

    async def read(self, function: Callable[[Tx], T]) -> T:
        return await self._in_thread(
            self._told(lambda: self.engine.read(lambda connection: function(self._tx(connection))))
        )

    def _told(self, function: Callable[[], T]) -> Callable[[], T]:
        """With the database's own errors as StoreUnavailable."""

        def call() -> T:
            try:
                return function()
            except Exception as error:
                if self.engine.fault(error) is Fault.OWN:
                    raise
                raise StoreUnavailable(str(error)) from error

        return call

    def _tx(self, connection: Connection) -> SqlTx:
        return SqlTx(connection, NameCaches(), self._now)

    def _now(self) -> datetime:
        return self._clock.now()

    async def write(self, function: Callable[[Tx], T], *, lane: Lane = Lane.NORMAL) -> T:
        queue, loop = self._open()
        future: asyncio.Future[T] = loop.create_future()
        queue.put(WorkUnit(function, future), lane)
        return await future

    def accept(self, acceptance: Acceptance) -> Awaitable[Accepted]:
        queue, loop = self._open()
        future: asyncio.Future[Accepted] = loop.create_future()
        queue.put(AcceptUnit(acceptance, future))
        return future

    def accept_all(
        self, acceptances: Sequence[Acceptance], then: Callable[[Tx], None] | None = None
    ) -> list[Awaitable[Accepted]]:
        queue, loop = self._open()
        units: list[Unit] = [AcceptUnit(acceptance, loop.create_future()) for acceptance in acceptances]
        futures: list[Awaitable[Accepted]] = [unit.future for unit in units]
        if then is not None:
            last = WorkUnit(then, loop.create_future())
            last.future.add_done_callback(_looked_at)
            units.append(last)
        queue.put_together(units)
        return futures

    def append(self, append: MailboxAppend) -> Awaitable[Uid]:
        queue, loop = self._open()
        future: asyncio.Future[Uid] = loop.create_future()
        queue.put(AppendUnit(append, future))
        return future

    def outcomes(self, outcomes: Outcomes) -> Awaitable[int]:
        queue, loop = self._open()
        future: asyncio.Future[int] = loop.create_future()
        queue.put(OutcomeUnit(outcomes, future))
        return future

    def _open(self) -> tuple[GroupQueue, asyncio.AbstractEventLoop]:
        if self._queue is None or self._loop is None or self._queue.closed:
            raise StoreUnavailable("the store is not open for writing")
        return self._queue, self._loop

    def has_room(self, size: int) -> bool:
        return self._reserve.has_room(size)

    @property
    def writer_threads(self) -> list[int]:
        """As the system numbers them."""
        return [writer.thread for writer in self._writers]

    @property
    def backlog(self) -> int:
        return len(self._queue) if self._queue else 0

    @property
    def stop_dialling(self) -> bool:
        """Outcomes cannot be written at present: an attempt now could not be recorded."""
        return any(writer.in_trouble for writer in self._writers)

    async def sweep(self, before: datetime) -> int:
        """Forget content made before then that no row names, and files in which nothing lives. How many of both.

        `before` lies a day back: the commit of newer content may still be under way.
        """
        swept = await upkeep.sweep(self, self.blobs, before)
        return swept.blobs + swept.files

    async def deep_check(self) -> list[LedgerFinding]:
        """Compare rows with what lies on the disk, all of it."""
        return await upkeep.deep_check(self, self.blobs)

    def figures(self) -> Mapping[str, int]:
        """For metrics: `backlog`, and what the engine counts (`wal_bytes`)."""
        return {"backlog": self.backlog, **self.engine.figures()}


def _looked_at(future: asyncio.Future[None]) -> None:
    """Nobody waits for what rides behind a batch; that it failed is worth a line."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.warning("what goes with a batch was not written: %s", error)


def open_database(
    storage: Storage,
    data_dir: Path,
    clock: Clock,
    limits: Limits,
    *,
    read_only: bool = False,
    ballast: int = BALLAST,
) -> Database:
    """The store that the settings name, with its blobs; not yet started.

    `read_only` is for commands beside a running server: it makes and changes nothing in `data_dir`.
    """
    blobs = SegmentBlobs(data_dir, read_only=read_only)
    is_sqlite = storage.database == "sqlite"
    reserve = Reserve(
        data_dir,
        blobs.files,
        min_free=limits.min_free,
        ballast=ballast if is_sqlite and not read_only else 0,
        monotonic=clock.monotonic,
    )
    engine: Engine
    if is_sqlite:
        from postroad.adapters.sql.sqlite.engine import SqliteEngine

        engine = SqliteEngine(data_dir / DATABASE_FILE, read_only=read_only)
    else:
        from postroad.adapters.sql.postgres.engine import PostgresEngine

        engine = PostgresEngine(storage.database)
    return Database(engine, blobs, clock, reserve, read_only=read_only)
