"""One core for the event loop, the store's writer and the log, which take turns under the interpreter's lock anyway.

On two cores every turn wakes the other one, mostly in vain, since the lock is taken again before it has woken: a
quarter of all CPU at acceptance. All other threads roam. Should others crowd the core, they move to another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from postroad.observe import log
from postroad.ports.clock import Clock

EVERY_CORE = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset[int]()
LOOK_EVERY = 5.0  # seconds
CROWDED = 0.5  # of the time spent waiting for the core; the writer's own turns are less than half of that

_log = log.get("cores")


def roam() -> None:
    """For a thread that the loop's thread starts: it would stay on the core of the loop."""
    _pin(0, EVERY_CORE)


class SharedCore:
    """The core that `threads` share, as the system numbers them (`threading.get_native_id`); the first is the loop."""

    def __init__(self, threads: Sequence[int], clock: Clock) -> None:
        self._threads = threads
        self._clock = clock
        self._cores = sorted(EVERY_CORE)
        self._at = os.getpid() % max(1, len(self._cores))  # several processes of one machine spread out

    @contextmanager
    def held(self) -> Iterator[None]:
        """The threads stay together inside the block."""
        self._settle()
        try:
            yield
        finally:
            self._pin_all(EVERY_CORE)

    async def watch(self) -> None:
        """Move when the core is crowded. Ends when it is cancelled."""
        before = self._waited()
        while len(self._cores) > 1:
            await self._clock.sleep(LOOK_EVERY)
            waited = self._waited()
            if waited - before > CROWDED * LOOK_EVERY:
                self._at = (self._at + 1) % len(self._cores)
                self._settle()
                _log.info("moved to another core", core=self._cores[self._at], waited=round(waited - before, 1))
            before = waited

    def _settle(self) -> None:
        if len(self._cores) > 1:
            self._pin_all(frozenset((self._cores[self._at],)))

    def _pin_all(self, cores: frozenset[int]) -> None:
        for thread in self._threads:
            _pin(thread, cores)

    def _waited(self) -> float:
        """Seconds that the loop was ready to run and did not (the kernel's schedstat); 0 where that is not told."""
        try:
            return int(Path(f"/proc/self/task/{self._threads[0]}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0


def _pin(thread: int, cores: frozenset[int]) -> None:
    """A gain where it works: a sandbox that forbids it, a core taken away or a thread that has ended stops nothing."""
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(thread, cores)
