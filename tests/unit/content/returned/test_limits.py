"""The reader of what comes back has limits, and hostile messages cost no more than large ones."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.content.classify import classify_returned
from postroad.content.returned import Kind, read
from postroad.content.returned.fields import MAX_RECIPIENTS, read_status
from postroad.content.returned.parts import MAX_CONTENT, MAX_FIELDS, MAX_PROSE, fields_of, plain, take_apart
from postroad.content.returned.prose import MAX_LINES, find, part

MEGABYTE = 1024 * 1024
HEAD = b"Return-Path: <>\nFrom: MAILER-DAEMON@x.test\nSubject: Undelivered Mail\n\n"
REPORT = (
    b"From: MAILER-DAEMON@x.test\nSubject: Undelivered\nContent-Type: multipart/report; boundary=b\n\n--b\n"
    b"Content-Type: message/delivery-status\n\n"
)
PAGE = b"From: postmaster@x.test\nSubject: Undeliverable\nContent-Type: text/html\n\n"
HOSTILE = {
    "brackets": HEAD + b"<" * MEGABYTE,
    "at signs": HEAD + b"a@" * (MEGABYTE // 2),
    "dots": HEAD + b"a@b." + b"c." * (MEGABYTE // 2),
    "spaces": HEAD + b" " * MEGABYTE,
    "rules": HEAD + b"--\n" * (MEGABYTE // 3),
    "recipients": HEAD + b"".join(b"u%d@b.test: 550 no\n" % number for number in range(50_000)),
    "transcript": HEAD + b">>> RCPT TO:<a@b.test>\n<<< 550 no\n" * (MEGABYTE // 36),
    "fields": REPORT + b"Final-Recipient: rfc822; a@b.test\nAction: failed\n\n" * (MEGABYTE // 52),
    "one field": REPORT + b"Final-Recipient: rfc822; a@b.test\n" + b" x" * (MEGABYTE // 2),
    "colons": REPORT + b"a:\n" * (MEGABYTE // 3),
    "open elements": PAGE + b"<style>" * (MEGABYTE // 7),
    "tags": PAGE + b"<br " * (MEGABYTE // 4),
    "braces": b"From: postmaster@x.test\nSubject: Undeliverable\n\n" + b'{"mail":' * (MEGABYTE // 8),
    "subject": b"From: postmaster@x.test\nSubject: " + b"deliver " * (MEGABYTE // 8) + b"\n\nx",
    "words": HEAD + b"could not be " * (MEGABYTE // 13),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_megabyte_is_read_in_a_moment(name):
    began = perf_counter()
    told = read(HOSTILE[name])
    for recipient in told.recipients[:10]:
        classify_returned(recipient)
    assert perf_counter() - began < 2.0  # measured: 0.3 at most


@given(st.binary(max_size=2000))
def test_any_octets_can_be_read(content):
    for whole in (content, HEAD + content, REPORT + content):
        told = read(whole)
        assert (told.kind is Kind.NONE) == (not told.recipients)


def test_what_follows_the_first_megabyte_is_not_looked_at():
    failed = b"\n<bob@example.com>: 550 5.1.1 no\n"
    padding = b"x" * 70 + b"\n"
    near = REPORT + b"Final-Recipient: rfc822; bob@example.com\n\n"
    assert read(near + padding * (MAX_CONTENT // len(padding))).recipients
    assert take_apart(HEAD + padding * (MAX_CONTENT // len(padding) + 1) + failed).prose.count("bob") == 0


@pytest.mark.parametrize(
    ("number", "read_off"), [(MAX_RECIPIENTS, MAX_RECIPIENTS), (MAX_RECIPIENTS + 1, MAX_RECIPIENTS)]
)
def test_a_report_has_so_many_recipients(number, read_off):
    text = "\n\n".join(f"Final-Recipient: rfc822; u{n}@example.com\nAction: failed" for n in range(number))
    assert len(read_status(text).recipients) == read_off


@pytest.mark.parametrize(("number", "read_off"), [(MAX_FIELDS, MAX_FIELDS), (MAX_FIELDS + 1, MAX_FIELDS)])
def test_a_block_has_so_many_fields(number, read_off):
    assert len(fields_of("\n".join(f"x-{n}: y" for n in range(number)))) == read_off


def test_prose_has_so_many_lines_and_characters():
    assert len(part("x\n" * (MAX_LINES + 5)).report) == MAX_LINES
    assert len(take_apart(HEAD + b"y" * (MAX_PROSE + 5)).prose) == MAX_PROSE


def test_the_same_recipient_is_found_once():
    lines = ["<bob@example.com>: 550 no", "<BOB@example.com>: 550 no", "<carol@example.com>: 550 no"]
    assert [entry.address for entry in find(lines)] == ["bob@example.com", "carol@example.com"]


def test_a_page_becomes_its_words():
    page = "<html><head><title>x</title></head><style>p{}</style><p>Hello&nbsp;<b>bob@example.com</b><br>not found</p>"
    assert [line.split() for line in plain(page).split("\n") if line.strip()] == [
        ["Hello", "bob@example.com"],
        ["not", "found"],
    ]
