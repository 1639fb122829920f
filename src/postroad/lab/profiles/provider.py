"""A large provider's manner: so many messages a minute and connections from one address, and excess is punished.

It says nothing of its limits beforehand. What goes beyond the messages of a minute is put off, and each such attempt
keeps the door shut for `penalty` seconds more; a connection too many is turned away.
"""

from __future__ import annotations

from collections import Counter, deque

from postroad.lab.temper import GO, Move, Temper, Visit, refuse


class Provider(Temper):
    """`messages` of each client in any `per` seconds, over `connections` at once."""

    def __init__(
        self, messages: int = 50, per: float = 60.0, connections: int = 2, penalty: float = 60.0, longest: float = 600.0
    ) -> None:
        self._messages = messages
        self._per = per
        self._most = connections
        self._penalty = penalty
        self._longest = longest
        self._let_in: dict[str, deque[float]] = {}
        self._shut_until: dict[str, float] = {}
        self.open: Counter[str] = Counter()
        self.put_off = 0  # attempts
        self.turned_away = 0  # connections

    def connect(self, visit: Visit) -> Move:
        if self.open[visit.client] >= self._most:
            self.turned_away += 1
            return refuse(421, "4.7.0", f"{visit.client} has too many connections open")
        self.open[visit.client] += 1
        return GO

    def left(self, visit: Visit) -> None:
        if self.open[visit.client]:
            self.open[visit.client] -= 1

    def rcpt(self, visit: Visit, address: str) -> Move:  # noqa: ARG002
        if visit.recipients:  # another recipient of a message that has been let in
            return GO
        now, lately = visit.now, self._let_in.setdefault(visit.client, deque())
        while lately and lately[0] <= now - self._per:
            lately.popleft()
        shut = self._shut_until.get(visit.client, 0.0)
        if now >= shut and len(lately) < self._messages:
            lately.append(now)
            return GO
        self.put_off += 1
        self._shut_until[visit.client] = min(max(shut, now) + self._penalty, now + self._longest)
        return refuse(450, "4.7.28", f"{visit.client} sends too much mail, try again later")
