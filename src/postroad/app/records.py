"""`domain verify`: the records of one domain, looked up anew with a resolver of its own."""

from __future__ import annotations

from postroad.adapters.dns import CachingResolver
from postroad.config.schema import Settings
from postroad.reports.dnscheck import RecordFinding, verify_host, verify_mx, verify_return_path, verify_spf


async def verify_records(settings: Settings, domain: str, return_path: str = "") -> list[RecordFinding]:
    """Compare what is wanted with what DNS answers."""
    resolver = CachingResolver(settings.dns.nameservers, timeout=settings.dns.timeout)
    try:
        return [
            await verify_mx(resolver, domain, settings.hostname),
            await verify_spf(resolver, domain),
            *await verify_return_path(resolver, return_path, settings.hostname),
            *[finding async for finding in verify_host(resolver, settings.hostname)],
        ]
    finally:
        await resolver.close()


async def verify_return_path_of(settings: Settings, name: str) -> list[RecordFinding]:
    """The records of a domain for return addresses."""
    resolver = CachingResolver(settings.dns.nameservers, timeout=settings.dns.timeout)
    try:
        return await verify_return_path(resolver, name, settings.hostname)
    finally:
        await resolver.close()
