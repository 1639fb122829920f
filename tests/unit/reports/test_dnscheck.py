"""How the records of a domain stand: found, missing, different, or not known because nobody answered."""

from dataclasses import dataclass, field

import pytest

from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord
from postroad.ports.store import DomainKind
from postroad.reports.dnscheck import Standing, check_domain, records_wanted

HOST = "mail.example.com"
GONE = DnsAnswer(DnsOutcome.NXDOMAIN)
FAILED = DnsAnswer(DnsOutcome.FAILED, detail="SERVFAIL")


def texts(*records):
    return DnsAnswer(DnsOutcome.FOUND, records)


@dataclass
class Zone:
    """Answers by kind; what is not there does not exist."""

    answers: dict[str, DnsAnswer] = field(default_factory=dict)

    async def mx(self, name):
        return self.answers.get("MX", GONE)

    async def txt(self, name):
        return self.answers.get("TXT", GONE)

    async def addresses(self, name, family=0):
        return self.answers.get("A", GONE)

    async def ptr(self, address):
        return self.answers.get("PTR", GONE)


GOOD = {
    "MX": DnsAnswer(DnsOutcome.FOUND, mx=(MxRecord(10, HOST),)),
    "TXT": texts("hello", "v=spf1 mx -all"),
    "A": texts("192.0.2.1"),
    "PTR": texts(HOST),
}


async def standings(answers, kind=DomainKind.LOCAL):
    checked = await check_domain(Zone(answers), "example.com", HOST, kind)
    return {record.wanted.kind: record.standing for record in checked}


async def test_a_good_zone_has_all():
    checked = await check_domain(Zone(GOOD), "example.com", HOST)
    assert [(record.wanted.kind, record.standing, record.found) for record in checked] == [
        ("MX", Standing.FOUND, (f"10 {HOST}",)),
        ("TXT", Standing.FOUND, ("v=spf1 mx -all",)),
        ("A", Standing.FOUND, ("192.0.2.1",)),
        ("PTR", Standing.FOUND, (HOST,)),
    ]
    assert checked[3].wanted.name == "1.2.0.192.in-addr.arpa"
    assert not any(record.change for record in checked)


@pytest.mark.parametrize(
    ("change", "kind", "standing"),
    [
        ({"MX": GONE}, "MX", Standing.MISSING),
        ({"MX": FAILED}, "MX", Standing.UNKNOWN),
        ({"MX": DnsAnswer(DnsOutcome.FOUND, mx=(MxRecord(5, "old.example"),))}, "MX", Standing.DIFFERENT),
        ({"MX": DnsAnswer(DnsOutcome.FOUND, mx=(MxRecord(0, ""),))}, "MX", Standing.DIFFERENT),
        ({"TXT": texts("hello")}, "TXT", Standing.MISSING),
        ({"TXT": texts("v=spf1 a", "v=spf1 mx")}, "TXT", Standing.DIFFERENT),
        ({"TXT": FAILED}, "TXT", Standing.UNKNOWN),
        ({"A": GONE}, "A", Standing.MISSING),
        ({"PTR": texts("client.isp.example")}, "PTR", Standing.DIFFERENT),
    ],
)
async def test_what_is_wrong_is_told_with_what_to_do(change, kind, standing):
    checked = await check_domain(Zone({**GOOD, **change}), "example.com", HOST)
    (found,) = (record for record in checked if record.wanted.kind == kind)
    assert found.standing is standing
    assert found.change


async def test_a_host_without_an_address_has_no_reverse_name_to_look_for():
    assert list(await standings({**GOOD, "A": GONE})) == ["MX", "TXT", "A"]


async def test_a_relay_domain_may_send_from_elsewhere():
    assert "TXT" not in await standings(GOOD, DomainKind.RELAY)
    assert [record.kind for record in records_wanted("b.test", HOST, DomainKind.RELAY)] == ["MX", "A", "PTR"]
