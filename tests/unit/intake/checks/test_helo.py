import pytest

from postroad.intake.checks.helo import HeloCheck
from postroad.intake.verdicts import Kind

CLIENT, OURS, LOCAL = "192.0.2.7", "198.51.100.1", "10.0.0.1"


def judge(name, *, client=CLIENT, local=LOCAL, refuses=False):
    check = HeloCheck(names=["mx.example.com"], addresses=[OURS, "2001:db8::1"], weight=2.0, refuses=refuses)
    return check.judge(name, client, local)


@pytest.mark.parametrize(
    "name", ["mail.far.test", "MAIL.FAR.TEST", "mail.far.test.", "a_b.far.test", "xn--bcher-kva.test",
             "1.2.3.4.far.test", "[192.0.2.7]", "example.com"]
)  # fmt: skip
def test_names_that_may_be_true(name):
    assert judge(name).kind is Kind.PASS


@pytest.mark.parametrize(
    "name",
    ["mx.example.com", "MX.Example.COM", "mx.example.com.", f"[{OURS}]", OURS, f"[{LOCAL}]", LOCAL,
     "[IPv6:2001:db8::1]", "[ipv6:2001:DB8:0::1]", f"[IPv6:::ffff:{OURS}]"],
)  # fmt: skip
def test_who_claims_to_be_us_is_refused(name):
    verdict = judge(name)
    assert verdict.kind is Kind.REFUSE
    assert str(verdict.status).startswith("550 5.7.1 ")
    assert "our own" in verdict.status.cause


def test_we_ourselves_may_say_so():
    assert judge("mx.example.com", client=LOCAL).kind is Kind.PASS
    assert judge("mx.example.com", client=OURS).kind is Kind.PASS


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("localhost", "no name of a host"),
        ("pc-1.local", "no name of a host"),
        ("client", "no name of a host"),
        ("-x.far.test", "no name of a host"),
        ("far..test", "no name of a host"),
        ("192.0.2", "no name of a host"),
        ("b\xfccher.test", "no name of a host"),
        ("[192.0.2.8]", "not its own address"),
        ("[IPv6:2001:db8::7]", "not its own address"),
        ("[192.0.2.7", "no address literal"),
        ("[]", "no address literal"),
        ("[mail.far.test]", "no address literal"),
        ("192.0.2.7", "without brackets"),
        ("2001:db8::7", "without brackets"),
        ("x" * 300, "no name of a host"),
    ],
)
def test_names_that_are_none(name, why):
    verdict = judge(name)
    assert (verdict.kind, verdict.weight) == (Kind.NOTE, 2.0)
    assert why in verdict.reason
    assert len(verdict.reason) < 150
    refused = judge(name, refuses=True)
    assert refused.kind is Kind.REFUSE
    assert refused.status.reply_code == 550


def test_a_mapped_address_is_the_same_address():
    assert judge("[IPv6:::ffff:192.0.2.7]").kind is Kind.PASS
    assert judge("[IPv6:2001:db8:0:0::7]", client="2001:db8::7").kind is Kind.PASS
