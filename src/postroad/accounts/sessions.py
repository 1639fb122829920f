"""Sessions of the console as requests meet them: a cookie's secret in, the session's row out, mostly from memory.

The memory is dropped whenever tenants change (signal `config`) and in any case after half a minute, since another node
may have ended the session. Times of last use are written to the minute.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from postroad.accounts.lastuse import LastUse
from postroad.ports.admins import SessionRecord
from postroad.ports.clock import Clock
from postroad.ports.ids import AdminId, SessionId
from postroad.ports.random import Random
from postroad.ports.signals import Signals
from postroad.ports.store import Store

LASTS = timedelta(days=30)  # from its beginning, however much it is used
IDLE = timedelta(days=7)  # from its last use
_REMEMBERED_SECONDS = 30.0
_MAX_REMEMBERED = 1000
_MAX_SECRET = 100


class Sessions:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock, signals: Signals, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._known: dict[bytes, tuple[SessionRecord, float]] = {}
        self._generation = 0
        self._last_use: LastUse[SessionId] = LastUse(store, lambda tx, times: tx.sessions.seen(times))
        signals.listen("config", self.forget)

    def new_secret(self) -> str:
        return base64.urlsafe_b64encode(self._random.token(30)).decode()

    @staticmethod
    def digest(secret: str) -> bytes:
        """What a cookie is kept and found by."""
        return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

    async def get(self, secret: str) -> SessionRecord | None:
        """The session, when it has neither ended nor run out; using it makes it last."""
        if not secret or len(secret) > _MAX_SECRET:
            return None
        digest, now = self.digest(secret), self._clock.now()
        record = self._remembered(digest)
        if record is None:
            generation = self._generation
            record = await self._store.read(lambda tx: tx.sessions.by_digest(digest))
            if record is None:
                return None
            if generation == self._generation:
                self._remember(digest, record)
        if not _lives(record, now):
            return None
        self._last_use.note(record.id, record.seen, now)
        return record

    async def of(self, admin: AdminId) -> Sequence[SessionRecord]:
        now = self._clock.now()
        records = await self._store.read(lambda tx: tx.sessions.list(admin))
        return [record for record in records if _lives(record, now)]

    def _remembered(self, digest: bytes) -> SessionRecord | None:
        found = self._known.get(digest)
        return found[0] if found is not None and found[1] > self._clock.monotonic() else None

    def _remember(self, digest: bytes, record: SessionRecord) -> None:
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[digest] = (record, self._clock.monotonic() + _REMEMBERED_SECONDS)

    def forget(self) -> None:
        """Some session may have ended."""
        self._generation += 1
        self._known.clear()

    async def close(self) -> None:
        await self._last_use.close()


def _lives(record: SessionRecord, now: datetime) -> bool:
    return now - record.created < LASTS and now - record.seen < IDLE
