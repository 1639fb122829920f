"""The slow look of idle clients: a signal only wakes, and one that was lost must not leave a client in the dark."""

from __future__ import annotations

from typing import Protocol

from postroad.ports.clock import Clock

INTERVAL = 60.0  # seconds between two looks at one mailbox
STEPS = 20  # an interval is cut into so many, so that a thousand clients do not look at once


class Idler(Protocol):
    """A session in IDLE."""

    def changed(self) -> None:
        """Look whether the mailbox has changed."""


class IdlePoll:
    """One for a process. Whoever starts `run` as a task ends it."""

    __slots__ = ("_clock", "_idlers", "_interval")

    def __init__(self, clock: Clock, interval: float = INTERVAL) -> None:
        self._clock = clock
        self._interval = interval
        self._idlers: dict[Idler, None] = {}  # in the order in which they will be asked

    def enter(self, idler: Idler) -> None:
        self._idlers[idler] = None

    def leave(self, idler: Idler) -> None:
        self._idlers.pop(idler, None)

    async def run(self) -> None:
        """Ask every idler once an interval, a part of them at each step. Ends when it is cancelled."""
        while True:
            await self._clock.sleep(self._interval / STEPS)
            self.step()

    def step(self) -> None:
        """Ask the next part: those who have waited longest."""
        share = -(-len(self._idlers) // STEPS)
        for idler in list(self._idlers)[:share]:
            del self._idlers[idler]
            self._idlers[idler] = None
            idler.changed()
