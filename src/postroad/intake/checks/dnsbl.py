"""Lists of clients in DNS, bad ones and good ones (RFC 5782): asked for the client's address, weighed, never trusted.

Only answers that the settings name count. A list that has gone mad (it answers for everybody, for nobody, or says that
it does not serve us) is switched off until it is sane again (`zones.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address

from postroad.config.schema import DnsList
from postroad.intake.checks.zones import Zone, refuses_service
from postroad.intake.verdicts import Verdict, noted, passed
from postroad.ports.dns import DnsOutcome, Resolver

STEP = "dnsbl"


class ListCheck:
    """The look-up of one address in one zone, for all of the settings' tables that name it."""

    def __init__(self, zone: Zone, tables: Sequence[DnsList], resolver: Resolver) -> None:
        self.zone = zone
        self._tables = [(table, [pattern(code) for code in table.codes]) for table in tables]
        self._resolver = resolver

    async def look(self, address: str) -> Verdict | None:
        """What the list says; None where it has nothing to say."""
        zone = self.zone
        if not zone.is_on or (":" in address and not zone.has_ipv6):
            return None
        answer = await self._resolver.addresses(query_name(address, zone.name), 4)
        if answer.outcome is DnsOutcome.FAILED:
            return noted(STEP, f"{zone.name} did not answer", 0.0)
        if bad := next(filter(refuses_service, answer.records), ""):
            zone.switch_off(f"it answers {bad}: it does not serve our resolver")
            return None
        for table, codes in self._tables:
            for code in answer.records:
                if any(fits(code) for fits in codes):
                    return self._listed(table, address, code)
        if answer.records:
            return passed(STEP, f"{zone.name} answers {', '.join(answer.records[:4])}, which does not count")
        return None

    def _listed(self, table: DnsList, address: str, code: str) -> Verdict:
        reason = f"{address} is listed by {table.zone} ({code})"
        if table.weight <= 0:
            return noted(STEP, reason, table.weight)
        more = table.help.replace("{client}", address).replace("{zone}", table.zone)
        return noted(
            STEP, reason, table.weight, f"{address} is listed by {table.zone}{': see ' + more if more else ''}"
        )


def checks(tables: Iterable[DnsList], zones: Iterable[Zone], resolver: Resolver) -> list[ListCheck]:
    """One for each zone."""
    found = list(tables)
    return [ListCheck(zone, [table for table in found if table.zone.lower() == zone.name], resolver) for zone in zones]


def query_name(address: str, zone: str) -> str:
    """RFC 5782 §2.1 and §2.4: the octets, or the 32 nibbles, backwards, in front of the zone."""
    reverse = ip_address(address).reverse_pointer
    return f"{reverse.rpartition('.ip6.' if ':' in address else '.in-addr.')[0]}.{zone}"


def pattern(text: str) -> Callable[[str], bool]:
    """`127.0.0.2-11` or `127.0.*.3` as a test of an answer."""
    bounds = [_bounds(octet) for octet in text.split(".")]

    def fits(code: str) -> bool:
        octets = [int(octet) for octet in code.split(".")]
        return len(octets) == 4 and all(low <= octet <= high for octet, (low, high) in zip(octets, bounds, strict=True))

    return fits


def _bounds(octet: str) -> tuple[int, int]:
    if octet == "*":
        return 0, 255
    low, dash, high = octet.partition("-")
    return int(low), int(high if dash else low)
