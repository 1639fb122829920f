import pytest

from postroad.mail.render import render
from postroad.mailbox.sections import Layout, Span, choose_fields, locate, needs_layout
from postroad.proto.imap.fetch import parse_items
from postroad.proto.imap.tokens import Cursor

PREFIX = b"Return-Path: <x@example.org>\r\n"
INNER = b"Subject: inner\r\n\r\ninner body\r\n"
CONTENT = (
    b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n--b--\r\n"
)


def read(text):
    (section,) = parse_items(Cursor(text)).sections
    rendering = render(CONTENT)
    size = len(PREFIX) + len(CONTENT)
    span = locate(section, Layout(len(PREFIX), size, rendering.header_size, rendering.sections))
    if span is None:
        return None
    span = span.part(section.partial)
    return (PREFIX + CONTENT)[span.start : span.end]


@pytest.mark.parametrize(
    ("section", "octets"),
    [
        (b"BODY[]", PREFIX + CONTENT),
        (b"BODY[HEADER]", PREFIX + CONTENT[: CONTENT.index(b"--b")]),
        (b"BODY[TEXT]", CONTENT[CONTENT.index(b"--b") :]),
        (b"BODY[1]", b"first"),
        (b"BODY[1.MIME]", b"Content-Type: text/plain\r\n\r\n"),
        (b"BODY[2]", INNER),
        (b"BODY[2.HEADER]", b"Subject: inner\r\n\r\n"),
        (b"BODY[2.HEADER.FIELDS (Subject)]", b"Subject: inner\r\n\r\n"),
        (b"BODY[2.TEXT]", b"inner body\r\n"),
        (b"BODY[2.1]", b"inner body\r\n"),
        (b"BODY[1.HEADER]", None),
        (b"BODY[1.TEXT]", None),
        (b"BODY[3]", None),
        (b"BODY[2.2]", None),
        (b"BODY[]<0.6>", b"Return"),
        (b"BODY[1]<3.100>", b"st"),
        (b"BODY[1]<99.1>", b""),
    ],
)
def test_sections(section, octets):
    assert read(section) == octets


def test_what_needs_the_layout():
    (whole,) = parse_items(Cursor(b"BODY[]")).sections
    (text,) = parse_items(Cursor(b"BODY[TEXT]")).sections
    assert not needs_layout(whole)
    assert needs_layout(text)


def test_fields():
    header = b"From: a\r\nSUBJECT: long\r\n\tfolded\r\nX: 1\r\nSubject : two\r\nno colon\r\n\r\n"
    wanted = frozenset([b"subject"])
    assert choose_fields(header, wanted, without=False) == b"SUBJECT: long\r\n\tfolded\r\nSubject : two\r\n\r\n"
    assert choose_fields(header, wanted, without=True) == b"From: a\r\nX: 1\r\nno colon\r\n\r\n"
    assert choose_fields(header, frozenset([b"bcc"]), without=False) == b"\r\n"
    assert choose_fields(b"", wanted, without=False) == b"\r\n"
    assert choose_fields(b"A: 1\nSubject: x\n\n", wanted, without=False) == b"Subject: x\n\r\n"


def test_spans():
    assert Span(5, 10).part((2, 2)) == Span(7, 9)
    assert Span(5, 10).part((4294967295, 4294967295)) == Span(10, 10)
