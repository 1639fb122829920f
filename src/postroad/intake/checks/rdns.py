"""Reverse DNS, confirmed: the client's address has a name, and that name leads back to the address (FCrDNS).

Whoever runs a mail server can have both; most machines that were taken over by somebody have neither.
"""

from __future__ import annotations

from ipaddress import ip_address

from postroad.intake.verdicts import Verdict, noted, passed, refused
from postroad.mail.status import status
from postroad.ports.dns import DnsOutcome, Resolver

STEP = "rdns"
MAX_NAMES = 4  # of one address: whoever gives it more of them only wants us to ask
REFUSED = status(  # RFC 7372 §3.3
    550, "5.7.25", "your address has no confirmed host name: it needs a PTR whose name leads back to it"
)


class ReverseDns:
    """The look-up for one address. With `refuses`, what is surely not confirmed is refused."""

    def __init__(self, resolver: Resolver, *, weight: float, refuses: bool) -> None:
        self._resolver = resolver
        self._weight = weight
        self._refuses = refuses

    async def look(self, address: str) -> Verdict:
        answer = await self._resolver.ptr(address)
        if answer.outcome is DnsOutcome.FAILED:
            return noted(STEP, "the name could not be looked up", 0.0)
        names = [name for name in answer.records if name][:MAX_NAMES]
        if not names:
            return self._against(f"{address} has no name", "its address has no host name")
        unsure = False
        for name in names:
            found = await self._resolver.addresses(name, 6 if ":" in address else 4)
            if _contains(found.records, address):
                return passed(STEP, name)
            unsure = unsure or found.outcome is DnsOutcome.FAILED
        if unsure:
            return noted(STEP, f"{names[0]} could not be looked up", 0.0)
        return self._against(f"{names[0]} does not lead back to {address}", "its host name is not confirmed")

    def _against(self, reason: str, public: str) -> Verdict:
        return refused(STEP, reason, REFUSED) if self._refuses else noted(STEP, reason, self._weight, public)


def _contains(records: tuple[str, ...], address: str) -> bool:
    """IPv6 addresses have many spellings."""
    if address in records:
        return True
    return ":" in address and any(ip_address(record) == ip_address(address) for record in records)
