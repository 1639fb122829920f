"""Domain names as people write them, umlauts and all."""

from __future__ import annotations

from postroad.mail.address import AddressError, Domain


def readable(name: str) -> str:
    """The U-label form of a domain; the name itself where it has none."""
    if "xn--" not in name:
        return name
    try:
        return Domain.parse(name).unicode
    except AddressError:
        return name


def readable_address(address: str) -> str:
    local_part, at, domain = address.rpartition("@")
    return f"{local_part}{at}{readable(domain)}"
