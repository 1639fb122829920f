"""The rows for reading, beside a running server or without one: as little as that takes, for each command pays it."""

from __future__ import annotations

from postroad.adapters.clock import SystemClock
from postroad.adapters.sql.database import DATABASE_FILE, Database, open_database
from postroad.config.schema import Settings
from postroad.ports.store import Refused


async def open_rows(settings: Settings) -> Database:
    """Open for reading. Raises Refused when there is nothing to read, StoreUnavailable."""
    if settings.storage.database == "sqlite" and not (settings.data_dir / DATABASE_FILE).exists():
        raise Refused(f"there is no database in {settings.data_dir} yet; `postroad domain add NAME` begins one")
    store = open_database(settings.storage, settings.data_dir, SystemClock(), settings.limits, read_only=True)
    try:
        await store.start()
    except BaseException:
        await store.close()
        raise
    return store
