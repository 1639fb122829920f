"""A search index for tests, over a store on either engine, so small that a few messages fill several parts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from postroad.adapters.search.sqlite import SqliteIndex
from postroad.adapters.sql.database import DATABASE_FILE, Database
from postroad.adapters.sql.sqlite.engine import SqliteEngine
from postroad.ports.search import SearchIndex

SLICE = 3  # messages
PART = 7


def small_index(store: Database, directory: Path, *, kept: timedelta = timedelta(days=45)) -> SearchIndex:
    """The index of a started store; the caller closes it."""
    if isinstance(store.engine, SqliteEngine):
        rows = directory / DATABASE_FILE
        return SqliteIndex(directory, rows, store.engine.reading, kept=kept, part=PART, slice_=SLICE)
    from postroad.adapters.search.postgres import PostgresIndex

    return PostgresIndex(store.engine, slice_=SLICE)


async def catch_up(index: SearchIndex, until: datetime) -> int:
    """Until there is nothing more to take in; how many slices it took."""
    slices = 1
    while await index.advance(until):
        slices += 1
    return slices
