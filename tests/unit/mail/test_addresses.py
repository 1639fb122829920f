"""Address lists of header fields, as people and programs send them."""

import pytest

from postroad.mail.addresses import GROUP_END, MAX_ADDRESSES, MAX_TOKENS, Mailbox, parse_addresses


def one(name, local_part, domain, route=None):
    return Mailbox(name, route, local_part, domain)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a@b.test", one(None, b"a", b"b.test")),
        (b"<a@b.test>", one(None, b"a", b"b.test")),
        (b"Ann Bee <a@b.test>", one(b"Ann Bee", b"a", b"b.test")),
        (b"Ann   Bee<a@b.test>", one(b"Ann Bee", b"a", b"b.test")),
        (b'"Bee, Ann" <a@b.test>', one(b"Bee, Ann", b"a", b"b.test")),
        (b'"a \\"q\\" \\\\" <a@b.test>', one(b'a "q" \\', b"a", b"b.test")),
        (b'"" <a@b.test>', one(None, b"a", b"b.test")),
        (b"John Q. Public <a@b.test>", one(b"John Q. Public", b"a", b"b.test")),
        (b"=?utf-8?q?J=C3=BC?= <a@b.test>", one(b"=?utf-8?q?J=C3=BC?=", b"a", b"b.test")),
        (b"a@b.test (Ann)", one(b"Ann", b"a", b"b.test")),
        (b"Ann (her (old) name) <a@b.test>", one(b"Ann", b"a", b"b.test")),
        (b"(Ann) <a@b.test>", one(b"Ann", b"a", b"b.test")),
        (b'"john doe"@b.test', one(None, b"john doe", b"b.test")),
        (b"a@[192.0.2.1]", one(None, b"a", b"[192.0.2.1]")),
        (b"Ann <@x.test,@y.test:a@b.test>", one(b"Ann", b"a", b"b.test", b"@x.test,@y.test")),
        (b"a . b @ c . test", one(None, b"a.b", b"c.test")),
        (b"Ann@work <a@b.test>", one(b"Ann@work", b"a", b"b.test")),
        (b"<a@b.test> Ann", one(b"Ann", b"a", b"b.test")),
        (b"\r\n Ann\r\n\t<a@b.test>", one(b"Ann", b"a", b"b.test")),
        (b"root", one(None, b"root", b"MISSING_DOMAIN")),
        (b"Ann <root>", one(b"Ann", b"root", b"MISSING_DOMAIN")),
        (b"Ann <>", one(b"Ann", b"MISSING_MAILBOX", b"MISSING_DOMAIN")),
        (b"@b.test", one(None, b"MISSING_MAILBOX", b"b.test")),
        (b"Ann <a@b.test", one(b"Ann", b"a", b"b.test")),
        (b'"Ann <a@b.test>', one(None, b"Ann <a@b.test>", b"MISSING_DOMAIN")),
        (b"a@b.test (never closed", one(b"never closed", b"a", b"b.test")),
        (b"a@b@c.test", one(None, b"a@b", b"c.test")),
        (b"\xfcml <a@b.test>", one(b"\xfcml", b"a", b"b.test")),
    ],
)
def test_one_mailbox(value, expected):
    assert parse_addresses(value) == [expected]


@pytest.mark.parametrize("value", [b"", b" ", b",,, ,", b"()", b"<>", b"\0", b"(a)(b)"])
def test_nothing(value):
    assert parse_addresses(value) == []


def test_lists_and_stray_commas():
    assert parse_addresses(b'a@b, , Ann <c@d>,,"x,y" <e@f>,') == [
        one(None, b"a", b"b"),
        one(b"Ann", b"c", b"d"),
        one(b"x,y", b"e", b"f"),
    ]


def test_odd_ones_between_common_ones():
    value = b"a@b, Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>, c@d"
    assert parse_addresses(value) == [
        one(None, b"a", b"b"),
        one(b"Pete", b"pete", b"silly.test"),
        one(None, b"c", b"d"),
    ]


def test_groups():
    assert parse_addresses(b"undisclosed-recipients:;") == [one(None, b"undisclosed-recipients", None), GROUP_END]
    assert parse_addresses(b'"A, B": a@b, c@d; e@f, Last: g@h') == [
        one(None, b"A, B", None),
        one(None, b"a", b"b"),
        one(None, b"c", b"d"),
        GROUP_END,
        one(None, b"e", b"f"),
        one(None, b"Last", None),
        one(None, b"g", b"h"),
        GROUP_END,  # never closed
    ]


def test_limits():
    assert len(parse_addresses(b"a@b," * (MAX_ADDRESSES + 5))) == MAX_ADDRESSES
    assert len(parse_addresses(b"a b c," * MAX_TOKENS)) <= MAX_TOKENS // 3


@pytest.mark.parametrize(
    "unit", [b",", b"<", b"(", b"()", b'"', b"\\", b"@", b"[", b":", b";", b"a,", b"a:", b"\0", b"\xff", b'",']
)
def test_a_hostile_list_of_a_megabyte_is_read_to_its_limit(unit):
    found = parse_addresses(unit * (1_000_000 // len(unit)))
    assert len(found) <= MAX_TOKENS + 1
