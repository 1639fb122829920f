"""Actions on the queue that take longer than a person waits: they go on, and the queue's page says how far they are.

A work is a task of this process. When the process stops it stops too, between two slices: what it has done stays done,
what it has not waits as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.queue.actions import Done
from postroad.web.console.forms import services_of

AT_ONCE = 2.0  # seconds in which most are done, so that the answer can say so
SHOWN = 20.0  # seconds that a finished one is still told of
MOST = 50

_log = log.get("console")
Tell = Callable[[Done], None]
Part = Callable[[Tell], Awaitable[Done]]


@dataclass(slots=True, eq=False)
class Work:
    """One action, under way or done."""

    deed: str
    what: str  # in words: 1,204 recipients
    expected: int  # 0: more than were counted
    reached: int = 0
    trouble: str = ""
    finished: float | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def share(self) -> float | None:
        """0 to 100, or None where nobody knows how many there are."""
        return min(100.0, self.reached * 100 / self.expected) if self.expected else None


class Works:
    """One for the console, in `app.state`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._works: list[Work] = []

    async def begin(self, work: Work, parts: Sequence[Part], then: Callable[[], None]) -> Work:
        """Start it, and wait for a moment: most are finished then. `then` is called at the end."""
        self._works = [*self.current(), work][-MOST:]
        work.task = asyncio.create_task(self._run(work, parts, then), name=f"queue-{work.deed}")
        await asyncio.wait({work.task}, timeout=AT_ONCE)
        return work

    async def _run(self, work: Work, parts: Sequence[Part], then: Callable[[], None]) -> None:
        try:
            before = 0
            for part in parts:

                def tell(done: Done, before: int = before) -> None:
                    work.reached = before + done.total

                before += (await part(tell)).total
                work.reached = before
        except Exception as error:  # nobody awaits this task: whatever it is has to be said here
            work.trouble = str(error) or type(error).__name__
            _log.exception("an action on the queue failed", error, action=work.deed)
        finally:
            work.finished = self._clock.monotonic()
            then()

    def current(self) -> list[Work]:
        """Those under way, and those that ended a moment ago, newest first."""
        now = self._clock.monotonic()
        return [work for work in self._works if work.finished is None or now - work.finished < SHOWN]

    def forget(self, work: Work) -> None:
        """It has been told of already."""
        self._works = [other for other in self._works if other is not work]


def works_of(request: Request) -> Works:
    state = request.app.state
    if not hasattr(state, "works"):
        state.works = Works(services_of(request).clock)
    found: Works = state.works
    return found
