"""What `postroad check` tells of the way out: port 25, the names of our addresses, SPF of the names in EHLO."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from postroad.adapters.net.own import is_public, own_addresses
from postroad.config.schema import Settings
from postroad.delivery.names import AddressName, Named, name_of
from postroad.ports.dns import DnsOutcome, Resolver

PATIENCE = 5.0  # seconds for one address
MOST_ADDRESSES = 4

Finding = tuple[bool | None, str, str, str]  # good (None: a note), area, text, what to change


async def look_outward(settings: Settings, resolver: Resolver) -> AsyncIterator[Finding]:
    """Everything."""
    if not settings.delivery.smarthost and settings.delivery.check_at:
        yield await _port(settings, resolver)
    async for finding in _addresses(settings, resolver):
        yield finding
    for name in dict.fromkeys([settings.hostname, *(pool.helo for pool in settings.pool if pool.helo)]):
        yield await _spf(resolver, name)


async def _port(settings: Settings, resolver: Resolver) -> Finding:
    """Whether the port that others' servers listen on can be reached at all."""
    port, tried = settings.delivery.port, []
    for domain in settings.delivery.check_at:
        for host in [record.host for record in (await resolver.mx(domain)).mx][:2]:
            for address in (await resolver.addresses(host)).records[:MOST_ADDRESSES]:
                if await _reaches(address, port):
                    return True, "outward", f"port {port} is open: {host} [{address}] answers", ""
                tried.append(f"{host} [{address}]")
    if not tried:
        why = "the domains in delivery.check_at cannot be looked up"
        return None, "outward", f"whether port {port} is open to the outside is not known: {why}", ""
    change = "ask your provider to open it; until then send through another server: [delivery] smarthost ="
    example = '"smtp://user:password@relay.example:587"'
    return False, "outward", f"port {port} is closed to the outside: no answer from {tried[0]}", f"{change} {example}"


async def _reaches(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _addresses(settings: Settings, resolver: Resolver) -> AsyncIterator[Finding]:
    """Each address that we send from, with the name that it is known by."""
    named = {address: pool.helo or settings.hostname for pool in settings.pool for address in pool.addresses}
    usual = [settings.delivery.source_address] if settings.delivery.source_address else own_addresses()
    named |= dict.fromkeys(usual, settings.hostname)
    public = [address for address in named if is_public(address)]
    for address in named.keys() - set(public):
        text = f"{address} is no public address: what the world sees of it was not looked at"
        yield None, "source", text, ""
    for found in await asyncio.gather(*(name_of(resolver, address) for address in public)):
        yield _about(found, named[found.address], public)


def _about(found: AddressName, helo: str, addresses: Sequence[str]) -> Finding:
    address = found.address
    change = f"have your provider set the PTR record of {address} to {helo}"
    if found.standing is Named.UNKNOWN:
        return None, "source", f"the name of {address} cannot be looked up now", ""
    if found.standing is Named.NONE:
        others = any((":" in other) != (":" in address) for other in addresses)
        meanwhile = "it is not used while that is so" if others else "large providers refuse mail from it"
        return False, "source", f"{address} has no name (PTR): {meanwhile}", change
    if found.standing is Named.ELSEWHERE:
        return False, "source", f"{address} is called {found.name}, which leads elsewhere", change
    if found.name.lower() != helo.lower():
        return None, "source", f"{address} is called {found.name} and says {helo} in EHLO", change
    return True, "source", f"{address} is called {found.name}, which leads back to it", ""


async def _spf(resolver: Resolver, name: str) -> Finding:
    """RFC 7208 §2.3: bounces, which have no sender, are judged by the name in EHLO."""
    answer = await resolver.txt(name)
    if answer.outcome is DnsOutcome.FAILED:
        return None, "source", f"SPF of {name} cannot be looked up now", ""
    if any(text.lower().startswith("v=spf1") for text in answer.records):
        return True, "source", f"{name} has an SPF record of its own", ""
    return None, "source", f"{name}, our name in EHLO, has no SPF record", f'add {name}. TXT "v=spf1 a -all"'
