"""The DNS records that a domain wants from its owner, and whether DNS has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from postroad.adapters.dns import CachingResolver
from postroad.config.schema import Settings
from postroad.ports.dns import DnsAnswer, DnsOutcome, Resolver


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """One record, and what it is for."""

    name: str
    kind: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class RecordFinding:
    """What DNS has, and what to change where that is not good."""

    good: bool
    text: str
    change: str = ""


def records_wanted(domain: str, hostname: str) -> list[WantedRecord]:
    """The records for one domain served by the host `hostname`."""
    return [
        WantedRecord(domain, "MX", f"10 {hostname}.", "other servers bring mail here"),
        WantedRecord(domain, "TXT", '"v=spf1 mx -all"', "only this host sends as the domain (SPF, RFC 7208)"),
        WantedRecord(hostname, "A", "<public IPv4 address of this machine>", "and AAAA where it has IPv6"),
        WantedRecord("<reverse name of that address>", "PTR", f"{hostname}.", "set by whoever rents you the address"),
    ]


async def verify_records(settings: Settings, domain: str) -> list[RecordFinding]:
    """Compare what is wanted with what DNS answers."""
    resolver = CachingResolver(settings.dns.nameservers, timeout=settings.dns.timeout)
    try:
        return [
            await verify_mx(resolver, domain, settings.hostname),
            await verify_spf(resolver, domain),
            *[finding async for finding in verify_host(resolver, settings.hostname)],
        ]
    finally:
        await resolver.close()


async def verify_mx(resolver: Resolver, domain: str, hostname: str) -> RecordFinding:
    answer = await resolver.mx(domain)
    hosts = [record.host.lower() for record in answer.mx]
    if hostname.lower() in hosts:
        return RecordFinding(True, f"{domain} MX leads to {hostname}")
    found = f"leads to {', '.join(hosts)}" if hosts else _missing(answer)
    return RecordFinding(False, f"{domain} MX {found}", f"publish: {domain}. IN MX 10 {hostname}.")


async def verify_spf(resolver: Resolver, domain: str) -> RecordFinding:
    answer = await resolver.txt(domain)
    found = [text for text in answer.records if text.lower().startswith("v=spf1")]
    if len(found) == 1:
        return RecordFinding(True, f"{domain} has SPF: {found[0]}")
    if found:
        return RecordFinding(False, f"{domain} has {len(found)} SPF records", "keep one; RFC 7208 §4.5 allows no more")
    return RecordFinding(False, f"{domain} SPF {_missing(answer)}", f'publish: {domain}. IN TXT "v=spf1 mx -all"')


async def verify_host(resolver: Resolver, hostname: str) -> AsyncIterator[RecordFinding]:
    """The host has an address, and the address names the host: many servers refuse mail from one that does not."""
    answer = await resolver.addresses(hostname)
    if not answer.records:
        change = f"publish: {hostname}. IN A <public address of this machine>"
        yield RecordFinding(False, f"{hostname} address {_missing(answer)}", change)
    for address in answer.records:
        names = await resolver.ptr(address)
        if hostname.lower() in (name.rstrip(".").lower() for name in names.records):
            yield RecordFinding(True, f"{hostname} is {address}, and {address} is {hostname}")
        else:
            found = f"is {', '.join(names.records)}" if names.records else _missing(names)
            change = f"have whoever rents you {address} set its PTR to {hostname}"
            yield RecordFinding(False, f"{address} PTR {found}", change)


def _missing(answer: DnsAnswer) -> str:
    if answer.outcome is DnsOutcome.FAILED:
        return f"could not be looked up ({answer.detail})"
    return "does not exist"
