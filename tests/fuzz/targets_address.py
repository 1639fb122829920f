"""Addresses of envelopes: what is read is written so that it reads the same again, and has one key."""

from postroad.mail.address import (
    MAX_DOMAIN,
    MAX_LOCAL_PART,
    Address,
    AddressError,
    Domain,
    canonical_local_part,
    parse_forward_path,
    parse_reverse_path,
)
from postroad.testing.fuzzing import Target


def path(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    domain(text)
    address(text)
    try:
        reverse, forward = parse_reverse_path(text), parse_forward_path(text)
    except AddressError:
        return
    assert reverse.null is (text == "")
    for found in (reverse.address, forward.address):
        if found is not None:
            assert str(found).rpartition("@")[2] == found.domain.ascii
            address(str(found))


def domain(text: str) -> None:
    try:
        found = Domain.parse(text)
    except AddressError:
        return
    assert found.ascii.isascii()
    assert found.ascii == found.ascii.lower()
    assert found.ascii.isprintable()
    assert len(found.ascii) <= MAX_DOMAIN
    assert Domain.parse(str(found)) == found
    assert found.unicode.isprintable()
    assert (found.literal_address is not None) is found.is_literal


def address(text: str) -> None:
    try:
        found = Address.parse(text)
    except AddressError:
        return
    assert len(found.local_part.encode()) <= MAX_LOCAL_PART
    assert not {"\r", "\n", "\0"} & set(str(found))
    again = Address.parse(str(found))
    assert again == found
    assert again.key == found.key
    local_part, _, rest = found.key.rpartition("@")
    assert canonical_local_part(local_part) == local_part, "what is compared by is spelt one way"
    assert rest == found.domain.ascii


SEEDS = (
    b"alice@example.com", b'"a\\"b c"@example.com', b"@a.example,@b.example:bob@c.example", b"Postmaster", b"",
    "jörg@bücher.example".encode(), b"x@[192.0.2.1]", b"x@[IPv6:2001:db8::1]", b'"alice"@EXAMPLE.com',
    b"a@xn--bcher-kva.example",
    "点看@例え.テスト".encode(), b"a" * 64 + b"@" + b"b" * 63 + b".example", "a\u0308@e\u0301.example".encode(),
)  # fmt: skip
WORDS = (
    b"@", b'"', b"\\", b".", b"[", b"]", b"IPv6:", b"xn--", b":", b",", b"..", b"-", "\u3002".encode(), "ß".encode(),
    "\u200d".encode(), "\u202e".encode(), "\uff20".encode(), "\u212a".encode(), "\u0130".encode(), "\u2028".encode(),
    b"\xed\xa0\x80", b"::ffff:192.0.2.1",
)  # fmt: skip
TARGETS = {"address": Target(path, SEEDS, WORDS)}
