"""One answer that has to wait, run from await to await without a task.

A task costs two more turns of the loop and its own book-keeping, for every message. Here the session's coroutine runs
at once as far as it gets, and goes on in the callback of the future that it waits for. It may await futures, locks,
sleeps and tasks; `asyncio.timeout` and `TaskGroup`, which ask for the current task, are not for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Answer:
    """Calls `ended` with itself, once, when the awaitable is through; `error` then says how it went."""

    __slots__ = ("_ended", "_must_cancel", "_steps", "_waits_for", "done", "error")

    def __init__(self, awaitable: Awaitable[None], ended: Callable[[Answer], None]) -> None:
        self._steps = awaitable.__await__()
        self._ended = ended
        self._waits_for: Any = None
        self._must_cancel = False
        self.done = False
        self.error: BaseException | None = None

    def run(self, _woken_by: asyncio.Future[Any] | None = None) -> None:
        """Go on to the next await, or to the end."""
        try:
            waits_for = self._steps.send(None) if not self._must_cancel else self._cancelled()
        except StopIteration:
            pass
        except (Exception, asyncio.CancelledError) as error:
            self.error = error
        else:
            self._await(waits_for)
            return
        self.done = True
        self._ended(self)

    def cancel(self) -> None:
        """Cancel what is waited for; the awaitable sees CancelledError."""
        if self._waits_for is None or not self._waits_for.cancel():
            self._must_cancel = True

    def _cancelled(self) -> Any:
        self._must_cancel = False
        return self._steps.throw(asyncio.CancelledError())

    def _await(self, future: Any) -> None:
        """What a coroutine yields is a future of asyncio (PEP 3156), or None when it only lets others go first."""
        self._waits_for = future
        if future is None:
            asyncio.get_running_loop().call_soon(self.run)
            return
        future._asyncio_future_blocking = False
        future.add_done_callback(self.run)
