"""Whether all clients seem to come from one private address: then a proxy stands in front and hides them.

An address that stands for everybody must not be slowed for what one of them does.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from functools import lru_cache

from postroad.ports.clock import Clock

WINDOW = 100  # logins that are looked back upon
ENOUGH = 20  # of them before anything is said
SHARE = 0.9  # that come from the one address
NAMES = 5  # different ones
FAILURES = 5
TELL_EVERY = 3600.0  # seconds

_PRIVATE = [
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
]  # fmt: skip


@lru_cache(maxsize=1024)
def is_private(network: str) -> bool:
    """Of an address, or of a network of addresses: nobody on the Internet has it."""
    try:
        address = ipaddress.ip_network(network).network_address
    except ValueError:
        return False
    return any(address in known for known in _PRIVATE)


class Crowd:
    """The last logins: where they came from, for whom, and how they went."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: deque[tuple[str, str, bool]] = deque(maxlen=WINDOW)
        self._told: dict[str, float] = {}

    def note(self, network: str, name: str, *, right: bool) -> None:
        self._last.append((network, name, right))

    def hides_behind(self, network: str) -> bool:
        """Whether `network` is a private address that nearly all logins come from, for many names."""
        if len(self._last) < ENOUGH or not is_private(network):
            return False
        theirs = [(name, right) for seen, name, right in self._last if seen == network]
        failures = sum(not right for _, right in theirs)
        names = len({name for name, _ in theirs})
        return len(theirs) >= SHARE * len(self._last) and names >= NAMES and failures >= FAILURES

    def may_tell(self, network: str) -> bool:
        """True once an hour."""
        now = self._clock.monotonic()
        if self._told.get(network, float("-inf")) + TELL_EVERY > now:
            return False
        self._told[network] = now
        return True
