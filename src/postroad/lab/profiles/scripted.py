"""Does what a test says, step by step: a list of moves for each step, then the temper behind it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from postroad.lab.profiles.accepting import Accepting
from postroad.lab.temper import Move, Temper, Visit


class Scripted(Temper):
    """`Scripted(rcpt=[refuse(450, "4.2.1", "busy")])` refuses the first recipient and takes all others."""

    def __init__(self, behind: Temper | None = None, **moves: Iterable[Move]) -> None:
        self._behind = behind or Accepting()
        self._moves = {step: deque(each) for step, each in moves.items()}

    def connect(self, visit: Visit) -> Move:
        return self._next("connect") or self._behind.connect(visit)

    def mail(self, visit: Visit) -> Move:
        return self._next("mail") or self._behind.mail(visit)

    def rcpt(self, visit: Visit, address: str) -> Move:
        return self._next("rcpt") or self._behind.rcpt(visit, address)

    def data(self, visit: Visit) -> Move:
        return self._next("data") or self._behind.data(visit)

    def body(self, visit: Visit) -> Move:
        return self._next("body") or self._behind.body(visit)

    def message(self, visit: Visit) -> Move:
        return self._next("message") or self._behind.message(visit)

    def _next(self, step: str) -> Move | None:
        moves = self._moves.get(step)
        return moves.popleft() if moves else None
