from datetime import UTC, datetime

import pytest

from postroad.ports.ids import DomainId
from postroad.ports.store import DomainKind, DomainRecord
from postroad.routing.routes import RouteSettings, TransportKind, host_dest, read_smarthost, transport

NOW = datetime(2025, 1, 1, tzinfo=UTC)
RELAY = DomainRecord(DomainId(1), "relay.test", DomainKind.RELAY, NOW, "192.0.2.7", 2525)
SMART = RouteSettings(smarthost="smtp://user:p%40ss@smart.example")


def test_a_remote_domain_goes_by_mx():
    found = transport("remote.test", None, RouteSettings(mx_port=2526))
    assert (found.kind, found.dest, found.host, found.port) == (TransportKind.MX, "mx:remote.test", "remote.test", 2526)


def test_a_relay_domain_goes_to_its_host_whatever_the_smarthost():
    for settings in (RouteSettings(), SMART):
        found = transport("relay.test", RELAY, settings)
        assert (found.kind, found.dest) == (TransportKind.HOST, "host:[192.0.2.7]:2525")
        assert (found.host, found.port) == ("192.0.2.7", 2525)


def test_everything_else_goes_to_the_smarthost():
    found = transport("remote.test", None, SMART)
    assert (found.dest, found.username, found.password) == ("host:smart.example:587", "user", "p@ss")
    assert found.require_tls
    assert not found.implicit_tls
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    ("domain", "dest", "host"),
    [
        ("[192.0.2.1]", "host:[192.0.2.1]:25", "192.0.2.1"),
        ("[ipv6:2001:db8::1]", "host:[2001:db8::1]:25", "2001:db8::1"),
    ],
)
def test_an_address_literal_is_its_own_host(domain, dest, host):
    found = transport(domain, None, RouteSettings())
    assert (found.dest, found.host) == (dest, host)


@pytest.mark.parametrize(
    ("url", "port", "implicit", "tls"),
    [
        ("smtp://h.example", 25, False, False),
        ("smtp://u:p@h.example", 587, False, True),
        ("smtps://h.example", 465, True, True),
        ("smtp://h.example:2525", 2525, False, False),
    ],
)
def test_smarthost_urls(url, port, implicit, tls):
    found = read_smarthost(url)
    assert (found.port, found.implicit_tls, found.require_tls) == (port, implicit, tls)


@pytest.mark.parametrize("url", ["http://h.example", "h.example", "smtp://"])
def test_what_is_no_smarthost(url):
    with pytest.raises(ValueError, match="smarthost"):
        read_smarthost(url)


def test_a_host_name_is_compared_in_lower_case():
    assert host_dest("Relay.Example", 25) == "host:relay.example:25"
