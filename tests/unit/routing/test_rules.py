"""The way of a delivery: by hand, by the first route that fits, else by its domain."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from postroad.config.schema import RouteRule
from postroad.mail.status import status
from postroad.ports.ids import ServerId
from postroad.routing.routes import RouteSettings, transport
from postroad.routing.rules import Router, by_hand, read_way
from postroad.testing.sending import make_delivery, make_message

LATER = status(451, "4.3.0", "later")
SMARTHOST = "smtp://us:secret@relay.test:587"


def router(*rules, waiting=lambda dest: 0):
    settings = RouteSettings(25, SMARTHOST)
    return Router(
        lambda domain, direct=False: transport(domain, None, settings, direct=direct), rules, SMARTHOST, waiting
    )


async def way(one, path="b@far.test", at="", dest="", last=None, **message):
    made = replace(make_message(), **message)
    delivery = replace(make_delivery(1, made, path), last_status=last)
    delivery = replace(delivery, dest=dest) if dest else delivery
    found = one.route(made, delivery, at)
    return found if not hasattr(found, "__await__") else await found


async def test_without_routes_the_domain_decides():
    assert (await way(router())).dest == "host:relay.test:587"


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (RouteRule(domain="far.test"), True),
        (RouteRule(domain="*.test"), True),
        (RouteRule(domain="*.far.test"), False),
        (RouteRule(domain="near.test"), False),
        (RouteRule(sender="a@ours.test"), True),
        (RouteRule(sender="@ours.test"), True),
        (RouteRule(sender="@theirs.test"), False),
        (RouteRule(stream="broadcast"), True),
        (RouteRule(stream="outbound"), False),
        (RouteRule(stream="broadcast", domain="near.test"), False),
        (RouteRule(), True),
    ],
)
async def test_what_fits(rule, fits):
    found = await way(router(replace_via(rule)), stream="broadcast", server=ServerId(1))
    assert (found.dest == "mx:far.test") is fits


def replace_via(rule):
    return RouteRule(rule.domain, rule.sender, rule.stream, ("mx",))


async def test_the_first_that_fits_decides():
    rules = RouteRule(domain="far.test", via=("lmtp://10.0.0.1:24",)), RouteRule(via=("mx",))
    found = await way(router(*rules))
    assert (found.dest, found.lmtp) == ("lmtp:[10.0.0.1]:24", True)
    assert (await way(router(*rules), "b@other.test")).dest == "mx:other.test"


class TestFallBack:
    RULE = RouteRule(via=("mx", "smarthost", "smtp://second.test:25"))

    @pytest.mark.parametrize(
        ("failed", "then"),
        [
            ("mx:far.test", "host:relay.test:587"),
            ("host:relay.test:587", "host:second.test:25"),
            ("host:second.test:25", "mx:far.test"),
        ],
    )
    async def test_the_next_way_after_a_failure(self, failed, then):
        assert (await way(router(self.RULE), dest=failed, last=LATER)).dest == then

    async def test_it_stays_where_it_waits(self):
        assert (await way(router(self.RULE), at="host:second.test:25")).dest == "host:second.test:25"

    @pytest.mark.parametrize(
        ("dest", "more"),
        [
            ("mx:far.test", True),
            ("mx:far.test!requiretls", True),
            ("host:relay.test:587", True),
            ("host:second.test:25", False),
            ("host:second.test:25!requiretls", False),
            ("to:192.0.2.7:25", False),
            ("host:where.far.lives:25", False),
        ],
    )
    def test_whether_there_is_another_way(self, dest, more):
        message = make_message()
        delivery = make_delivery(1, message, "b@far.test")
        assert router(self.RULE).other_way(message, delivery, dest) is more

    @pytest.mark.parametrize(("waiting", "dest"), [(9, "mx:far.test"), (10, "host:relay.test:587")])
    async def test_overflow(self, waiting, dest):
        rule = RouteRule(via=("mx", "smarthost"), overflow=10)
        assert (await way(router(rule, waiting=lambda _: waiting))).dest == dest


async def test_a_pool_makes_a_next_hop_of_its_own():
    found = await way(router(RouteRule(via=("mx",), pool="bulk")))
    assert (found.dest, found.pool) == ("mx:far.test#bulk", "bulk")


@pytest.mark.parametrize(
    ("chosen", "dest", "host"),
    [
        ("mx", "to:mx:far.test", "far.test"),
        ("smarthost", "to:smarthost", "relay.test"),
        ("relay.example:2525", "to:relay.example:2525", "relay.example"),
        ("[2001:db8::1]:25", "to:[2001:db8::1]:25", "2001:db8::1"),
        ("lmtp:/run/lmtp", "to:lmtp:/run/lmtp", "/run/lmtp"),
    ],
)
async def test_by_hand(chosen, dest, host):
    assert by_hand(chosen, "b@far.test") == dest
    found = await way(router(), dest=dest)
    assert (found.dest, found.host) == (dest, host)


def test_usual_is_back_to_the_domain():
    assert by_hand("usual", "b@far.test") == "mx:far.test"


@pytest.mark.parametrize("wrong", ["", "two words", "a@b", "far.test:x", "smtp://u:p@relay.test"])
def test_what_is_no_way(wrong):
    with pytest.raises(ValueError, match=r"way|password"):
        by_hand(wrong, "b@far.test")


@pytest.mark.parametrize(("text", "port"), [("relay.test", 25), ("relay.test:2525", 2525), ("smtps://relay.test", 465)])
def test_ports(text, port):
    assert read_way(text).port == port
