"""Whether an address is in one of some networks, as settings name them; asked once for each connection."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

_REMEMBERED = 1024  # addresses, for each set of networks


class Networks:
    """`host in networks`. What is no address (a Unix socket's path) is in none."""

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in networks)
        self._known = lru_cache(maxsize=_REMEMBERED)(self._look)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, host: str) -> bool:
        return self._known(host) if self._networks else False

    def _look(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


NOBODY = Networks()
