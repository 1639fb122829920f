"""The DNS records that a domain wants from its owner, and how they stand in DNS: found, missing, different, unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address

from postroad.ports.dns import DnsAnswer, DnsOutcome, Resolver
from postroad.ports.store import DomainKind

SPF = '"v=spf1 mx -all"'


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """One record, and what it is for."""

    name: str
    kind: str
    value: str
    why: str


class Standing(StrEnum):
    FOUND = "found"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"  # the look-up failed: nothing is known


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """One wanted record with what DNS has in its place, in words, and what to change where that is not good."""

    wanted: WantedRecord
    standing: Standing
    found: tuple[str, ...]
    text: str
    change: str = ""

    @property
    def good(self) -> bool:
        return self.standing is Standing.FOUND


@dataclass(frozen=True, slots=True)
class RecordFinding:
    """What DNS has, and what to change where that is not good."""

    good: bool
    text: str
    change: str = ""


def records_wanted(
    domain: str, hostname: str, kind: DomainKind = DomainKind.LOCAL, return_path: str = ""
) -> list[WantedRecord]:
    """The records for one domain served by the host `hostname`. A domain that is only passed on may send from
    elsewhere: what its SPF says is not for us to say. `return_path` is where its bounces come back to."""
    records = [wanted_mx(domain, hostname)]
    if kind is not DomainKind.RELAY:
        records.append(wanted_spf(domain))
    records += return_path_wanted(return_path, hostname) if return_path else []
    return [*records, wanted_host(hostname), wanted_ptr(hostname)]


def wanted_mx(domain: str, hostname: str) -> WantedRecord:
    return WantedRecord(domain, "MX", f"10 {hostname}.", "other servers bring mail here")


def wanted_spf(domain: str) -> WantedRecord:
    return WantedRecord(domain, "TXT", SPF, "only this host sends as the domain (SPF, RFC 7208)")


def return_path_wanted(name: str, hostname: str) -> list[WantedRecord]:
    """The records of a domain for return addresses alone."""
    return [
        WantedRecord(name, "MX", f"10 {hostname}.", "bounces come back here"),
        WantedRecord(name, "TXT", SPF, "only this host sends under its return addresses (SPF, RFC 7208)"),
    ]


def wanted_host(hostname: str) -> WantedRecord:
    return WantedRecord(hostname, "A", "<public IPv4 address of this machine>", "and AAAA where it has IPv6")


def wanted_ptr(hostname: str, address: str = "") -> WantedRecord:
    name = ip_address(address).reverse_pointer if address else "<reverse name of that address>"
    return WantedRecord(name, "PTR", f"{hostname}.", "set by whoever rents you the address")


async def check_domain(
    resolver: Resolver, domain: str, hostname: str, kind: DomainKind = DomainKind.LOCAL, return_path: str = ""
) -> list[CheckedRecord]:
    """Every record that the domain wants, as it stands now."""
    mx, spf, back, host = await asyncio.gather(
        check_mx(resolver, domain, hostname),
        _spf_of(resolver, domain, kind),
        check_return_path(resolver, return_path, hostname),
        _collect(check_host(resolver, hostname)),
    )
    return [mx, *spf, *back, *host]


async def check_return_path(resolver: Resolver, name: str, hostname: str) -> list[CheckedRecord]:
    """Those of a domain for return addresses; none where there is none."""
    if not name:
        return []
    checked = await asyncio.gather(check_mx(resolver, name, hostname), check_spf(resolver, name))
    return [
        replace(one, wanted=wanted) for one, wanted in zip(checked, return_path_wanted(name, hostname), strict=True)
    ]


async def _spf_of(resolver: Resolver, domain: str, kind: DomainKind) -> list[CheckedRecord]:
    return [] if kind is DomainKind.RELAY else [await check_spf(resolver, domain)]


async def _collect(records: AsyncIterator[CheckedRecord]) -> list[CheckedRecord]:
    return [record async for record in records]


async def check_mx(resolver: Resolver, domain: str, hostname: str) -> CheckedRecord:
    answer = await resolver.mx(domain)
    wanted = wanted_mx(domain, hostname)
    hosts = [record.host.lower() for record in answer.mx]
    found = tuple(f"{record.preference} {record.host or '.'}" for record in answer.mx)
    if hostname.lower() in hosts:
        return CheckedRecord(wanted, Standing.FOUND, found, f"{domain} MX leads to {hostname}")
    words = f"leads to {', '.join(host or 'nowhere (null MX)' for host in hosts)}" if hosts else _missing(answer)
    change = f"publish: {domain}. IN MX 10 {hostname}."
    return CheckedRecord(wanted, _standing(answer, found), found, f"{domain} MX {words}", change)


async def check_spf(resolver: Resolver, domain: str) -> CheckedRecord:
    answer = await resolver.txt(domain)
    wanted = wanted_spf(domain)
    found = tuple(text for text in answer.records if text.lower().startswith("v=spf1"))
    if len(found) == 1:
        return CheckedRecord(wanted, Standing.FOUND, found, f"{domain} has SPF: {found[0]}")
    if found:
        text, change = f"{domain} has {len(found)} SPF records", "keep one; RFC 7208 §4.5 allows no more"
        return CheckedRecord(wanted, Standing.DIFFERENT, found, text, change)
    change = f"publish: {domain}. IN TXT {SPF}"
    return CheckedRecord(wanted, _standing(answer, found), (), f"{domain} SPF {_missing(answer)}", change)


async def check_host(resolver: Resolver, hostname: str) -> AsyncIterator[CheckedRecord]:
    """The host has an address, and the address names the host: many servers refuse mail from one that does not."""
    answer = await resolver.addresses(hostname)
    wanted = wanted_host(hostname)
    if not answer.records:
        text = f"{hostname} address {_missing(answer)}"
        change = f"publish: {hostname}. IN A <public address of this machine>"
        yield CheckedRecord(wanted, _standing(answer, ()), (), text, change)
        return
    yield CheckedRecord(wanted, Standing.FOUND, answer.records, f"{hostname} is {', '.join(answer.records)}")
    for address in answer.records:
        yield await _check_ptr(resolver, hostname, address)


async def _check_ptr(resolver: Resolver, hostname: str, address: str) -> CheckedRecord:
    answer = await resolver.ptr(address)
    wanted = wanted_ptr(hostname, address)
    if hostname.lower() in (name.rstrip(".").lower() for name in answer.records):
        text = f"{hostname} is {address}, and {address} is {hostname}"
        return CheckedRecord(wanted, Standing.FOUND, answer.records, text)
    words = f"is {', '.join(answer.records)}" if answer.records else _missing(answer)
    change = f"have whoever rents you {address} set its PTR to {hostname}"
    standing = _standing(answer, answer.records)
    return CheckedRecord(wanted, standing, answer.records, f"{address} PTR {words}", change)


# --- in words, for the command line ---


async def verify_return_path(resolver: Resolver, name: str, hostname: str) -> list[RecordFinding]:
    return [_finding(one) for one in await check_return_path(resolver, name, hostname)]


async def verify_mx(resolver: Resolver, domain: str, hostname: str) -> RecordFinding:
    return _finding(await check_mx(resolver, domain, hostname))


async def verify_spf(resolver: Resolver, domain: str) -> RecordFinding:
    return _finding(await check_spf(resolver, domain))


async def verify_host(resolver: Resolver, hostname: str) -> AsyncIterator[RecordFinding]:
    async for record in check_host(resolver, hostname):
        if record.wanted.kind == "PTR" or not record.good:  # the PTR's words name the address too
            yield _finding(record)


def _finding(record: CheckedRecord) -> RecordFinding:
    return RecordFinding(record.good, record.text, record.change)


def _standing(answer: DnsAnswer, found: Sequence[str]) -> Standing:
    """Of a record that is not as it should be."""
    if found:
        return Standing.DIFFERENT
    return Standing.UNKNOWN if answer.outcome is DnsOutcome.FAILED else Standing.MISSING


def _missing(answer: DnsAnswer) -> str:
    if answer.outcome is DnsOutcome.FAILED:
        return f"could not be looked up ({answer.detail})"
    return "does not exist"
