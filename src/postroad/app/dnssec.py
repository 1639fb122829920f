"""Whether the resolver validates DNSSEC, which `dns.trust_ad` relies on: proven by a name that is signed wrongly."""

from __future__ import annotations

from collections.abc import Iterator

from postroad.adapters.dns import CachingResolver
from postroad.app.check import Finding, Grade
from postroad.config.schema import Settings
from postroad.ports.dns import DnsAnswer, DnsOutcome

AREA = "dnssec"
RUN_ONE = "run a validating resolver such as unbound on this machine, name it in dns.nameservers"


async def look(settings: Settings) -> list[Finding]:
    """Ask for both names, and believe the AD bit for the purpose, whatever the settings say."""
    resolver = CachingResolver(settings.dns.nameservers, timeout=settings.dns.timeout, trust_ad=True)
    try:
        bogus = await resolver.addresses(settings.dns.bogus_name, 4)
        signed = await resolver.addresses(settings.dns.signed_name)
    finally:
        await resolver.close()
    return list(_judge(settings, bogus, signed, [str(one) for one in resolver.servers if not one.is_local]))


def _judge(settings: Settings, bogus: DnsAnswer, signed: DnsAnswer, remote: list[str]) -> Iterator[Finding]:
    validates = bogus.outcome is DnsOutcome.FAILED and signed.authenticated
    if not settings.dns.trust_ad:
        if validates and not remote:
            text = "the resolver validates, but is not believed: no host is held to DANE"
            yield Finding(Grade.NOTE, AREA, text, "set dns.trust_ad = true")
        else:
            yield Finding(Grade.NOTE, AREA, "no host is held to DANE", f"{RUN_ONE}, and set dns.trust_ad = true")
    elif signed.outcome is DnsOutcome.FAILED:
        text = f"{settings.dns.signed_name} cannot be looked up: {signed.detail}"
        yield Finding(Grade.PROBLEM, AREA, text, "is dns.nameservers right? else name another dns.signed_name")
    elif bogus.outcome is not DnsOutcome.FAILED:
        text = (
            f"{settings.dns.bogus_name} is answered, although its signatures are wrong: the resolver does not validate"
        )
        yield Finding(Grade.PROBLEM, AREA, text, f"{RUN_ONE}, or set dns.trust_ad = false")
    elif not validates:
        text = f"{settings.dns.signed_name} is signed, but the resolver does not say that it has validated it"
        yield Finding(Grade.PROBLEM, AREA, text, f"{RUN_ONE}, or set dns.trust_ad = false")
    else:
        names = f"refuses {settings.dns.bogus_name} and vouches for {settings.dns.signed_name}"
        text = f"the resolver {names}: DANE is kept to"
        yield Finding(Grade.OK, AREA, text)
    if settings.dns.trust_ad and remote:
        text = f"dns.trust_ad believes {', '.join(remote)}: whoever stands between can change its answers"
        yield Finding(Grade.NOTE, AREA, text, RUN_ONE)
