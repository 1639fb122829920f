"""Who really asks where a reverse proxy stands before us: X-Forwarded-For and -Proto, of proxies that we know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network

from postroad.web.wire import Scope


class Proxies:
    """`networks` are believed; so is whoever comes by a Unix socket, which only local programs reach."""

    def __init__(self, networks: Sequence[str]) -> None:
        known = [ip_network(network) for network in networks]

        @lru_cache(maxsize=256)
        def trusts(host: str) -> bool:
            try:
                address = ip_address(host)
            except ValueError:
                return False
            return any(address in network for network in known)

        self._trusts = trusts

    def look_behind(self, scope: Scope) -> None:
        """Write the client's address and scheme into `scope`, where its peer may say so."""
        client = scope["client"]
        if client is not None and not self._trusts(client[0]):
            return
        names, scheme = _forwarded(scope)
        if scheme in ("http", "https"):
            scope["scheme"] = scheme
        for name in reversed(names):  # each proxy appends whom it saw; what stands before a stranger is hearsay
            host = _host(name)
            if host is None:
                return
            scope["client"] = (host, 0)
            if not self._trusts(host):
                return


def _forwarded(scope: Scope) -> tuple[list[str], str]:
    names: list[str] = []
    scheme = ""
    for name, value in scope["headers"]:
        if name == b"x-forwarded-for":
            names += value.decode("latin-1").split(",")
        elif name == b"x-forwarded-proto":
            scheme = value.decode("latin-1").strip().lower()
    return names, scheme


def _host(text: str) -> str | None:
    """The address, or None where there is none; some proxies add a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
