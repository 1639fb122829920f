"""The role `janitor`: what [retention] no longer keeps is deleted, in slices, and content that no row
names is swept.

Slices go in the store's low lane with a breath between them, so that accepting mail never waits for them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from postroad.accounts.counts import FORGET
from postroad.accounts.logins import KNOWN
from postroad.accounts.sessions import IDLE
from postroad.adapters.sql.database import Database
from postroad.config.schema import Retention
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.store import Lane, StoreUnavailable, Tx

EVERY = timedelta(hours=1)
SWEEP_AGE = timedelta(days=1)  # content younger than this may belong to a message that is being accepted
BREATH = 0.05  # seconds between two slices
FIRST_LOOK = 60.0  # seconds after the start

_log = log.get("janitor")


class Janitor:
    """One for a process with the role. Whoever starts `run` as a task ends it."""

    def __init__(self, store: Database, clock: Clock, retention: Retention) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def run(self) -> None:
        """Clean up now and then. Ends when it is cancelled."""
        await self._clock.sleep(FIRST_LOOK)
        while True:
            try:
                await self.clean()
            except StoreUnavailable as error:
                _log.warning("cleaning up waits for the store", error=str(error))
            await self._clock.sleep(EVERY.total_seconds())

    async def clean(self) -> dict[str, int]:
        """One round; how much of each was deleted."""
        now, kept = self._clock.now(), self._retention
        dialogues, events, refusals = (now - timedelta(days=d) for d in (kept.dialogues, kept.events, kept.refusals))
        audit = now - timedelta(days=kept.audit)
        deleted = {
            "attempts": await self._until_done(lambda tx: tx.retention.attempts(dialogues)),
            "messages": await self._until_done(lambda tx: tx.retention.messages(events)),
            "events": await self._until_done(lambda tx: tx.retention.events(events)),
            "refusals": await self._until_done(lambda tx: tx.retention.refusals(refusals)),
            "audit": await self._until_done(lambda tx: tx.retention.audit(audit)),
            "idempotency": await self._until_done(lambda tx: tx.retention.idempotency(now)),
            "logins": await self._until_done(
                lambda tx: tx.retention.logins(sessions_before=now - IDLE, failures_before=now - KNOWN, now=now)
            ),
            "senders": await self._until_done(lambda tx: tx.senders.forget_counts(now - FORGET)),
            "greylist": await self._until_done(lambda tx: tx.greylist.forget(now)),
            "mailboxes": await self._until_done(lambda tx: tx.retention.deleted_mailboxes()),
            "contents": await self._store.sweep(now - SWEEP_AGE),
        }
        if any(deleted.values()):
            _log.info("cleaned up", **deleted)
        return deleted

    async def _until_done(self, part: Callable[[Tx], int]) -> int:
        """Slice after slice, until one finds nothing."""
        total = 0
        while number := await self._store.write(part, lane=Lane.LOW):
            total += number
            await self._clock.sleep(BREATH)
        return total
