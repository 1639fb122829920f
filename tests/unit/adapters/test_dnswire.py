"""Questions to a DNS server and what is taken for their answers."""

from __future__ import annotations

import random

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.adapters.dnswire import BadName, Malformed, Query, Reply, query, read
from postroad.ports.dns import MxRecord, TlsaRecord


def response(asked: Query, *sets: tuple[str, int, str, str], rcode: int = 0, soa: str = "", flags: int = 0) -> bytes:
    """What a server would say; each set is (name, TTL, type, value)."""
    message = dns.message.make_response(asked.message, recursion_available=True)
    for name, ttl, kind, value in sets:
        message.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, *value.split("|")))
    if soa:
        values = "ns.test. postmaster.test. 1 3600 600 86400 30"
        message.authority.append(dns.rrset.from_text(soa, 60, "IN", "SOA", values))
    message.set_rcode(dns.rcode.Rcode(rcode))
    message.flags |= flags
    return message.to_wire()


def answer(name: str, kind: str, *sets: tuple[str, int, str, str], **more) -> Reply:
    asked = query(name, kind)
    reply = read(response(asked, *sets, **more), asked)
    assert reply is not None
    return reply


def test_a_question_is_what_others_read():
    asked = dns.message.from_wire(query("mail.example.com", "PTR").wire)
    assert str(asked.question[0]) == "mail.example.com. IN PTR"
    assert asked.flags == dns.flags.RD | dns.flags.AD
    assert (asked.edns, asked.payload) == (0, 1232)
    assert str(dns.message.from_wire(query("", "MX").wire).question[0].name) == "."
    assert len({query("a.test", "A").wire[:2] for _ in range(50)}) > 40


LONG = ".".join(["a" * 62] * 4)


@pytest.mark.parametrize(("good", "bad"), [("a" * 63 + ".test", "a" * 64 + ".test"), ("a.b", "a..b"), ("a", ".a"),
                                           (f"{LONG}.b", f"{LONG}.bc")])  # fmt: skip
def test_names_that_cannot_be(good: str, bad: str):
    assert query(good, "A")
    with pytest.raises(BadName):
        query(bad, "A")


@pytest.mark.parametrize(
    ("kind", "value", "values"),
    [
        ("A", "192.0.2.1|192.0.2.2", ("192.0.2.1", "192.0.2.2")),
        ("AAAA", "2001:db8:0:0::1|::ffff:192.0.2.1", ("2001:db8::1", "::ffff:192.0.2.1")),
        ("PTR", "Host.Test.", ("host.test",)),
        ("CNAME", "elsewhere.test.", ("elsewhere.test",)),
        ("MX", "10 mx.test.|0 .", (MxRecord(10, "mx.test"), MxRecord(0, ""))),
        ("TXT", '"v=spf1 " "-all"|"\\255"', ("v=spf1 -all", "\ufffd")),
        ("TLSA", "3 1 0 abcd", (TlsaRecord(3, 1, 0, b"\xab\xcd"),)),
    ],
)
def test_values_of_each_kind(kind: str, value: str, values: tuple):
    reply = answer("a.test", kind, ("a.test.", 60, kind, value))
    assert sorted(map(str, reply.values)) == sorted(map(str, values))
    assert (reply.rcode, reply.ttl, reply.canonical) == (0, 60, "a.test")


def test_aliases_are_followed_as_far_as_they_go():
    chain = (("a.test.", 300, "CNAME", "B.test."), ("b.test.", 20, "CNAME", "c.test."))
    reply = answer("A.test", "A", *chain, ("c.test.", 60, "A", "192.0.2.1"), ("x.test.", 1, "A", "192.0.2.9"))
    assert (reply.canonical, reply.values, reply.ttl) == ("c.test", ("192.0.2.1",), 20)
    reply = answer("a.test", "A", *chain, soa="test.")
    assert (reply.canonical, reply.values, reply.ttl) == ("c.test", (), 20)
    reply = answer("a.test", "CNAME", *chain)
    assert (reply.canonical, reply.values) == ("a.test", ("b.test",))


def test_aliases_that_do_not_end():
    with pytest.raises(Malformed):
        answer("a.test", "A", ("a.test.", 300, "CNAME", "b.test."), ("b.test.", 300, "CNAME", "a.test."))


def test_what_is_not_there():
    reply = answer("a.b.test", "A", rcode=3, soa="test.")
    assert (reply.outcome, reply.ttl, reply.has_soa, reply.values) == ("NXDOMAIN", 30, True, ())
    reply = answer("a.test", "A")
    assert (reply.outcome, reply.has_soa) == ("NOERROR", False)
    assert answer("a.test", "A", rcode=5).outcome == "REFUSED"
    assert answer("a.test", "A", rcode=23).outcome == "BADCOOKIE"  # its upper bits are in EDNS
    with pytest.raises(Malformed):
        answer("a.test", "A", ("a.test.", 60, "A", "192.0.2.1"), rcode=3)


def test_flags():
    assert answer("a.test", "A", flags=dns.flags.AD).validated
    assert not answer("a.test", "A").validated
    assert answer("a.test", "A", ("a.test.", 1, "A", "192.0.2.1"), flags=dns.flags.TC) == Reply(0, is_cut=True)


def test_a_ttl_beyond_what_can_be_is_none():
    asked = query("a.test", "A")
    wire = response(asked, ("a.test.", 0x01020304, "A", "192.0.2.1"))
    reply = read(wire.replace(b"\x01\x02\x03\x04", b"\x81\x02\x03\x04"), asked)
    assert reply is not None
    assert reply.ttl == 0


def test_answers_to_others_are_nobodys():
    asked = query("a.test", "A")
    good = response(asked, ("a.test.", 60, "A", "192.0.2.1"))
    assert read(good, asked)
    assert read(response(asked).upper()[:12] + good[12:], asked)  # a server may change the case of the name
    assert read(bytes([good[0] ^ 1]) + good[1:], asked) is None  # another id
    assert read(asked.wire, asked) is None  # a question
    assert read(good[:2] + bytes([good[2] | 0x10]) + good[3:], asked) is None  # another opcode
    other = query("b.test", "A")
    assert read(asked.wire[:2] + response(other)[2:], asked) is None
    assert read(asked.wire[:2] + response(query("a.test", "MX"))[2:], asked) is None
    refusal = dns.message.make_response(asked.message)
    refusal.set_rcode(dns.rcode.FORMERR)
    refusal.question = []
    assert read(refusal.to_wire(), asked) == Reply(1)


def _raw(asked: Query, record: bytes) -> bytes:
    """What a server says by hand: the question, and one record."""
    return asked.wire[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked.wire[12:-11] + record


FIXED = b"\0\1\0\1\0\0\0\x3c"  # A, IN, 60 seconds


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xc0\x0c" + FIXED,
        b"\xc0\x0c" + FIXED + b"\0\4\xc0\0\2",  # a value that is cut
        b"\xc0\x0c" + FIXED + b"\0\3\xc0\0\2",  # of three octets
        b"\xc0\xff" + FIXED + b"\0\4\xc0\0\2\1",  # a name that lies ahead
        b"\xc0\x18" + FIXED + b"\0\4\xc0\0\2\1",  # or leads to itself
        b"\x40a" + FIXED + b"\0\4\xc0\0\2\1",  # a label of no known kind
        b"\x3fa",
        b"\xc0",
        (b"\x3f" + b"a" * 63) * 4 + b"\0" + FIXED + b"\0\4\xc0\0\2\1",  # 257 octets
    ],
)
def test_what_is_no_message(record: bytes):
    asked = query("a.test", "A")
    assert read(_raw(asked, b"\xc0\x0c" + FIXED + b"\0\4\xc0\0\2\1"), asked)
    with pytest.raises(Malformed):
        read(_raw(asked, record), asked)
    with pytest.raises(Malformed):
        read(b"\0" * 11, asked)


@given(seed=st.integers(0, 2**32), cuts=st.integers(0, 200))
@settings(deadline=None, max_examples=150)
def test_damage_is_malformed_or_harmless(seed: int, cuts: int):
    chance = random.Random(seed)
    asked = query("a.test", "MX")
    wire = bytearray(
        response(asked, ("a.test.", 5, "CNAME", "b.test."), ("b.test.", 5, "MX", "1 m.test."), soa="test.")
    )
    for _ in range(chance.randint(1, 4)):
        wire[chance.randrange(12, len(wire))] = chance.randrange(256)
    try:
        reply = read(bytes(wire[: len(wire) - cuts // 8]), asked)
    except Malformed:
        return
    assert reply is None or all(isinstance(value, MxRecord) for value in reply.values)
