"""Records and policies of MTA-STS, as they are and as they are got wrong."""

from __future__ import annotations

import pytest

from postroad.mailauth.mtasts import (
    MAX_AGE,
    MAX_MX,
    BadPolicy,
    StsMode,
    StsPolicy,
    policy_id,
    policy_url,
    read_policy,
    record_name,
)

POLICY = "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n"


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=a1"], "a1"),
        (["v=spf1 -all", "v=STSv1 ; more=x; id = a1 ;"], "a1"),
        ([], ""),
        (["v=STSv1; id=a1", "v=STSv1; id=a1"], ""),
        (["v=STSv2; id=a1"], ""),
        (["v=STSv1; id=a-1"], ""),
        (["v=STSv1; id=" + "a" * 33], ""),
        (["v=STSv1"], ""),
        (["V=STSv1; id=a1"], ""),
    ],
)
def test_ids(records, found):
    assert policy_id(records) == found


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_policy(end):
    policy = read_policy(POLICY.replace("\n", end))
    assert policy == StsPolicy(StsMode.ENFORCE, 604800, ("mail.example.com", "*.example.net"))
    assert "\n".join(policy.lines) + "\n" == POLICY


def test_unknown_fields_and_repetitions_are_passed_over():
    assert read_policy("odd: x\n" + POLICY + "mode: none\nmax_age: 1\n").mode is StsMode.ENFORCE


def test_none_needs_no_hosts_and_time_is_bounded():
    assert read_policy("version: STSv1\nmode: none\nmax_age: 9999999999") == StsPolicy(StsMode.NONE, MAX_AGE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        POLICY.replace("STSv1", "STSv2"),
        POLICY.replace("enforce", "Enforce"),
        POLICY.replace("604800", "-1"),
        POLICY.replace("604800", "12345678901"),
        POLICY.replace("max_age", "maxage"),
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
        POLICY.replace("*.example.net", "*"),
        POLICY.replace("*.example.net", "a.*.example.net"),
        POLICY.replace("*.example.net", "192.0.2.1:25"),
        POLICY + "<html>\n",
        POLICY + "".join(f"mx: m{number}.example.com\n" for number in range(MAX_MX)),
    ],
    ids=range(12),
)
def test_what_is_no_policy(text):
    with pytest.raises(BadPolicy):
        read_policy(text)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mail.example.com", True),
        ("MAIL.example.com.", True),
        ("mx1.example.net", True),
        ("a.mx1.example.net", False),
        ("example.net", False),
        ("mail.example.org", False),
    ],
)
def test_hosts(host, allowed):
    assert read_policy(POLICY).allows(host) is allowed


def test_where_they_are():
    assert record_name("example.com") == "_mta-sts.example.com"
    assert policy_url("example.com") == "https://mta-sts.example.com/.well-known/mta-sts.txt"
    assert policy_url("example.com", 8443) == "https://mta-sts.example.com:8443/.well-known/mta-sts.txt"
