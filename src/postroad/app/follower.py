"""What follows the mail at a distance: figures by minute and hour, and the search index. Runs with the role `janitor`.

Nothing of this stands in the way of mail: it is read back from the rows, seconds later, in slices, by threads that
stand back. The index waits for a quiet moment, but not longer than a minute of mail or a few thousand messages.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from postroad.adapters.sql.database import Database
from postroad.config.schema import Retention
from postroad.events.stats import GRACE, RollUp
from postroad.observe import log
from postroad.observe.metrics import COUNTERS
from postroad.ports.clock import Clock
from postroad.ports.search import SearchIndex
from postroad.ports.store import StoreUnavailable

PAUSE = 2.0  # seconds between two looks
AFTER_FAILURE = 60.0  # seconds of rest after what must not happen
BREATH = 0.05  # seconds between two slices of deleting
QUIET = 20  # messages accepted and attempts made in a second: below that there is time to index
BEHIND = 5_000  # messages not indexed: then it goes on, quiet or not
LATE = 60.0  # seconds without a look at what is new
RESTED = 3.0  # a slice is followed by that many times its length of rest, while mail flows
TRIM_EVERY = 3600.0  # seconds
FIRST_TRIM = 120.0  # behind the janitor's first round, which deletes the messages

_log = log.get("follower")


class Follower:
    """One for a process with the role. Whoever starts `run` as a task ends it; a slice under way is then dropped."""

    def __init__(self, store: Database, clock: Clock, index: SearchIndex, retention: Retention) -> None:
        self._store = store
        self._clock = clock
        self._index = index
        self._retention = retention
        self._figures = RollUp(store, clock)
        self._trouble: datetime | None = None  # since when outcomes may be committed late
        self._busy = _Busy(clock)
        self._waits = False
        self._trim_at = clock.monotonic() + FIRST_TRIM

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self._clock.sleep(PAUSE)
            try:
                await self.look()
            except StoreUnavailable as error:
                if not self._waits:  # once, however long it takes
                    _log.warning("figures and index wait for the store", error=str(error))
                self._waits = True
            except Exception as error:  # mail flows without figures and index
                _log.exception("following the mail failed", error)
                await self._clock.sleep(AFTER_FAILURE)
            else:
                self._waits = False

    async def look(self) -> None:
        """One look at what is new, slice by slice until there is no more. Raises StoreUnavailable."""
        self._mind_trouble()
        self._busy.look()
        to_index, to_count = self._busy.may_index, self._figures.is_due()
        while to_index or to_count:
            begin = self._clock.monotonic()
            to_count = to_count and await self._figures.advance()
            to_index = to_index and await self._index_some()
            took = self._clock.monotonic() - begin
            self._busy.look()
            await self._clock.sleep(0 if self._busy.is_quiet else took * RESTED)
        if self._clock.monotonic() >= self._trim_at:
            self._trim_at = self._clock.monotonic() + TRIM_EVERY
            await self.trim()

    async def _index_some(self) -> bool:
        """Whether there is more."""
        more = await self._index.advance(self._clock.now() - GRACE)
        if not more:
            self._busy.has_indexed()
        return more

    def _mind_trouble(self) -> None:
        """What could not be committed in time will be, with the time of its making: look at that again."""
        if self._store.stop_dialling:
            self._trouble = self._trouble or self._clock.now() - 2 * GRACE
        elif self._trouble is not None:
            self._figures.rewind(self._trouble)
            self._index.rewind(self._trouble)
            self._trouble = None

    async def trim(self) -> None:
        """What [retention] no longer keeps goes from figures and index too. Raises StoreUnavailable."""
        before = self._clock.now() - timedelta(days=self._retention.events)
        buckets = 0
        while number := await self._figures.trim(before):
            buckets += number
            await self._clock.sleep(BREATH)
        parts = await self._index.trim(before)
        if buckets or parts:
            _log.info("cleaned up", figures=buckets, index=parts)


class _Busy:
    """How much mail flows, and how much of it the index has not seen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looked = clock.monotonic()
        self._seen = self._flow
        self._indexed = COUNTERS.accepted
        self._indexed_at = float("-inf")
        self.is_quiet = False

    @property
    def _flow(self) -> int:
        return COUNTERS.accepted + COUNTERS.attempts

    def look(self) -> None:
        """At most once a second."""
        now, flow = self._clock.monotonic(), self._flow
        passed = now - self._looked
        if passed >= 1.0:
            self.is_quiet = flow - self._seen < QUIET * passed
            self._looked, self._seen = now, flow

    @property
    def may_index(self) -> bool:
        is_late = self._clock.monotonic() - self._indexed_at >= LATE
        return self.is_quiet or is_late or COUNTERS.accepted - self._indexed >= BEHIND

    def has_indexed(self) -> None:
        self._indexed, self._indexed_at = COUNTERS.accepted, self._clock.monotonic()
