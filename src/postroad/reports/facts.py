"""Our own facts for an explanation: where mail goes out from, what DNS says of that and of the sender's domain."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import structs

from postroad.config.schema import Settings
from postroad.content.classify import Cause
from postroad.content.explain import Facts
from postroad.content.reasons import Fault
from postroad.content.replies import speaker_of
from postroad.ports.dns import DnsAnswer, DnsOutcome, Resolver
from postroad.ports.store import Store
from postroad.reports.dnscheck import check_spf

MAX_ADDRESSES = 4  # of ours that are looked at
LATELY = timedelta(minutes=10)
MAX_ATTEMPTS = 20_000  # of that time that are counted
NOT_SIGNED = "this server does not sign yet"
ABOUT_US = frozenset((Fault.OURS, Fault.REPUTATION, Fault.POLICY, Fault.CONTENT))  # where what DNS says of us matters


def plain_facts(*, recipient: str = "", sender: str = "", hello: str = "") -> Facts:
    """What needs no look-up."""
    return Facts(
        recipient=recipient, domain=_domain(recipient), sender=sender, sender_domain=_domain(sender), hello=hello
    )


def about_recipient(facts: Facts, recipient: str) -> Facts:
    """The same for one recipient."""
    return structs.replace(facts, recipient=recipient, domain=_domain(recipient))


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower() if "@" in address else ""


def source_addresses(settings: Settings) -> list[str]:
    """The addresses that mail leaves from, where the settings name them."""
    named = [settings.delivery.source_address, *(address for pool in settings.pool for address in pool.addresses)]
    return [address for address in dict.fromkeys(named) if address]


async def gather(
    cause: Cause,
    facts: Facts,
    *,
    resolver: Resolver | None,
    store: Store | None,
    now: datetime,
    sources: Sequence[str] = (),
) -> Facts:
    """All that bears on this cause. Without a resolver or a store, what they know is left out."""
    if store is not None and cause.speaker:
        facts = structs.replace(facts, rate=await recent_rate(store, cause.speaker, now))
    if resolver is None or cause.fault not in ABOUT_US:
        return facts
    return await look_up(resolver, facts, sources)


async def recent_rate(store: Store, speaker: str, now: datetime) -> str:
    """How much went there lately, in words; empty where nothing did."""
    hosts: list[str] = await store.read(lambda tx: tx.messages.recent_hosts(now - LATELY, MAX_ATTEMPTS))
    number = sum(speaker_of(host, "") == speaker for host in hosts)
    if not number:
        return ""
    return f"{number:,} message{'s' if number > 1 else ''} in {LATELY.total_seconds() / 60:.0f} minutes"


async def look_up(resolver: Resolver, facts: Facts, sources: Sequence[str] = ()) -> Facts:
    """The same with what DNS has now. `sources` are the addresses that mail goes out from; left out: those that our
    host name has."""
    domain = facts.sender_domain
    (address, ptr), spf, dmarc = await asyncio.gather(
        _from_where(resolver, facts, sources), _spf(resolver, domain), _dmarc(resolver, domain)
    )
    dkim = NOT_SIGNED if domain else ""
    return structs.replace(facts, address=address, ptr=ptr, spf=spf, dkim=dkim, dmarc=dmarc)


async def _from_where(resolver: Resolver, facts: Facts, sources: Sequence[str]) -> tuple[str, str]:
    addresses = [facts.address] if facts.address else list(sources)
    if not addresses and facts.hello:
        addresses = list((await resolver.addresses(facts.hello)).records)
    addresses = addresses[:MAX_ADDRESSES]
    names = await asyncio.gather(*(_ptr(resolver, address, facts.hello) for address in addresses))
    return ", ".join(addresses), "; ".join(dict.fromkeys(names))


async def _ptr(resolver: Resolver, address: str, hello: str) -> str:
    answer = await resolver.ptr(address)
    if not answer.records:
        return _absent(answer, "no PTR record")
    name = answer.records[0].rstrip(".")
    back = await resolver.addresses(name)
    if back.outcome is not DnsOutcome.FAILED and address not in back.records:
        return f"{name}, which does not lead back to {address}"
    return name if not hello or name.lower() == hello.lower() else f"{name}, not {hello}"


async def _spf(resolver: Resolver, domain: str) -> str:
    if not domain:
        return ""
    record = await check_spf(resolver, domain)
    return record.found[0] if record.good else record.text.removeprefix(f"{domain} ")


async def _dmarc(resolver: Resolver, domain: str) -> str:
    if not domain:
        return ""
    answer = await resolver.txt(f"_dmarc.{domain}")
    found = [text for text in answer.records if text.lower().startswith("v=dmarc1")]
    return found[0] if found else _absent(answer, "no DMARC record")


def _absent(answer: DnsAnswer, words: str) -> str:
    return f"not known: {answer.detail}" if answer.outcome is DnsOutcome.FAILED else words
