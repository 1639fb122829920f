"""`postroad check` proves that the resolver validates DNSSEC, and says what to do where it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from postroad.app import dnssec
from postroad.app.check import Grade
from postroad.config.schema import Dns, Settings
from postroad.lab.dns import Fault
from postroad.lab.secure import SecureQuarter
from postroad.lab.world import PROBED
from postroad.testing.site import running_world


async def test_each_way_that_a_resolver_may_be(tmp_path: Path) -> None:
    async with running_world() as world:
        usual = Settings("mail.here.test", tmp_path, dns=Dns(nameservers=(world.dns.address,), timeout=1.0))
        trusting = replace(usual, dns=replace(usual.dns, trust_ad=True))

        async def said(settings: Settings) -> tuple[Grade, str]:
            (finding,) = await dnssec.look(settings)
            return finding.grade, f"{finding.text}; {finding.change}"

        grade, words = await said(usual)
        assert (grade, "set dns.trust_ad = true" in words) == (Grade.NOTE, True)
        grade, words = await said(trusting)
        assert grade is Grade.PROBLEM
        assert "dnssec-failed.org is answered, although its signatures are wrong" in words
        world.dns.fault(PROBED[0], Fault.SERVFAIL)
        grade, words = await said(trusting)
        assert (grade, "does not say that it has validated it" in words) == (Grade.PROBLEM, True)
        quarter = await SecureQuarter.open(world, tmp_path)
        await quarter.close()
        grade, words = await said(trusting)
        assert (grade, "refuses dnssec-failed.org and vouches for ietf.org" in words) == (Grade.OK, True)
        grade, words = await said(usual)
        assert (grade, "validates, but is not believed" in words) == (Grade.NOTE, True)
        world.dns.fault(PROBED[1], Fault.SERVFAIL)
        grade, words = await said(trusting)
        assert (grade, "is dns.nameservers right?" in words) == (Grade.PROBLEM, True)


def test_a_resolver_elsewhere_is_told_of() -> None:
    from postroad.ports.dns import DnsAnswer, DnsOutcome

    settings = Settings("mail.here.test", Path("x"), dns=Dns(trust_ad=True))
    good = DnsAnswer(DnsOutcome.FOUND, ("192.0.2.1",), authenticated=True)
    findings = list(dnssec._judge(settings, DnsAnswer(DnsOutcome.FAILED), good, ["192.0.2.53:53"]))
    assert [finding.grade for finding in findings] == [Grade.OK, Grade.NOTE]
    assert "192.0.2.53:53" in findings[1].text
