"""Each recipient chooses its fate by its local-part: `accept@`, `550@`, `451@`, `greylist@`, `throttle@`, `slow@`,
`drop@`; any code from 400 to 599; `drop+message@` chooses the point. Other local-parts are accepted."""

from __future__ import annotations

from collections.abc import Callable

from postroad.lab.profiles.accepting import Accepting
from postroad.lab.profiles.dropping import POINTS, Dropping
from postroad.lab.profiles.greylisting import Greylisting
from postroad.lab.profiles.refusing import Refusing
from postroad.lab.profiles.slow import Slow
from postroad.lab.profiles.throttling import Throttling
from postroad.lab.temper import Move, Temper, Visit


class Fates(Temper):
    """The recipient's temper at RCPT; from DATA on the most wilful one of the transaction's recipients."""

    def __init__(self, *, greylist: float = 10.0, throttle: float = 10.0, slow: float = 2.0) -> None:
        self._tempers: dict[str, Temper] = {
            "greylist": Greylisting(greylist),
            "throttle": Throttling(per=throttle),
            "slow": Slow(slow),
            "drop": Dropping(),
            **{f"drop+{point}": Dropping(point) for point in POINTS},
        }
        self._accept = Accepting()

    def temper_of(self, address: str) -> Temper:
        """The temper that `address` asks for."""
        name = address.rpartition("@")[0].lower()
        if len(name) == 3 and name[0] in "45" and name.isdecimal() and name not in self._tempers:
            self._tempers[name] = Refusing(int(name))
        return self._tempers.get(name, self._accept)

    def rcpt(self, visit: Visit, address: str) -> Move:
        return self.temper_of(address).rcpt(visit, address)

    def data(self, visit: Visit) -> Move:
        return self._strongest(visit, lambda temper: temper.data(visit))

    def body(self, visit: Visit) -> Move:
        return self._strongest(visit, lambda temper: temper.body(visit))

    def message(self, visit: Visit) -> Move:
        return self._strongest(visit, lambda temper: temper.message(visit))

    def _strongest(self, visit: Visit, move: Callable[[Temper], Move]) -> Move:
        moves = [move(self.temper_of(address)) for address in visit.recipients]
        return max(moves, key=lambda one: (one.drop, one.reply is not None, one.delay))
