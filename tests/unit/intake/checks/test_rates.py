import pytest

from postroad.intake.checks.rates import HOUR, Buckets, Probing, connections, messages, network_of
from postroad.intake.verdicts import Kind


def take(buckets, key, now, count):
    return [buckets.take(key, now) for _ in range(count)].count(True)


def test_as_many_at_once_as_the_limit_says():
    buckets = Buckets(5, 60.0, keys=100)
    assert take(buckets, "a", 0.0, 5) == 5
    assert not buckets.take("a", 0.0)
    assert buckets.take("b", 0.0)


def test_tokens_come_back_evenly():
    buckets = Buckets(6, 60.0, keys=100)
    take(buckets, "a", 0.0, 6)
    assert not buckets.take("a", 9.0)
    assert take(buckets, "a", 10.0, 6) == 1
    assert take(buckets, "a", 30.0, 6) == 2
    assert take(buckets, "a", 1000.0, 10) == 6


def test_what_was_refused_costs_nothing():
    buckets = Buckets(6, 60.0, keys=100)
    take(buckets, "a", 0.0, 6)
    assert take(buckets, "a", 5.0, 1000) == 0
    assert buckets.take("a", 10.0)


def test_looking_takes_nothing():
    buckets = Buckets(2, 60.0, keys=100)
    assert not buckets.is_empty("a", 0.0)
    take(buckets, "a", 0.0, 1)
    assert not buckets.is_empty("a", 0.0)
    take(buckets, "a", 0.0, 1)
    assert buckets.is_empty("a", 0.0)
    assert not buckets.is_empty("a", 30.0)


def test_memory_is_bounded_and_the_recently_used_stay():
    buckets = Buckets(2, 60.0, keys=100)
    for number in range(10_000):
        buckets.take(f"stranger{number}", 0.0)
        buckets.take("regular", 0.0)
    assert len(buckets) <= 100
    assert buckets.is_empty("regular", 0.0)


def test_address_and_network_each_have_a_limit():
    rate = messages(3, 5, 100)
    assert [rate.take("192.0.2.1", "192.0.2.0/24", 0.0) for _ in range(3)] == [None] * 3
    verdict = rate.take("192.0.2.1", "192.0.2.0/24", 0.0)
    assert (verdict.kind, verdict.step, str(verdict.status)[:9]) == (Kind.DEFER, "message-rate", "451 4.7.1")
    assert "3 from its address or 5 from its network within a minute" in verdict.status.cause
    assert [rate.take("192.0.2.2", "192.0.2.0/24", 0.0) for _ in range(3)] == [None, None, verdict]


@pytest.mark.parametrize(("address", "network"), [(3, 0), (0, 3)])
def test_zero_is_no_limit(address, network):
    rate = connections(address, network, 100)
    assert [rate.take("a", "n", 0.0) is None for _ in range(4)] == [True, True, True, False]
    assert connections(0, 0, 100) is None


def test_too_many_connections_end_with_421():
    rate = connections(1, 0, 100)
    rate.take("a", "n", 0.0)
    assert rate.take("a", "n", 0.0).status.reply_code == 421


def test_probing_is_forgiven_in_time():
    probing = Probing(10, 100)
    assert not probing.is_over("a", 0.0)
    for _ in range(10):
        assert not probing.is_over("a", 0.0)
        probing.missed("a", 0.0)
    assert probing.is_over("a", 0.0)
    assert not probing.is_over("b", 0.0)
    assert not probing.is_over("a", HOUR / 10)
    assert probing.verdict.kind is Kind.DEFER


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("::zz", "::zz"),
    ],
)
def test_networks(address, network):
    assert network_of(address) == network
