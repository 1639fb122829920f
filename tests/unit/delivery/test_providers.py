"""Who takes a domain's mail, by the names of its MX hosts."""

from __future__ import annotations

import pytest

from postroad.config.schema import ProviderSettings
from postroad.delivery.providers import Provider, Providers, load_providers, owner_of

SHIPPED = load_providers()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("aspmx.l.google.com", "google"),
        ("ALT1.GMAIL-SMTP-IN.L.GOOGLE.COM.", "google"),
        ("example-com.mail.protection.outlook.com", "microsoft"),
        ("hotmail-com.olc.protection.outlook.com", "outlook.com"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("mx00.emig.gmx.net", "1und1"),
        ("mxa-00123.gslb.pphosted.com", "proofpoint"),
        ("inbound-smtp.eu-west-1.amazonaws.com", "amazon"),
        ("mx1.hoster.example", "hoster.example"),
        ("notgoogle.com", "notgoogle.com"),
    ],
)
def test_the_group_of_a_host(host, name):
    assert SHIPPED.group([host]).name == name


def test_any_host_that_is_known_decides():
    assert SHIPPED.group(["mx.example.org", "aspmx.l.google.com"]).name == "google"


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("mx1.hoster.example", "hoster.example"),
        ("a.b.hoster.example", "hoster.example"),
        ("mx.example.co.uk", "example.co.uk"),
        ("example.co.uk", "example.co.uk"),
        ("mx.abc.de", "abc.de"),
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:db8::7]", "[2001:db8::7]"),
    ],
)
def test_who_a_host_belongs_to(host, owner):
    assert owner_of(host) == owner


def test_the_settings_change_single_values_and_add_rows():
    providers = load_providers(
        [ProviderSettings("google", per_minute=600), ProviderSettings("ours", mx=("*.hoster.example",), connections=3)]
    )
    google = providers.of_host("aspmx.l.google.com")
    assert (google.per_minute, google.recipients) == (600, 100)
    assert providers.group(["mx1.hoster.example"]).connections == 3


def test_the_table_that_ships_is_in_order():
    names = [row.name for row in SHIPPED.rows]
    assert len(names) == len(set(names)) >= 40
    patterns = [pattern for row in SHIPPED.rows for pattern in row.mx]
    assert len(patterns) == len(set(patterns))
    for row in SHIPPED.rows:
        limited = row.connections or row.messages_per_connection or row.recipients or row.per_minute
        assert row.title, row.name
        assert not limited or row.connections < 100, row.name
        assert not row.source or row.source.startswith("https://"), row.name


def test_without_a_table_everybody_is_for_themselves():
    assert Providers(()).group(["mx1.google.com"]) == Provider("google.com")
