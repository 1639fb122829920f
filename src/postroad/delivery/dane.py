"""What DNS says of a host's certificate (RFC 7672 §2.2): its TLSA records, where DNSSEC vouches for the way to them."""

from __future__ import annotations

from msgspec import Struct

from postroad.delivery.mx import Reached, literal
from postroad.mail.status import Status, status
from postroad.mailauth.dane import base_name, usable
from postroad.ports.dns import DnsAnswer, DnsOutcome, Resolver, TlsaRecord

TLSA_FAILED = status(451, "4.7.5", "what the host's certificate must be cannot be looked up", "the resolver failed")


class HostRecords(Struct, frozen=True):
    """`usable` may be empty: then TLS is demanded, but nothing can be proven (RFC 7672 §2.2)."""

    base: str  # the name that they are at, which the server is known by
    usable: tuple[TlsaRecord, ...]
    text: str  # all of them, a line each


async def look_up(resolver: Resolver, host: str, port: int, reached: Reached) -> HostRecords | Status | None:
    """None where there is nothing to hold the host to; a temporary failure where that cannot be known: an attacker who
    suppresses the answer must not get the mail (§2.1.2)."""
    if literal(host) or host.startswith("/"):
        return None
    bases = await _bases(resolver, host, reached)
    if isinstance(bases, Status):
        return bases
    for base in bases:
        answer = await resolver.tlsa(base_name(base, port))
        if answer.outcome is DnsOutcome.FAILED:
            return _failed(answer)
        if answer.authenticated and answer.tlsa:
            lines = (f"{r.usage} {r.selector} {r.matching} {r.data.hex()}" for r in answer.tlsa)
            return HostRecords(base, usable(answer.tlsa), "\n".join(sorted(lines)))
    return None


async def _bases(resolver: Resolver, host: str, reached: Reached) -> tuple[str, ...] | Status:
    """Names at which records would count. Where addresses are not signed nobody is asked: servers of such zones often
    answer questions about TLSA with an error (§2.1.2)."""
    if reached.secure:
        return (reached.canonical, host) if reached.canonical else (host,)
    if not reached.canonical:
        return ()
    alias = await resolver.cname(host)  # the alias itself may be signed, where its target is not (§2.2.2)
    if alias.outcome is DnsOutcome.FAILED:
        return _failed(alias)
    return (host,) if alias.outcome is DnsOutcome.FOUND and alias.authenticated else ()


def _failed(answer: DnsAnswer) -> Status:
    return TLSA_FAILED.because(answer.detail or TLSA_FAILED.cause)
