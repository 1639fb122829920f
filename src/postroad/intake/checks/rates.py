"""How often: a token bucket for each address and network, bounded in memory.

A bucket is one number, the moment at which it will be full again (the "generic cell rate" form): taking a token moves
that moment on. Buckets that are full need no memory; strangers decide how many there are, so the ones that were not
used for longest go first.
"""

from __future__ import annotations

import ipaddress

from postroad.intake.verdicts import Verdict, deferred
from postroad.mail.status import Status, status

MINUTE, HOUR = 60.0, 3600.0

_CONNECTIONS = status(421, "4.7.0", "too many connections from your address, try again in a minute")
_MESSAGES = status(451, "4.7.1", "too many messages from your address, try again in a minute")
_UNKNOWN = status(451, "4.7.1", "too many unknown recipients from your address, try again later")


class Buckets:
    """As many tokens as `size` at once, filled again within `period` seconds. One lookup, one store for each token."""

    __slots__ = ("_brim", "_half", "_new", "_old", "_step")

    def __init__(self, size: int, period: float, *, keys: int) -> None:
        self._brim = period + 0.000_001  # sums of steps are not exact
        self._step = period / size
        self._half = max(1, keys // 2)
        self._new: dict[str, float] = {}  # two generations: the older goes as a whole when the newer has become full
        self._old: dict[str, float] = {}

    def take(self, key: str, now: float) -> bool:
        """Take a token; False when there is none."""
        full_at = self._new.get(key)
        if full_at is None:
            full_at = self._old.get(key, now) if self._old else now
            if len(self._new) >= self._half:
                self._old, self._new = self._new, {}
        if full_at < now:  # noqa: PLR1730 - max() takes twice as long
            full_at = now
        enough = full_at + self._step - now < self._brim
        self._new[key] = full_at + self._step if enough else full_at
        return enough

    def is_empty(self, key: str, now: float) -> bool:
        """Whether `take` would find none; takes nothing."""
        full_at = self._new.get(key) or self._old.get(key)
        return full_at is not None and full_at + self._step - now >= self._brim

    def __len__(self) -> int:
        return len(self._new) + len(self._old)


class Rate:
    """Two buckets for one thing: of the address, and of the network that it is in. A limit of 0 is none."""

    __slots__ = ("_address", "_network", "_verdict")

    def __init__(self, verdict: Verdict, *, address: int, network: int, keys: int, period: float = MINUTE) -> None:
        self._verdict = verdict
        self._address = Buckets(address, period, keys=keys) if address else None
        self._network = Buckets(network, period, keys=keys) if network else None

    def take(self, address: str, network: str, now: float) -> Verdict | None:
        """What to say of one more; None: it may go on."""
        if self._address is not None and not self._address.take(address, now):
            return self._verdict
        if self._network is not None and not self._network.take(network, now):
            return self._verdict
        return None


def connections(address: int, network: int, keys: int) -> Rate | None:
    return _rate("connection-rate", _CONNECTIONS, address, network, keys)


def messages(address: int, network: int, keys: int) -> Rate | None:
    return _rate("message-rate", _MESSAGES, address, network, keys)


def _rate(step: str, answer: Status, address: int, network: int, keys: int) -> Rate | None:
    if not (address or network):
        return None
    of = " or ".join(
        f"{number} from its {what}" for number, what in ((address, "address"), (network, "network")) if number
    )
    verdict = deferred(step, f"more than {of} within a minute", answer)
    return Rate(verdict, address=address, network=network, keys=keys)


class Probing:
    """Counts the unknown recipients that an address tries, over all its connections."""

    __slots__ = ("_buckets", "verdict")

    def __init__(self, per_hour: int, keys: int) -> None:
        self._buckets = Buckets(per_hour, HOUR, keys=keys)
        self.verdict = deferred("probing", f"it tried more than {per_hour} unknown recipients within an hour", _UNKNOWN)

    def missed(self, address: str, now: float) -> None:
        """One more that nobody has."""
        self._buckets.take(address, now)

    def is_over(self, address: str, now: float) -> bool:
        return len(self._buckets) > 0 and self._buckets.is_empty(address, now)


def network_of(address: str) -> str:
    """What one owner usually has: 256 IPv4 addresses, or 2**64 of IPv6. Another text is its own network."""
    if ":" not in address:
        network, dot, _ = address.rpartition(".")
        return f"{network}.0/24" if dot else address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
