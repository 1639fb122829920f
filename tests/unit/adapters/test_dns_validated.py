"""What the resolver believes of DNSSEC, and the records that DANE wants."""

from __future__ import annotations

import pytest

from postroad.adapters.dns import CachingResolver
from postroad.lab.dns import Fault, LabDns
from postroad.ports.dns import DnsOutcome, TlsaRecord

DIGEST = "ab" * 32
ZONE = f"""
safe.test.             MX 10 mx.safe.test.
mx.safe.test.          A 192.0.2.1
_25._tcp.mx.safe.test. TLSA 3 1 1 {DIGEST}
alias.safe.test.       CNAME mx.safe.test.
away.safe.test.        CNAME mx.plain.test.
mx.plain.test.         A 192.0.2.2
plain.test.            MX 10 mx.plain.test.
"""


@pytest.fixture
async def dns():
    server = LabDns({"test": ZONE})
    server.signed("safe.test")
    await server.start()
    yield server
    server.stop()


def resolver(dns: LabDns, **options) -> CachingResolver:
    return CachingResolver([dns.address], **options)


async def test_the_bit_counts_only_where_the_servers_are_trusted(dns):
    trusting, wary = resolver(dns, trust_ad=True), resolver(dns)
    assert (await trusting.mx("safe.test")).authenticated
    assert not (await wary.mx("safe.test")).authenticated
    assert not (await trusting.mx("plain.test")).authenticated
    absent = await trusting.tlsa("_26._tcp.mx.safe.test")
    assert (absent.outcome, absent.authenticated) == (DnsOutcome.NXDOMAIN, True)


async def test_certificate_records(dns):
    found = await resolver(dns, trust_ad=True).tlsa("_25._tcp.mx.safe.test")
    assert found.tlsa == (TlsaRecord(3, 1, 1, bytes.fromhex(DIGEST)),)
    assert str(found.tlsa[0]) == "3 1 1 abababababababab"


async def test_aliases_are_followed_as_far_as_they_are_signed(dns):
    trusting = resolver(dns, trust_ad=True)
    inside = await trusting.addresses("alias.safe.test")
    assert (inside.canonical, inside.records, inside.authenticated) == ("mx.safe.test", ("192.0.2.1",), True)
    outside = await trusting.addresses("away.safe.test")
    assert (outside.canonical, outside.authenticated) == ("mx.plain.test", False)
    alias = await trusting.cname("away.safe.test")
    assert (alias.records, alias.authenticated, alias.canonical) == (("mx.plain.test",), True, "")
    assert (await trusting.cname("mx.safe.test")).outcome is DnsOutcome.NO_DATA
    assert (await trusting.addresses("mx.safe.test")).canonical == ""


async def test_an_answer_that_fails_is_not_an_answer(dns):
    dns.fault("_25._tcp.mx.safe.test", Fault.SERVFAIL)
    found = await resolver(dns, trust_ad=True, timeout=1).tlsa("_25._tcp.mx.safe.test")
    assert (found.outcome, found.authenticated) == (DnsOutcome.FAILED, False)
