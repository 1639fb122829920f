"""SMTP smuggling, both ways: what some server somewhere has taken for the end of data.

As receiver nothing but CRLF . CRLF ends our data, and content that another server might cut in two is refused. As
sender nothing that we may hold is written so that any of the readers below would end it early.
"""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.envelope import BodyFlag
from postroad.proto.smtp.body import BodyReader, ChunkReader, hides_a_dot
from postroad.proto.smtp.client import SmtpClient
from postroad.proto.wire import Signal

# How servers of the past and present find the end: a line that is a dot, where a line begins and ends as they see it.
# Sources: the SMTP smuggling papers (2023), CVE-2023-51764 to -51766, CVE-2024-21503 and the vendors' notes on them.
READERS = {
    "RFC 5321": (re.compile(rb"(?:\A|\r\n)\.\r\n"), False),
    "takes LF for CRLF": (re.compile(rb"(?:\A|\r?\n)\.\r?\n"), False),
    "takes CR for CRLF": (re.compile(rb"(?:\A|\r\n|\r)\.(?:\r\n|\r)"), False),
    "takes each CR and LF for a line end": (re.compile(rb"(?:\A|[\r\n])\.(?:\r\n|[\r\n])"), False),
    "takes any number of CRs before LF": (re.compile(rb"(?:\A|\r*\n)\.\r*\n"), False),
    "takes LF CR for CRLF": (re.compile(rb"(?:\A|\n\r|\r\n)\.(?:\n\r|\r\n)"), False),
    "CRLF before, LF behind": (re.compile(rb"(?:\A|\r\n)\.\r?\n"), False),
    "LF before, CRLF behind": (re.compile(rb"(?:\A|\n)\.\r\n"), False),
    "CRLF before, CR behind": (re.compile(rb"(?:\A|\r\n)\.\r\n?"), False),
    "drops NULs": (re.compile(rb"(?:\A|\r\n)\.\r\n"), True),
    "drops NULs and takes LF for CRLF": (re.compile(rb"(?:\A|\r?\n)\.\r?\n"), True),
    "drops NULs, takes each CR and LF for a line end": (re.compile(rb"(?:\A|[\r\n])\.(?:\r\n|[\r\n])"), True),
}
ENDS = (b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\n", b"\0\r\n", b"\r\0\n", b"\r\n\0", b"\0\n", b"\n\0", b"")
DOTS = (b".", b"\0.", b".\0", b"\0.\0", b"..", b". ", b" .")
VARIANTS = {dot: [before + dot + behind for before, behind in product(ENDS, ENDS)] for dot in DOTS}
EVIL = b"MAIL FROM:<evil@evil.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nSubject: evil\r\n"


def ends(wire: bytes) -> dict[str, int]:
    """Where each reader sees its first end of data."""
    found = {}
    for name, (pattern, drops_nuls) in READERS.items():
        seen = wire.replace(b"\0", b"") if drops_nuls else wire
        match = pattern.search(seen)
        assert match, name
        found[name] = len(seen) - match.end()
    return found


def received(content: bytes, **how: bool) -> tuple[bytes, BodyFlag] | None:
    """What is kept of content on the wire (dots not doubled, as an attacker writes it); None: refused."""
    reader = BodyReader(100_000, **how)
    got, rest = reader.feed(content + b"\r\n.\r\nNOOP\r\n")
    assert rest is not None
    if not re.search(rb"(?:\A|\r\n)\.\r\n", content + b"\r\n"):  # else it was no trick but a plain end
        assert rest == b"NOOP\r\n"
    return None if reader.fault else (got, reader.flags)


def chunked(content: bytes, **how: bool) -> tuple[bytes, BodyFlag] | None:
    reader = ChunkReader(100_000, **how)
    reader.open(len(content), last=True)
    got = reader.feed(content)
    return None if reader.fault else (got, reader.flags)


def sent(content: bytes, flags: BodyFlag, cut: int) -> bytes:
    """What our client writes after the 354, in two pieces."""
    machine = SmtpClient("mail.example.com")
    machine.receive_data(b"220 x\r\n250-x\r\n250 PIPELINING\r\n")
    machine.hello()
    while not isinstance(machine.next_event(), Signal):
        pass
    machine.mail("a@b.example")
    machine.rcpt("c@d.example")
    machine.start_body(stuff=bool(flags & BodyFlag.DOT_LINES))
    machine.data_to_send()
    machine.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    while not isinstance(machine.next_event(), Signal):
        pass
    machine.body_chunk(content[:cut])
    machine.body_chunk(content[cut:])
    machine.end_body()
    return machine.data_to_send()


def assert_ends_once(content: bytes, flags: BodyFlag) -> None:
    for cut in {0, len(content) // 2, max(len(content) - 1, 0)}:
        wire = sent(content, flags, cut)
        early = {name: left for name, left in ends(wire).items() if left}
        assert not early, (wire, early)


@pytest.mark.parametrize("dot", DOTS, ids=repr)
def test_no_variant_ends_our_data_or_leaves_us(dot: bytes) -> None:
    for variant in VARIANTS[dot]:
        content = b"Subject: x\r\n\r\nbody" + variant + EVIL
        for kept in (received(content), chunked(content), received(content, repair_bare_lf=True)):
            if kept is not None:
                assert not kept[1] & BodyFlag.BINARY
                assert_ends_once(*kept)


@pytest.mark.parametrize(
    "variant", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"]
)
def test_strangers_get_nothing_of_the_kind_in(variant: bytes) -> None:
    """The variants that have worked somewhere are refused, not mended: whoever sends them means no good."""
    content = b"Subject: x\r\n\r\nbody" + variant + EVIL
    assert received(content) is None
    assert chunked(content) is None


@pytest.mark.parametrize("dot", DOTS, ids=repr)
def test_binary_content_that_data_could_not_carry_is_known(dot: bytes) -> None:
    """What BODY=BINARYMIME lets in either goes safely by DATA or is marked never to."""
    for variant in VARIANTS[dot]:
        kept = chunked(b"Subject: x\r\n\r\nbody" + variant + EVIL, binary=True)
        assert kept is not None
        content, flags = kept
        if not flags & BodyFlag.BINARY:
            assert_ends_once(content, flags)
        else:
            bare = content.replace(b"\r\n", b"")
            assert b"\r" in bare or b"\n" in bare or hides_a_dot(content)


PIECES = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"\0", b"x", b" "]), max_size=12).map(b"".join)


@given(PIECES, st.sampled_from([received, chunked]), st.booleans())
@settings(max_examples=600, deadline=None)
def test_whatever_is_kept_ends_where_it_ends(content: bytes, way, repair: bool) -> None:
    reader = BodyReader(100_000, repair_bare_lf=repair)
    if way is received:
        got, rest = reader.feed(content + b"\r\n.\r\n")
        kept = None if reader.fault or rest is None else (got, reader.flags)
    else:
        kept = chunked(content, repair_bare_lf=repair)
    if kept is not None:
        assert_ends_once(*kept)


def test_a_chunk_is_counted_so_that_no_octet_of_it_is_read_as_anything_else() -> None:
    content = b"Subject: x\r\n\r\nbody\n.\n" + EVIL
    machine = SmtpClient("mail.example.com")
    machine.receive_data(b"220 x\r\n250-x\r\n250-CHUNKING\r\n250 BINARYMIME\r\n")
    machine.hello()
    while not isinstance(machine.next_event(), Signal):
        pass
    machine.mail("a@b.example", binary=True)
    machine.rcpt("c@d.example")
    machine.start_body(chunk=len(content))
    for _ in range(2):
        machine.receive_data(b"250 ok\r\n")
        while not isinstance(machine.next_event(), Signal):
            pass
    machine.data_to_send()
    machine.body_chunk(content)
    machine.end_body()
    assert machine.data_to_send() == content
