"""Which addresses of this machine connections to the outside leave from, as the system chooses them."""

from __future__ import annotations

import ipaddress
import socket

# Documentation addresses (RFC 5737): nothing is sent, the system only tells which way it would go.
_FAR = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def own_addresses() -> list[str]:
    """One of each family that has a way out."""
    found = []
    for family, far in _FAR:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 25))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return found


def is_public(address: str) -> bool:
    """Whether the world sees it as it is; else something translates it on the way."""
    return ipaddress.ip_address(address).is_global
