import pytest

from postroad.intake.checks.rdns import MAX_NAMES, ReverseDns
from postroad.intake.verdicts import Kind
from postroad.testing.dns import TableResolver


@pytest.fixture
def dns():
    return TableResolver()


def look(dns, address, *, refuses=False):
    return ReverseDns(dns, weight=2.0, refuses=refuses).look(address)


async def test_a_confirmed_name_passes(dns):
    dns.host("mail.far.test", "192.0.2.7")
    verdict = await look(dns, "192.0.2.7")
    assert (verdict.kind, verdict.reason, verdict.weight) == (Kind.PASS, "mail.far.test", 0.0)


async def test_any_of_several_names_will_do(dns):
    dns.names["192.0.2.7"] = ("old.far.test", "mail.far.test")
    dns.hosts = {"old.far.test": ("192.0.2.8",), "mail.far.test": ("192.0.2.9", "192.0.2.7")}
    assert (await look(dns, "192.0.2.7")).reason == "mail.far.test"


async def test_addresses_of_ipv6_are_compared_as_addresses(dns):
    dns.names["2001:db8::7"] = ("mail.far.test",)
    dns.hosts["mail.far.test"] = ("2001:0db8:0:0::7", "192.0.2.7")
    assert (await look(dns, "2001:db8::7")).kind is Kind.PASS


async def test_no_name_is_noted_with_its_weight(dns):
    verdict = await look(dns, "192.0.2.7")
    assert (verdict.kind, verdict.weight, verdict.reason) == (Kind.NOTE, 2.0, "192.0.2.7 has no name")
    assert verdict.public


async def test_a_name_that_leads_elsewhere_is_noted(dns):
    dns.names["192.0.2.7"] = ("www.bank.test",)
    dns.hosts["www.bank.test"] = ("198.51.100.1",)
    verdict = await look(dns, "192.0.2.7")
    assert (verdict.weight, verdict.reason) == (2.0, "www.bank.test does not lead back to 192.0.2.7")


async def test_where_it_is_asked_for_it_is_refused(dns):
    verdict = await look(dns, "192.0.2.7", refuses=True)
    assert verdict.kind is Kind.REFUSE
    assert str(verdict.status).startswith("550 5.7.25 ")
    assert verdict.status.cause == "rdns: 192.0.2.7 has no name"


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize("broken", ["192.0.2.7", "mail.far.test"])
async def test_dns_that_fails_is_nobodys_fault(dns, broken, refuses):
    dns.host("mail.far.test", "192.0.2.7")
    dns.failing.add(broken)
    verdict = await look(dns, "192.0.2.7", refuses=refuses)
    assert (verdict.kind, verdict.weight, verdict.is_unsure) == (Kind.NOTE, 0.0, True)


async def test_a_client_with_a_thousand_names_is_not_asked_about_all(dns):
    dns.names["192.0.2.7"] = tuple(f"n{number}.far.test" for number in range(1000))
    await look(dns, "192.0.2.7")
    assert len(dns.asked) == 1 + MAX_NAMES
