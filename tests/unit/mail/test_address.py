"""Addresses, domains and paths of the envelope."""

import pytest

from postroad.mail.address import (
    Address,
    AddressError,
    Domain,
    canonical_local_part,
    parse_forward_path,
    parse_reverse_path,
)


def test_an_address_keeps_its_local_part_and_folds_its_domain():
    address = Address.parse("Alice.B@EXAMPLE.com")
    assert str(address) == "Alice.B@example.com"
    assert address.key == "alice.b@example.com"
    assert address.is_ascii


@pytest.mark.parametrize(
    ("local_part", "canonical"),
    [
        ("Bob", "bob"),
        ('"Bob"', "bob"),
        ('"b\\ob"', "bob"),
        ('"a b"', '"a b"'),
        ('"a@b"', '"a@b"'),
        ("Jürgen", "jürgen"),
    ],
)
def test_what_local_parts_are_compared_by(local_part, canonical):
    assert canonical_local_part(local_part) == canonical


def test_domains():
    domain = Domain.parse("Bücher.example")
    assert (domain.ascii, domain.unicode) == ("xn--bcher-kva.example", "bücher.example")
    assert Domain.parse("xn--a.example").unicode == "xn--a.example"  # no true A-label: shown as it is
    assert not domain.is_literal
    assert domain.literal_address is None


@pytest.mark.parametrize(
    ("text", "ascii_form", "address"),
    [("[192.0.2.1]", "[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:DB8:0::1]", "[ipv6:2001:db8::1]", "2001:db8::1")],
)
def test_address_literals(text, ascii_form, address):
    domain = Domain.parse(text)
    assert domain.is_literal
    assert (domain.ascii, domain.literal_address) == (ascii_form, address)


@pytest.mark.parametrize(
    "text", ["[192.0.2.256]", "[192.0.2.1", "[]", "[IPv6:x]", "[2001:db8::1]", "-a.test", "a..b", "a_b", "ü..x"]
)
def test_what_is_no_domain(text):
    with pytest.raises(AddressError):
        Domain.parse(text)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("a" * 64 + "@b.test", "a" * 65 + "@b.test"),  # RFC 5321 §4.5.3.1.1
        ("ü" * 32 + "@b.test", "ü" * 33 + "@b.test"),  # in octets
        ("a@" + "b" * 63, "a@" + "b" * 64),  # RFC 1035 §2.3.4
        ("a@" + ".".join(["b" * 62] * 4), "a@" + ".".join(["b" * 62] * 4) + "bb"),  # RFC 5321 §4.5.3.1.3: 254 octets
    ],
)
def test_lengths_on_each_side_of_the_edge(good, bad):
    assert Address.parse(good)
    with pytest.raises(AddressError):
        Address.parse(bad)


def test_reverse_paths():
    assert parse_reverse_path("").null
    assert str(parse_reverse_path("")) == ""
    assert str(parse_reverse_path("a@b.test")) == "a@b.test"
    assert (
        str(parse_reverse_path("@x.test,@y.test:a@b.test")) == "a@b.test"
    )  # RFC 5321 appendix C: the route is dropped


def test_forward_paths():
    assert str(parse_forward_path("PostMaster")) == "PostMaster"
    assert parse_forward_path("postmaster").domain is None
    assert parse_forward_path("postmaster").address is None
    assert parse_forward_path("a@b.test").address == Address.parse("a@b.test")


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "@b.test", "a@", "@x.test:", "@x.test a@b.test", "@x.test,a@b.test", "<a@b.test>", "a b@c.test"),
        *("a\udc85@b.test", '"a\udc85"@b.test'),  # octets that were no UTF-8: no database and no wire takes them
    ],
)
def test_what_is_no_forward_path(text):
    with pytest.raises(AddressError):
        parse_forward_path(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('"al\\ice"@example.com', "alice@example.com"),
        ('"a\\b c"@example.com', '"ab c"@example.com'),
        ('"a\\"b\\\\c"@example.com', '"a\\"b\\\\c"@example.com'),
        ("\u0130@example.com", "i\u0307@example.com"),
        ("\u1e9e\u0323@example.com", "\u00df\u0323@example.com"),
    ],
)
def test_a_key_is_spelt_one_way(text: str, key: str) -> None:
    assert Address.parse(text).key == key
    assert Address.parse(key).key == key
