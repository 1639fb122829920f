"""Which index belongs to which store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from postroad.adapters.sql.database import DATABASE_FILE, Database
from postroad.adapters.sql.sqlite.engine import SqliteEngine
from postroad.config.schema import Retention
from postroad.ports.search import SearchIndex


def open_index(store: Database, data_dir: Path, retention: Retention) -> SearchIndex:
    """The index of a started store; nothing is read or made before it is used."""
    if isinstance(store.engine, SqliteEngine):
        from postroad.adapters.search.sqlite import SqliteIndex

        kept = timedelta(days=retention.events)
        return SqliteIndex(data_dir, data_dir / DATABASE_FILE, store.engine.reading, kept=kept)
    from postroad.adapters.search.postgres import PostgresIndex

    return PostgresIndex(store.engine)
