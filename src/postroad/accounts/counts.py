"""The counts of this node's senders: in memory, written now and then in the low lane, read again at the start.

A crash loses the last seconds' counts at most; an orderly stop loses none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from postroad.accounts.allowance import Tally
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.senders import SenderCount, SenderKey
from postroad.ports.store import Lane, Store, StoreUnavailable

FLUSH_SECONDS = 5.0
MAX_ROWS = 200  # of one write
FORGET = timedelta(days=90)  # who has sent nothing since then is a new sender

_log = log.get("senders")


class SenderCounts:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock, node: str) -> None:
        self._store = store
        self._clock = clock
        self._node = node
        self._tallies: dict[SenderKey, Tally] = {}
        self._changed: set[SenderKey] = set()
        self._loaded = False

    def now(self) -> int:
        return int(self._clock.now().timestamp())

    def tally(self, key: SenderKey) -> Tally:
        """To look at."""
        return self._tallies.get(key) or Tally()

    def change(self, key: SenderKey) -> Tally:
        """To count in: it is written soon."""
        self._changed.add(key)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        return tally

    async def load(self) -> None:
        """What was counted before the last stop; only the first time. Raises StoreUnavailable."""
        if self._loaded:
            return
        for count in await self._store.read(lambda tx: tx.senders.counts(self._node)):
            self._tallies.setdefault(count.key, Tally.decode(count.counts))
        self._loaded = True

    async def flush(self) -> None:
        """Write what has changed. Raises StoreUnavailable, and keeps it then."""
        while self._changed:
            keys = sorted(self._changed)[:MAX_ROWS]
            self._changed.difference_update(keys)
            at = datetime.fromtimestamp(self.now(), UTC)
            rows = [SenderCount(key, at, self._tallies[key].encode()) for key in keys]
            try:
                await self._store.write(lambda tx, rows=rows: tx.senders.put_counts(self._node, rows), lane=Lane.LOW)  # type: ignore[misc]
            except StoreUnavailable:
                self._changed.update(keys)
                raise

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except StoreUnavailable as error:
                _log.warning("counts of senders wait for the store", error=str(error))
