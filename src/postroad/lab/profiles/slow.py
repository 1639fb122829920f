"""Is slow: takes its time over every recipient, and longer over every message."""

from __future__ import annotations

from postroad.lab.temper import Move, Temper, Visit


class Slow(Temper):
    """Waits `pause` seconds at RCPT and twice as long at the final dot."""

    def __init__(self, pause: float = 2.0) -> None:
        self._rcpt = Move(delay=pause)
        self._message = Move(delay=2 * pause)

    def rcpt(self, visit: Visit, address: str) -> Move:  # noqa: ARG002
        return self._rcpt

    def message(self, visit: Visit) -> Move:  # noqa: ARG002
        return self._message
