"""What a reply means, told beside a running server or without one."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import structs

from postroad.app.access import reading
from postroad.config.schema import Settings
from postroad.content.classify import classify
from postroad.content.explain import Explanation, Facts, explain_cause, read_reply
from postroad.ports.store import StoreUnavailable
from postroad.reports.facts import gather, plain_facts, recent_rate, source_addresses


async def explain_text(
    settings: Settings | None, text: str, *, recipient: str = "", sender: str = "", host: str = "", ask_dns: bool = True
) -> Explanation:
    """A reply as somebody pasted it, with our own facts. Without settings there are none of ours."""
    from postroad.adapters.dns import CachingResolver

    cause = classify(read_reply(text), host=host)
    facts = plain_facts(recipient=recipient, sender=sender, hello=settings.hostname if settings else "")
    if settings is None:
        return explain_cause(cause, facts)
    sources = source_addresses(settings)
    now = datetime.now(UTC)
    facts = await _counted(settings, cause.speaker, facts, now)
    if ask_dns:
        resolver = CachingResolver(
            settings.dns.nameservers, timeout=settings.dns.timeout, trust_ad=settings.dns.trust_ad
        )
        try:
            facts = await gather(cause, facts, resolver=resolver, store=None, now=now, sources=sources)
        finally:
            await resolver.close()
    return explain_cause(cause, facts)


async def _counted(settings: Settings, speaker: str, facts: Facts, now: datetime) -> Facts:
    """How much went there lately, where there is a database."""
    if not speaker:
        return facts
    try:
        async with reading(settings) as store:
            return structs.replace(facts, rate=await recent_rate(store, speaker, now))
    except (OSError, StoreUnavailable):
        return facts
