from datetime import UTC, datetime

import pytest

from postroad.intake.fields import body_flags, final_header, header_length, missing_fields, wire_lines, without_hidden
from postroad.mail.envelope import BodyFlag
from postroad.mail.header import Header

WHEN = datetime(2025, 11, 24, 9, 5, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "length"),
    [(b"A: b\r\n\r\nbody", 8), (b"A: b\r\nC", None), (b"no header here\r\n\r\n", 0), (b"\r\nbody", 2)],
)
def test_header_length(content, length):
    assert header_length(content) == length


def test_the_trace_stands_on_top_and_the_rest_stays():
    assert final_header(Header(b"A:  b\r\n\r\n"), b"T: x\r\n", b"D: y\r\n") == b"T: x\r\nD: y\r\nA:  b\r\n\r\n"


def test_text_without_a_header_block_stays_text():
    assert final_header(Header(b""), b"T: x\r\n", b"") == b"T: x\r\n\r\n"


def test_missing_fields_are_added_and_present_ones_left():
    added = missing_fields(Header(b"Subject: x\r\n\r\n"), id="0abc", hostname="mx.test", now=WHEN)
    assert added == b"Date: Mon, 24 Nov 2025 09:05:07 +0000\r\nMessage-ID: <0abc@mx.test>\r\n"
    full = Header(b"DATE: then\r\nmessage-id: <1@x>\r\n\r\n")
    assert missing_fields(full, id="0abc", hostname="mx.test", now=WHEN) == b""


def test_bcc_is_taken_out():
    header = Header(b"To: a@b\r\nBcc: c@d\r\nResent-Bcc: e@f\r\n\r\n")
    assert without_hidden(header).raw == b"To: a@b\r\n\r\n"
    plain = Header(b"To: a@b\r\n\r\n")
    assert without_hidden(plain) is plain


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        (b"plain\r\n", BodyFlag.NONE),
        (b".x\r\n", BodyFlag.DOT_LINES),
        (b"x\r\n.\r\n", BodyFlag.DOT_LINES),
        (b"\xff\r\n", BodyFlag.EIGHT_BIT),
        (b"a\0b\r\n", BodyFlag.NUL),
        (b"x" * 998 + b"\r\n", BodyFlag.NONE),
        (b"x" * 999 + b"\r\n", BodyFlag.LONG_LINES),
    ],
)
def test_body_flags(content, flags):
    assert body_flags(content) == flags


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\r\nb\n", b"a\r\nb\r\n"),
        (b"a\rb", b"a\r\nb\r\n"),
        (b"a\r\n", b"a\r\n"),
        (b"From me Mon Jan\nSubject: x\n\n", b"Subject: x\r\n\r\n"),
        (b"", b""),
    ],
)
def test_wire_lines(content, wire):
    assert wire_lines(content) == wire
