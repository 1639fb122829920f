"""Times of last use, which rows keep to the minute: written behind, in the low lane, many in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from postroad.observe import log
from postroad.ports.store import Lane, Store, StoreUnavailable, Tx

K = TypeVar("K", bound=int)

EVERY = timedelta(minutes=1)
_REMEMBERED = 10_000

_log = log.get("accounts")


class LastUse(Generic[K]):
    """One for each table. `close` before the store closes."""

    def __init__(self, store: Store, write: Callable[[Tx, Sequence[tuple[K, datetime]]], None]) -> None:
        self._store = store
        self._write = write
        self._noted: dict[K, datetime] = {}
        self._waiting: dict[K, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, key: K, last: datetime | None, now: datetime) -> None:
        """`key` is used now, and its row said `last`."""
        known = self._noted.get(key, last)
        if known is not None and now - known < EVERY:
            return
        if len(self._noted) >= _REMEMBERED:
            self._noted.clear()
        self._noted[key] = self._waiting[key] = now
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                times, self._waiting = list(self._waiting.items()), {}
                await self._store.write(lambda tx, times=times: self._write(tx, times), lane=Lane.LOW)  # type: ignore[misc]
        except StoreUnavailable as error:
            _log.debug("times of last use were not written", error=str(error))
        finally:
            self._task = None

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._task is not None:
            await self._task
