"""How much waited when: a sample every few minutes, for the picture over time, and who takes the mail of which
destination, for summaries and choices. Both are small rows beside the way of the mail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.queueing import QueueSample
from postroad.ports.store import Lane, Store, StoreUnavailable, Tx
from postroad.queue.groups import Groups

EVERY = 300.0  # seconds between two samples
ROUND = 30.0  # seconds between two looks at what was learned of destinations
KEPT = timedelta(days=30)
PAGE = 200

_log = log.get("queue")


class History:
    """One for a process."""

    def __init__(self, store: Store, groups: Groups, clock: Clock) -> None:
        self._store = store
        self._groups = groups
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        sampled = -EVERY
        while True:
            try:
                await self.write_names()
                if self._clock.monotonic() - sampled >= EVERY:
                    sampled = self._clock.monotonic()
                    await self.sample()
            except StoreUnavailable as error:
                _log.warning("figures of the queue were not written", error=str(error))
            await self._clock.sleep(ROUND)

    async def sample(self) -> None:
        now = self._clock.now()
        await self._store.write(lambda tx: tx.deliveries.take_sample(now, now - KEPT), lane=Lane.LOW)

    async def write_names(self) -> None:
        """Who takes whose mail, as far as it was found out since the last time."""
        learned = self._groups.take_learned()
        for start in range(0, len(learned), PAGE):
            page = learned[start : start + PAGE]
            await self._store.write(_names(page), lane=Lane.LOW)


def _names(page: Sequence[tuple[str, str]]) -> Callable[[Tx], None]:
    return lambda tx: tx.deliveries.name_providers(page)


async def samples(store: Store, clock: Clock, span: timedelta) -> list[QueueSample]:
    """Of the last `span`, in order."""
    since = clock.now() - span
    return await store.read(lambda tx: tx.deliveries.samples(since))
