import pytest

from postroad.config.schema import DnsList
from postroad.intake.checks.dnsbl import checks, pattern, query_name
from postroad.intake.checks.zones import LISTED, LISTED_6, NOT_LISTED, NOT_LISTED_6, Zone, ZoneWatch
from postroad.intake.verdicts import Kind
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.dns import TableResolver

BL = "bl.test"


@pytest.fixture
def dns():
    resolver = TableResolver()
    resolver.hosts[f"{LISTED}.{BL}"] = ("127.0.0.2",)
    return resolver


@pytest.fixture
def zone():
    zone = Zone(BL)
    zone.switch_on(has_ipv6=True)
    return zone


def look(dns, zone, address, *tables):
    (check,) = checks(tables or [DnsList(BL, 5.0)], [zone], dns)
    return check.look(address)


def listed(dns, address, *codes):
    dns.hosts[query_name(address, BL)] = codes


def test_names_that_are_asked_for():
    assert query_name("192.0.2.99", BL) == "99.2.0.192.bl.test"
    assert query_name("2001:db8:1:2:3:4:567:89ab", "v6.test") == (
        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.v6.test"
    )  # RFC 5782 §2.4
    assert query_name("::ffff:127.0.0.2", BL) == f"{LISTED_6}.bl.test"
    assert query_name("::ffff:7f00:1", BL) == f"{NOT_LISTED_6}.bl.test"
    assert (query_name("127.0.0.2", BL), query_name("127.0.0.1", BL)) == (f"{LISTED}.{BL}", f"{NOT_LISTED}.{BL}")


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("127.0.0.2", ["127.0.0.2"], ["127.0.0.3", "127.0.1.2"]),
        ("127.0.0.2-11", ["127.0.0.2", "127.0.0.11"], ["127.0.0.1", "127.0.0.12"]),
        ("127.0.*.1-3", ["127.0.9.1", "127.0.255.3"], ["127.0.9.0", "127.1.9.1"]),
    ],
)
def test_patterns(text, good, bad):
    fits = pattern(text)
    assert all(map(fits, good))
    assert not any(map(fits, bad))


async def test_who_is_listed_is_noted(dns, zone):
    listed(dns, "192.0.2.7", "127.0.0.2")
    verdict = await look(dns, zone, "192.0.2.7", DnsList(BL, 5.0, help="https://{zone}/?ip={client}"))
    assert (verdict.kind, verdict.weight) == (Kind.NOTE, 5.0)
    assert verdict.reason == "192.0.2.7 is listed by bl.test (127.0.0.2)"
    assert verdict.public == "192.0.2.7 is listed by bl.test: see https://bl.test/?ip=192.0.2.7"


async def test_who_is_not_listed_is_passed_over(dns, zone):
    assert await look(dns, zone, "192.0.2.7") is None


async def test_only_the_answers_of_the_settings_count(dns, zone):
    listed(dns, "192.0.2.7", "127.0.0.10", "203.0.113.1")
    verdict = await look(dns, zone, "192.0.2.7")
    assert (verdict.kind, verdict.weight) == (Kind.PASS, 0.0)
    assert "127.0.0.10" in verdict.reason
    verdict = await look(dns, zone, "192.0.2.7", DnsList(BL, 5.0), DnsList(BL, 1.5, ("127.0.0.10",)))
    assert verdict.weight == 1.5
    assert dns.asked.count(query_name("192.0.2.7", BL)) == 2


async def test_a_list_of_good_ones_weighs_for_them(dns, zone):
    listed(dns, "192.0.2.7", "127.0.5.2")
    verdict = await look(dns, zone, "192.0.2.7", DnsList(BL, -3.0, ("127.0.*.1-3",)))
    assert (verdict.weight, verdict.public) == (-3.0, "")


async def test_a_dns_failure_weighs_nothing(dns, zone):
    dns.failing.add(query_name("192.0.2.7", BL))
    verdict = await look(dns, zone, "192.0.2.7")
    assert (verdict.weight, verdict.is_unsure, zone.is_on) == (0.0, True, True)


async def test_a_list_that_does_not_serve_us_is_off_at_once(dns, zone):
    listed(dns, "192.0.2.7", "127.255.255.254")
    assert await look(dns, zone, "192.0.2.7", DnsList(BL, 5.0, ("127.*.*.*",))) is None
    assert not zone.is_on
    assert "127.255.255.254" in zone.why_off


async def test_a_list_that_is_off_is_not_asked(dns, zone):
    zone.switch_off("mad")
    assert await look(dns, zone, "192.0.2.7") is None
    assert dns.asked == []


async def test_ipv6_is_asked_only_where_it_is_listed(dns, zone):
    listed(dns, "2001:db8::7", "127.0.0.2")
    assert (await look(dns, zone, "2001:db8::7")).weight == 5.0
    zone.switch_on(has_ipv6=False)
    assert await look(dns, zone, "2001:db8::7") is None


# --- whether a list is sane (RFC 5782 §5) ---


async def test_a_sane_list_is_used(dns):
    zone = Zone(BL)
    assert not zone.is_on
    assert await zone.test(dns) == ""
    assert (zone.is_on, zone.has_ipv6, zone.why_off) == (True, False, "")
    dns.hosts[f"{LISTED_6}.{BL}"] = ("127.0.0.2",)
    await zone.test(dns)
    assert zone.has_ipv6
    dns.hosts[f"{NOT_LISTED_6}.{BL}"] = ("127.0.0.2",)
    await zone.test(dns)
    assert (zone.is_on, zone.has_ipv6) == (True, False)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ({}, "does not list its test point"),
        ({LISTED: "203.0.113.80"}, "does not list its test point"),
        ({LISTED: "127.0.0.2", NOT_LISTED: "127.0.0.2"}, "lists 127.0.0.1"),
        ({LISTED: "203.0.113.80", NOT_LISTED: "203.0.113.80"}, "lists 127.0.0.1"),
        ({LISTED: "127.255.255.254"}, "does not serve our resolver"),
        ({LISTED: "127.0.0.2", NOT_LISTED: "127.255.255.255"}, "does not serve our resolver"),
    ],
)
async def test_mad_lists_are_off(points, why, zone):
    dns = TableResolver()
    dns.hosts = {f"{point}.{BL}": (code,) for point, code in points.items()}
    assert why in await zone.test(dns)
    assert not zone.is_on
    assert why in zone.why_off


@pytest.mark.parametrize("point", [LISTED, NOT_LISTED])
async def test_a_dns_failure_changes_nothing(dns, zone, point):
    dns.failing.add(f"{point}.{BL}")
    assert await zone.test(dns) == "SERVFAIL"
    assert zone.is_on
    new = Zone(BL)
    await new.test(dns)
    assert not new.is_on


def test_what_was_found_is_forgotten_when_a_list_changes():
    changes = []
    zone = Zone(BL)
    zone.changed = lambda: changes.append(zone.is_on)
    zone.switch_off("mad")
    zone.switch_on(has_ipv6=False)
    zone.switch_on(has_ipv6=False)
    zone.switch_off("mad")
    zone.switch_off("mad")
    assert changes == [True, False]


async def test_lists_are_tested_as_long_as_the_server_runs(dns):
    import asyncio

    clock, zone = JumpingClock(), Zone(BL)
    watch = asyncio.create_task(ZoneWatch([zone], dns, clock, every=3600).run())
    await settle()
    assert zone.is_on
    dns.hosts[f"{NOT_LISTED}.{BL}"] = ("127.0.0.2",)
    await clock.advance(3599)
    assert zone.is_on
    await clock.advance(2)
    assert not zone.is_on
    del dns.hosts[f"{NOT_LISTED}.{BL}"]
    await clock.advance(301)  # one that is off is tested more often
    assert zone.is_on
    watch.cancel()
