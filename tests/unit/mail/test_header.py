from datetime import UTC, datetime, timedelta, timezone

import pytest

from postroad.mail.header import Header, date_time, decode, header_size, starts_with_field

BLOCK = (
    b"Received: from a\r\n\tby b; now\r\n"
    b"Subject: first\r\n"
    b"X-Subject: not this\r\n"
    b"bcc: hidden@x.test\r\n"
    b"SUBJECT : second\r\n"
    b"Bcc: more@x.test,\r\n even@x.test\r\n"
    b"Received: from c\r\n"
    b"\r\n"
)


@pytest.mark.parametrize(
    ("content", "size"),
    [(b"A: b\r\n\r\nbody", 8), (b"\r\nbody", 2), (b"A: b\r\n", 6), (b"", 0), (b"A: b\n\nbody", 10)],
)
def test_header_size(content, size):
    assert header_size(content) == size


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: x\r\n\r\n", True),
        (b"Subject : x\r\n", True),
        (b"\r\nbody", True),
        (b"", True),
        (b"From a@b Mon Jan  1 10:00:00 2024\r\nSubject: x\r\n", True),
        (b"hello world\r\n", False),
        (b"see this: a list\r\n", False),
        (b": empty name\r\n", False),
        (b" folded: nothing\r\n", False),
    ],
)
def test_content_that_has_no_header_block_is_told_apart(content, expected):
    assert starts_with_field(content) is expected


def test_first_and_all_look_at_whole_names_without_regard_to_case():
    header = Header.of(BLOCK + b"Subject: in the body\r\n")
    assert header.raw == BLOCK
    assert header.first(b"subject") == b"first"
    assert header.all(b"subject") == [b"first", b"second"]
    assert header.all(b"received") == [b"from a\r\n\tby b; now", b"from c"]
    assert header.first(b"to") is None
    assert header.has(b"x-subject")
    assert not header.has(b"ject")


def test_count_agrees_with_all():
    header = Header.of(BLOCK)
    assert [header.count(name) for name in (b"received", b"subject", b"bcc", b"to")] == [2, 2, 2, 0]
    assert Header(b"Received: a\r\nReceived: b\r\n\r\n").count(b"received") == 2


def test_without_leaves_every_other_octet():
    header = Header.of(BLOCK)
    kept = header.without(b"bcc", b"resent-bcc")
    assert kept == BLOCK.replace(b"bcc: hidden@x.test\r\n", b"").replace(b"Bcc: more@x.test,\r\n even@x.test\r\n", b"")
    assert header.without(b"to") is header.raw


def test_a_field_at_the_very_end_without_an_empty_line():
    header = Header(b"A: b\r\nSubject: last")
    assert header.first(b"subject") == b"last"
    assert header.without(b"subject") == b"A: b\r\n"


def test_text_is_unfolded_decoded_and_cut():
    header = Header(b"Subject: =?utf-8?Q?J=C3=B6rg?=\r\n says hi\r\n\r\n")
    assert header.text(b"subject") == "Jörg says hi"
    assert header.text(b"subject", cut=4) == "Jörg"
    assert header.text(b"from") == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        ("grüße".encode(), "grüße"),
        (b"gr\xfc\xdfe", "grüße"),
        (b"=?iso-8859-1?q?a_b=E4?=", "a bä"),
        (b"=?utf-8?B?w7w=?= =?utf-8?Q?x?=", "üx"),
        (b"=?utf-8?Q?=C3?=\r\n =?utf-8?Q?=BC?=", "ü"),
        (b"=?utf-8*de?Q?=C3=BC?= end", "ü end"),
        (b"=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        (b"=?no-such-charset?Q?=C3=BC?=", "ü"),
        (b"=?utf-8?B?w?=", "=?utf-8?B?w?="),
        (b"=?hex?Q?41?=", "41"),
        (b"=?unicode-escape?Q?=5Cud800?=", "\\ud800"),
        (b"a =?utf-7?Q?+2AA-?= b", "a   b"),
        (b"=?x\x00y?Q?a?=", "a"),
        (b"tab\x00and\x1bescape", "tab and escape"),
    ],
)
def test_decode(value, text):
    assert decode(value) == text


def test_any_octets_decode():
    for octet in range(256):
        decode(b"=?utf-8?Q?=" + bytes([octet]) * 3 + b"?=" + bytes([octet]))


def test_a_hostile_block_is_read_in_little_time():
    header = Header(b"a:\r\n" * 250_000 + b"\r\n")
    assert header.count(b"received") == 0
    assert header.first(b"subject") is None
    folded = Header(b"Subject:" + b"\r\n x" * 250_000 + b"\r\n\r\n")
    assert len(folded.text(b"subject")) <= 200


def test_date_time():
    assert date_time(datetime(2025, 11, 4, 9, 5, 7, tzinfo=UTC)) == "Tue, 4 Nov 2025 09:05:07 +0000"
    east = timezone(timedelta(hours=2))
    assert date_time(datetime(2025, 11, 4, 1, 5, 7, tzinfo=east)) == "Mon, 3 Nov 2025 23:05:07 +0000"
