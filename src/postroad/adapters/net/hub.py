"""What all connections of one event loop share: read buffer, timers, the live set, and the way to report a bug.

The hub owns nothing of a conversation. `listen` and `dial` put drivers into it; `app.lifecycle` stops it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from postroad.adapters.net.patience import Timers
from postroad.observe import log
from postroad.proto.wire import Interruption

if TYPE_CHECKING:
    from postroad.adapters.net.answer import Answer
    from postroad.adapters.net.driver import Driver

SECONDS_OF_TURNS = 0.0005  # in one round of the loop: those who flood us get this, and one turn at least
MANY_BUSY = 8  # so many who flood us: then the loop rests between their rounds, for the store's threads need the
REST = 0.001  # interpreter as well, and take it only when it is let go
SMALL_READ = 16 * 1024  # before authentication: one 256 KiB read can hold 43,690 NOOPs
LARGE_READ = 256 * 1024

_log = log.get("net")


def log_bug(connection: Driver, error: BaseException) -> None:
    """The usual way to report that a session or machine raised: once, with its peer."""
    _log.exception("a session failed", error, peer=str(connection.peer))


class Live(Protocol):
    """A connection that stands."""

    def interrupt(self, reason: Interruption) -> None: ...
    def abort(self) -> None: ...


class Hub:
    """One for each event loop. The read buffer is shared: a loop fills it and hands it over in one breath."""

    __slots__ = (
        "_bug",
        "_busy",
        "_cutting",
        "_empty",
        "_large",
        "_small",
        "_turning",
        "handshake_timeout",
        "live",
        "loop",
        "timers",
        "unfinished",
        "write_timeout",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        timers: Timers | None = None,
        report: Callable[[Driver, BaseException], None] = log_bug,
        write_timeout: float = 120.0,
        handshake_timeout: float = 60.0,
    ) -> None:
        self.loop = loop or asyncio.get_running_loop()
        self.timers: Timers = timers or self.loop
        self.live: set[Live] = set()
        self.unfinished: set[Answer] = set()  # answers whose peer has gone; a commit must not be torn
        self.write_timeout = write_timeout
        self.handshake_timeout = handshake_timeout
        self._bug = report
        self._busy: deque[Driver] = deque()  # connections that have used up a turn, and have more to do
        self._turning = False  # the next round of turns is scheduled
        self._cutting = False  # the grace is over
        self._empty: asyncio.Future[None] | None = None
        self._large = memoryview(bytearray(LARGE_READ))
        self._small = self._large[:SMALL_READ]

    def window(self, size: int) -> memoryview:
        """The shared read buffer, cut to `size`; the two usual sizes cost nothing."""
        if size == SMALL_READ:
            return self._small
        return self._large if size >= LARGE_READ else self._large[:size]

    def queue_turn(self, connection: Driver) -> None:
        """Somebody has more to do than one turn allows. All such share a small part of each round of the loop, so that
        those who ask for little need not wait for those who flood us."""
        self._busy.append(connection)
        if not self._turning:
            self._turning = True
            self.loop.call_soon(self._run_turns)

    def _run_turns(self) -> None:
        busy, end = self._busy, perf_counter() + SECONDS_OF_TURNS
        for _ in range(len(busy)):
            busy.popleft().next_turn()
            if perf_counter() > end:
                break
        self._turning = bool(busy)
        if len(busy) >= MANY_BUSY:
            self.loop.call_later(REST, self._run_turns)
        elif busy:
            self.loop.call_soon(self._run_turns)

    def enter(self, connection: Live) -> None:
        self.live.add(connection)

    def leave(self, connection: Live) -> None:
        self.live.discard(connection)
        self._settle()

    def keep(self, answer: Answer) -> None:
        """Hold an answer that is still being worked on, though its peer has gone, until its driver forgets it."""
        self.unfinished.add(answer)
        if self._cutting:
            answer.cancel()

    def forget(self, answer: Answer) -> None:
        self.unfinished.discard(answer)
        self._settle()

    def _settle(self) -> None:
        if self._empty is not None and not self.live and not self.unfinished and not self._empty.done():
            self._empty.set_result(None)

    def bug(self, connection: Driver, error: BaseException) -> None:
        self._bug(connection, error)

    async def stop(self, grace: float = 10.0) -> None:
        """End every conversation politely (each machine says its 421 or BYE); after `grace` seconds cut what is left.

        An answer that is being worked on is finished and sent first.
        """
        for driver in list(self.live):
            driver.interrupt(Interruption.SHUTDOWN)
        if self.live or self.unfinished:
            self._empty = self.loop.create_future()
            timer = self.timers.call_later(grace, self._cut)
            await self._empty
            timer.cancel()
            self._empty = None
            self._cutting = False

    def _cut(self) -> None:
        self._cutting = True
        for driver in list(self.live):
            driver.abort()
        for answer in list(self.unfinished):
            answer.cancel()
