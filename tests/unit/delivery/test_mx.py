"""Which hosts take mail for a next hop."""

from __future__ import annotations

import pytest

from postroad.delivery import mx
from postroad.delivery.mx import Hosts, Reached, literal
from postroad.mail.status import Status
from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord
from postroad.ports.net import Endpoint
from postroad.routing.routes import RouteSettings, transport

NOTHING = DnsAnswer(DnsOutcome.NXDOMAIN)


class Zone:
    def __init__(self, mx_records=None, addresses=None):
        self.mx_records, self.address_records = mx_records or {}, addresses or {}

    async def mx(self, name):
        found = self.mx_records.get(name, NOTHING)
        return found if isinstance(found, DnsAnswer) else DnsAnswer(DnsOutcome.FOUND, mx=tuple(found))

    async def addresses(self, name, family=0):
        found = self.address_records.get(name, NOTHING)
        return found if isinstance(found, DnsAnswer) else DnsAnswer(DnsOutcome.FOUND, tuple(found))


class Backwards:
    def fraction(self):
        return 0.5

    def shuffle(self, items):
        items.reverse()


def hosts(zone):
    return Hosts(zone, Backwards(), ("mail.ours.test", "Alias.Ours.Test."))


def to(domain):
    return transport(domain, None, RouteSettings(mx_port=2525))


async def test_by_preference_and_shuffled_among_equals():
    zone = Zone({"a.test": [MxRecord(20, "c.a.test"), MxRecord(10, "a.a.test"), MxRecord(10, "b.a.test")]})
    found = await hosts(zone).of(to("a.test"))
    assert found.names == ("b.a.test", "a.a.test", "c.a.test")
    assert (found.domain, found.secure, found.aliases) == ("a.test", False, ("a.test",))


async def test_what_dnssec_vouches_for_goes_along():
    answer = DnsAnswer(DnsOutcome.FOUND, mx=(MxRecord(10, "x.test"),), authenticated=True, canonical="real.a.test")
    found = await hosts(Zone({"a.test": answer})).of(to("a.test"))
    assert (found.secure, found.aliases) == (True, ("a.test", "real.a.test"))
    addresses = DnsAnswer(DnsOutcome.FOUND, ("192.0.2.1",), authenticated=True, canonical="y.test")
    reached = await hosts(Zone(addresses={"x.test": addresses})).reach("x.test", to("a.test"))
    assert reached == Reached((Endpoint("192.0.2.1", 2525),), secure=True, canonical="y.test")


async def test_without_mx_the_domain_is_its_own_host():
    zone = Zone({"a.test": DnsAnswer(DnsOutcome.NO_DATA)}, {"a.test": ["192.0.2.1"]})
    assert (await hosts(zone).of(to("a.test"))).names == ("a.test",)
    assert (await hosts(zone).reach("a.test", to("a.test"))).endpoints == (Endpoint("192.0.2.1", 2525),)


async def test_families_by_turns_and_what_is_no_address_left_out():
    zone = Zone(addresses={"x.test": ["2001:db8::1", "::", "2001:db8::2", "192.0.2.1", "0.0.0.0", "192.0.2.2"]})
    reached = await hosts(zone).reach("x.test", to("a.test"))
    assert [one.host for one in reached.endpoints] == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"]
    nowhere = Zone(addresses={"x.test": ["0.0.0.0"]})
    assert await hosts(nowhere).reach("x.test", to("a.test")) == mx.HOSTS_UNKNOWN


async def test_an_address_of_our_own_is_a_loop():
    zone = Zone({"a.test": [MxRecord(10, "x.test")]}, {"x.test": ["192.0.2.1", "192.0.2.25"]})
    own = Hosts(zone, Backwards(), (), lambda endpoint: endpoint.host == "192.0.2.25")
    found = await own.reach("x.test", to("a.test"))
    assert (found.enhanced, found.cause) == (mx.LOOP.enhanced, "x.test has an address of this server")
    relay = transport("a.test", None, RouteSettings(smarthost="smtp://x.test:2525"))
    assert isinstance(await own.reach("x.test", relay), Reached), "a host that is named on purpose is another matter"


@pytest.mark.parametrize(
    ("zone", "status"),
    [
        (Zone(), mx.NO_DOMAIN),
        (Zone({"a.test": [MxRecord(0, "")]}), mx.NULL_MX),
        (Zone({"a.test": DnsAnswer(DnsOutcome.FAILED)}), mx.DNS_FAILED),
        (Zone({"a.test": DnsAnswer(DnsOutcome.NO_DATA)}), mx.NO_DOMAIN),
        (Zone({"a.test": DnsAnswer(DnsOutcome.NO_DATA)}, {"a.test": DnsAnswer(DnsOutcome.NO_DATA)}), mx.NO_SERVER),
        (Zone({"a.test": DnsAnswer(DnsOutcome.NO_DATA)}, {"a.test": DnsAnswer(DnsOutcome.FAILED)}), mx.DNS_FAILED),
        (Zone({"a.test": [MxRecord(10, "mail.ours.test"), MxRecord(20, "b.test")]}), mx.LOOP),
        (Zone({"a.test": [MxRecord(10, "ALIAS.ours.test")]}), mx.LOOP),
    ],
    ids=["nxdomain", "null-mx", "servfail", "implicit-nx", "no-address", "implicit-fail", "loop", "loop-alias"],
)
async def test_why_there_is_no_host(zone, status):
    assert await hosts(zone).of(to("a.test")) == status


async def test_hosts_no_better_than_ourselves_are_dropped():
    zone = Zone({"a.test": [MxRecord(10, "x.test"), MxRecord(20, "mail.ours.test"), MxRecord(20, "y.test")]})
    assert (await hosts(zone).of(to("a.test"))).names == ("x.test",)


async def test_a_null_mx_beside_others_is_passed_over():
    zone = Zone({"a.test": [MxRecord(0, ""), MxRecord(20, "y.test")]})
    assert (await hosts(zone).of(to("a.test"))).names == ("y.test",)


@pytest.mark.parametrize(("domain", "address"), [("[192.0.2.7]", "192.0.2.7"), ("[ipv6:2001:db8::1]", "2001:db8::1")])
async def test_an_address_literal_is_its_own_host(domain, address):
    hop = to(domain)
    (host,) = await hosts(Zone()).of(hop)
    assert (await hosts(Zone()).reach(host, hop)).endpoints == (Endpoint(address, 2525),)


async def test_a_host_without_address_waits():
    assert await hosts(Zone()).reach("x.test", to("a.test")) == mx.HOSTS_UNKNOWN
    broken = Zone(addresses={"x.test": DnsAnswer(DnsOutcome.FAILED, detail="timeout")})
    failed = await hosts(broken).reach("x.test", to("a.test"))
    assert isinstance(failed, Status)
    assert (failed.is_temporary, failed.cause) == (True, "timeout")


def test_literals():
    assert [literal(text) for text in ("a.test", "127.0.0.1", "[::1]", "::1")] == ["", "127.0.0.1", "::1", "::1"]
