"""What slows the guessing of administrators' passwords: a growing delay per address and per name. Those of mailboxes
have `guesses`, which keeps the same rows.

An attempt counts before it is looked at, so that a hundred at once are a hundred; a right one takes the count back. The
counts are rows, which outlive a restart. An address from which a name has signed in within a month is spared that
name's delay: whoever guesses from elsewhere shall not lock the owner out.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil

from postroad.ports.admins import FailedLogins
from postroad.ports.clock import Clock
from postroad.ports.random import Random
from postroad.ports.store import Refused, Store, Tx

FORGET = timedelta(days=1)  # without a failure: the count begins anew
KNOWN = timedelta(days=30)  # how long an address counts as a name's own
_MAX_NAME = 200
_MAX_REMEMBERED = 1000
_REMEMBERED_SECONDS = 3600.0


class TooManyLogins(Refused):
    """Wait for so many seconds, then try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many attempts; try again in {_span(seconds)}")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Curve:
    """How the delay grows: none for the first few, then doubled with each."""

    free: int
    most: float  # seconds
    ban_after: int = 0  # failures; 0: never
    ban: float = 0.0  # seconds

    def delay(self, failures: int) -> timedelta:
        if self.ban_after and failures >= self.ban_after:
            return timedelta(seconds=self.ban)
        over = failures - self.free
        return timedelta(seconds=min(2.0 ** min(over, 30), self.most)) if over > 0 else timedelta(0)


BY_NAME = Curve(free=5, most=300.0)
BY_ADDRESS = Curve(free=10, most=900.0)


class Throttle:
    """One for a process; what it knows is in the rows."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def admit(self, client: str, name: str) -> None:
        """Count an attempt to sign in as `name` (empty: nobody in particular) from the address `client`. Raises
        TooManyLogins instead when it comes too soon."""
        now = self._clock.now()
        curves = _curves(client, name)
        wait = await self._store.write(lambda tx: _admit(tx, curves, _known(client, name), now))
        if wait > timedelta(0):
            raise TooManyLogins(ceil(wait.total_seconds()))

    async def succeeded(self, client: str, name: str) -> None:
        """The whole of a sign-in was right: both counts begin anew, and the address is known as this name's."""
        now = self._clock.now()
        await self._store.write(lambda tx: forgive(tx, client, name, now))


def forgive(tx: Tx, client: str, name: str, now: datetime) -> None:
    """What `succeeded` writes, for a caller with a transaction of its own."""
    tx.throttle.clear(list(_curves(client, name)))
    if client:
        tx.throttle.put([FailedLogins(_known(client, name), 0, now, now)])


def _admit(tx: Tx, curves: dict[str, Curve], known: str, now: datetime) -> timedelta:
    """How long to wait; nothing, when the attempt is counted."""
    tx.throttle.hold(list(curves), now)
    found = tx.throttle.get([*curves, known])
    friend = found.get(known)
    is_known = friend is not None and now - friend.last < KNOWN
    waits = [
        record.until - now
        for subject, record in found.items()
        if subject != known and not (is_known and curves[subject] is BY_NAME)
    ]
    wait = max(waits, default=timedelta(0))
    if wait <= timedelta(0):
        tx.throttle.put([counted(found[subject], curve, now) for subject, curve in curves.items()])
    return wait


def counted(record: FailedLogins, curve: Curve, now: datetime) -> FailedLogins:
    """The row after one more failure."""
    failures = 1 if now - record.last > FORGET else record.failures + 1
    return FailedLogins(record.subject, failures, now, now + curve.delay(failures))


def _curves(client: str, name: str) -> dict[str, Curve]:
    named = {f"name {short_name(name)}": BY_NAME} if name else {}
    return named | ({f"address {network_of(client)}": BY_ADDRESS} if client else {})


def _known(client: str, name: str) -> str:
    return f"known {network_of(client)} {short_name(name)}"


def short_name(name: str) -> str:
    """A name as rows have it."""
    short = name.strip().lower()[:_MAX_NAME]
    return short if short.isprintable() else "".join(c if c.isprintable() else "?" for c in short)


@lru_cache(maxsize=4096)
def network_of(client: str) -> str:
    """Who has one IPv6 address has 2**64 of them."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return short_name(client)
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def _span(seconds: int) -> str:
    if seconds <= 90:
        return f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"{ceil(seconds / 60)} minutes"


class RememberedLogins:
    """Right passwords of the last hour, under a key that only this process has: the same again costs no Argon2 run."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._key = random.token(32)
        self._entries: OrderedDict[bytes, tuple[int, int, float]] = OrderedDict()

    def holds(self, number: int, version: int, password: str) -> bool:
        """Whether this was the right password of the row `number` when its credentials had this version."""
        entry = self._entries.get(self._digest(number, password))
        return entry is not None and entry[:2] == (number, version) and entry[2] > self._clock.monotonic()

    def put(self, number: int, version: int, password: str) -> None:
        self._entries[self._digest(number, password)] = (
            number, version, self._clock.monotonic() + _REMEMBERED_SECONDS,
        )  # fmt: skip
        if len(self._entries) > _MAX_REMEMBERED:
            self._entries.popitem(last=False)

    def _digest(self, number: int, password: str) -> bytes:
        return hmac.digest(self._key, f"{number}:{password}".encode("utf-8", "surrogatepass"), "sha256")
