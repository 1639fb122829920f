"""The counts of this node's senders: in memory, written now and then in the low lane, read again at the start.

A crash loses the last seconds' counts at most; an orderly stop loses none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from postroad.accounts.allowance import Tally
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.senders import SenderCount, SenderKey, SenderKind
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
        self.accounts: dict[int, Tally] = {}
        self.tokens: dict[int, Tally] = {}
        self._loaded = False

    def now(self) -> int:
        return int(self._clock.now().timestamp())

    def of(self, key: SenderKey) -> Tally:
        """To count in: what has changed is written soon. Streams and `all` have none that is kept."""
        tallies = self._kind(key.kind)
        tally = tallies.get(key.subject)
        if tally is None:
            tally = tallies[key.subject] = Tally()
        return tally

    def _kind(self, kind: SenderKind) -> dict[int, Tally]:
        return {SenderKind.ACCOUNT: self.accounts, SenderKind.TOKEN: self.tokens}.get(kind, {})

    async def load(self) -> None:
        """What was counted before the last stop; only the first time. Raises StoreUnavailable."""
        if self._loaded:
            return
        for count in await self._store.read(lambda tx: tx.senders.counts(self._node)):
            self._kind(count.key.kind).setdefault(count.key.subject, Tally.decode(count.counts))
        self._loaded = True

    async def flush(self) -> None:
        """Write what has changed. Raises StoreUnavailable, and keeps it then."""
        changed = [
            (SenderKey(kind, subject), tally)
            for kind in (SenderKind.ACCOUNT, SenderKind.TOKEN)
            for subject, tally in self._kind(kind).items()
            if tally.changed
        ]
        for start in range(0, len(changed), MAX_ROWS):
            await self._write(changed[start : start + MAX_ROWS])

    async def _write(self, changed: Sequence[tuple[SenderKey, Tally]]) -> None:
        at = datetime.fromtimestamp(self.now(), UTC)
        rows = [SenderCount(key, at, tally.encode()) for key, tally in changed]
        for _, tally in changed:
            tally.changed = False
        try:
            await self._store.write(lambda tx: tx.senders.put_counts(self._node, rows), lane=Lane.LOW)
        except StoreUnavailable:
            for _, tally in changed:
                tally.changed = True
            raise

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except StoreUnavailable as error:
                _log.warning("counts of senders wait for the store", error=str(error))
