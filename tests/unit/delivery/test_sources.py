"""Which of our addresses a connection leaves from, and what DNS says of them."""

from __future__ import annotations

import pytest

from postroad.config.schema import PoolSettings
from postroad.delivery.names import Named, name_of, unnamed
from postroad.delivery.sources import Sources
from postroad.ports.dns import DnsAnswer, DnsOutcome
from postroad.ports.net import Endpoint

V4, V6 = Endpoint("203.0.113.5", 25), Endpoint("2001:db8::5", 25)


def bulk(**more):
    return PoolSettings("bulk", ("192.0.2.1", "192.0.2.2", "2001:db8::1"), helo="bulk.example.com", **more)


class TestChoice:
    def test_the_same_group_leaves_from_the_same_address(self):
        sources = Sources.read([bulk()])
        assert {sources.of("bulk", "google") for _ in range(5)} == {sources.of("bulk", "google")}

    def test_groups_are_spread(self):
        sources = Sources.read([bulk()])
        assert {sources.of("bulk", f"group{number}").v4 for number in range(50)} == {"192.0.2.1", "192.0.2.2"}

    def test_without_pools_the_system_chooses(self):
        assert Sources.read([]).of("", "google") is None
        assert Sources.read([], "192.0.2.9").of("", "google").v4 == "192.0.2.9"

    def test_a_family_that_the_pool_lacks_is_not_used(self):
        source = Sources.read([PoolSettings("", ("192.0.2.1",))]).of("", "x")
        assert source.usable((V6, V4)) == (V4,)
        assert source.usable((V6,)) == ()


class TestLimits:
    @pytest.mark.parametrize(("open_now", "full"), [(1, False), (2, True)])
    def test_connections(self, open_now, full):
        source = Sources.read([bulk(connections=2)]).of("bulk", "x")
        source.connections = open_now
        assert source.is_full is full

    def test_messages_are_spaced_evenly(self):
        source = Sources.read([bulk(per_minute=30)]).of("bulk", "x")
        assert [source.take(now) for now in (100.0, 101.9, 102.0)] == [True, False, True]
        assert source.wait(103.0) == 1.0


class Names:
    """A resolver of pointers and addresses."""

    def __init__(self, pointers, addresses):
        self.pointers, self.back = pointers, addresses

    async def ptr(self, address):
        name = self.pointers.get(address)
        if name == "?":
            return DnsAnswer(DnsOutcome.FAILED)
        return DnsAnswer(DnsOutcome.FOUND, (name,)) if name else DnsAnswer(DnsOutcome.NXDOMAIN)

    async def addresses(self, name, family=0):
        return DnsAnswer(DnsOutcome.FOUND, tuple(self.back.get(name, ())))


DNS = Names({"8.8.4.4": "a.example.com.", "9.9.9.9": "b.example.com.", "1.1.1.1": "?"}, {"a.example.com": ("8.8.4.4",)})


@pytest.mark.parametrize(
    ("address", "standing"),
    [("8.8.4.4", Named.CONFIRMED), ("9.9.9.9", Named.ELSEWHERE), ("1.1.1.1", Named.UNKNOWN), ("8.8.8.8", Named.NONE)],
)
async def test_how_an_address_and_its_name_stand(address, standing):
    assert (await name_of(DNS, address)).standing is standing


async def test_only_public_addresses_without_a_name_are_given_up():
    assert await unnamed(DNS, ["8.8.4.4", "8.8.8.8", "1.1.1.1", "127.0.0.1", "10.0.0.1"]) == ["8.8.8.8"]


def test_an_address_without_a_name_is_left_out_where_there_are_others():
    sources = Sources.read([PoolSettings("bulk", ("192.0.2.1", "2001:db8::1"))])
    sources.forget("2001:db8::1")
    assert sources.addresses == ["192.0.2.1"]
    sources.forget("192.0.2.1")
    assert sources.addresses == ["192.0.2.1"], "the last one stays: there is no other way"
