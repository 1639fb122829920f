"""The final dot is answered within a minute: a commit that takes longer is given up (storage's decision 6, RFC 1047).

A client that waits too long hangs up and sends again; better to tell it so, and to have the unit dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from postroad.ports.clock import Clock
from postroad.ports.store import Acceptance, Accepted

ANSWER_SECONDS = 60.0
SWEEP_SECONDS = 5.0


class Patience:
    """One watch for all commits under way: a timer each would cost more than it is worth."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[asyncio.Future[Accepted], tuple[Acceptance, float]] = {}  # commits and their deadlines
        self._task: asyncio.Task[None] | None = None

    async def wait(self, acceptance: Acceptance, commit: Awaitable[Accepted]) -> Accepted | None:
        """What the commit came to; None when it took too long and was given up."""
        future = commit if isinstance(commit, asyncio.Future) else asyncio.ensure_future(commit)
        deadline = self._clock.monotonic() + ANSWER_SECONDS
        self._waiting[future] = acceptance, deadline
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            return await future
        except asyncio.CancelledError:
            if deadline > self._clock.monotonic():
                raise  # not ours: the one who waits was cancelled
            return None
        finally:
            del self._waiting[future]

    async def _watch(self) -> None:
        while self._waiting:
            await self._clock.sleep(SWEEP_SECONDS)
            self._give_up(self._clock.monotonic())
        self._task = None

    def _give_up(self, now: float) -> None:
        for future, (acceptance, deadline) in list(self._waiting.items()):
            if deadline <= now:
                acceptance.abandoned = True
                future.cancel()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
