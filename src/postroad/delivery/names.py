"""What DNS says of the addresses that we send from. Large providers take nothing from an address without a name, least
of all over IPv6: such a one is better not used.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from postroad.ports.dns import DnsOutcome, Resolver


class Named(StrEnum):
    """How an address and its name stand to each other."""

    CONFIRMED = "confirmed"  # the name leads back to the address
    ELSEWHERE = "elsewhere"  # it leads to another one
    NONE = "none"
    UNKNOWN = "unknown"  # the look-up failed


@dataclass(frozen=True, slots=True)
class AddressName:
    """One address with the name that was found for it."""

    address: str
    standing: Named
    name: str = ""


async def name_of(resolver: Resolver, address: str) -> AddressName:
    """Forward-confirmed (FCrDNS)."""
    answer = await resolver.ptr(address)
    if answer.outcome is DnsOutcome.FAILED:
        return AddressName(address, Named.UNKNOWN)
    for name in answer.records:
        back = await resolver.addresses(name.rstrip("."))
        if address in {str(ipaddress.ip_address(one)) for one in back.records}:
            return AddressName(address, Named.CONFIRMED, name.rstrip("."))
    if answer.records:
        return AddressName(address, Named.ELSEWHERE, answer.records[0].rstrip("."))
    return AddressName(address, Named.NONE)


async def unnamed(resolver: Resolver, addresses: Sequence[str]) -> list[str]:
    """Public addresses that certainly have no name."""
    public = [address for address in addresses if ipaddress.ip_address(address).is_global]
    found = await asyncio.gather(*(name_of(resolver, address) for address in public))
    return [one.address for one in found if one.standing is Named.NONE]
