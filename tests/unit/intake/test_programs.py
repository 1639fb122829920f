"""X-PM fields: what they ask for, however they are written; and what is taken out."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from postroad.accounts.tokens import Access
from postroad.intake.programs import own_fields, read_fields, without_fields
from postroad.mail.header import Header
from postroad.ports.ids import ServerId, TokenId
from postroad.ports.sending import ServerRecord, StreamKind, StreamRecord, TokenKind, TokenRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOP = ServerId(1)
OUTBOUND = StreamRecord(SHOP, "outbound", "O", StreamKind.TRANSACTIONAL, NOW, NOW)
ACCESS = Access(
    TokenRecord(TokenId(1), TokenKind.SERVER, "t", "abcd", NOW, SHOP),
    ServerRecord(SHOP, "Shop", NOW),
    {"outbound": OUTBOUND, "old": replace(OUTBOUND, id="old", archived=NOW)},
)


def header(*fields, sender="From: a@here.test"):
    return Header("".join(f"{field}\r\n" for field in (sender, *fields)).encode() + b"\r\n")


def asked(*fields, **options):
    return read_fields(header(*fields, **options), ACCESS, NOW)


def test_nothing_asked_for():
    found = asked()
    assert (found.stream, found.tag, found.metadata, found.tracking, found.keep_id) == ("outbound", "", {}, {}, False)
    assert found.domains == ("here.test",)
    assert found.fault is None


def test_the_case_of_names_is_nothing_and_folds_are_read():
    found = asked("x-pm-TAG:\r\n  two\r\n words ", "X-Pm-keepid: TRUE", "X-PM-message-stream : outbound")
    assert (found.tag, found.keep_id, found.fault) == ("two words", True, None)


def test_metadata_keeps_the_key_as_written_and_numbers_what_is_repeated():
    found = asked(
        "X-PM-Metadata-Color: red", "X-PM-Metadata-color: blue", "X-PM-Metadata-a: ", "X-PM-Metadata-color: x"
    )
    assert found.metadata == {"Color": "red", "Color2": "blue", "Color3": "x", "a": ""}


def test_the_edges_of_limits():
    assert asked("X-PM-Metadata-" + "k" * 20 + ": " + "v" * 80).fault is None
    assert asked(*(f"X-PM-Metadata-{n}: v" for n in range(10))).fault is None
    assert asked("X-PM-Tag: " + "x" * 1000).fault is None
    assert "1000" in asked("X-PM-Tag: " + "x" * 1001).fault.text
    twice = ["X-PM-Metadata-" + "k" * 20 + ": v"] * 2  # the second gets a number, and is too long with it
    assert "at most 20" in asked(*twice).fault.text


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("X-PM-Message-Stream: none", "does not exist"),
        ("X-PM-Message-Stream: old", "archived"),
        ("X-PM-Message-Stream: grüße", "of that name"),
        ("X-PM-KeepID: maybe", "true or false"),
        ("X-PM-TrackLinks: all", "one of None"),
    ],
)
def test_what_cannot_be(field, told):
    fault = asked(field).fault
    assert told in fault.text
    assert fault.is_permanent
    assert fault.text.isprintable()
    assert fault.text.isascii()


@pytest.mark.parametrize(
    ("sender", "domains"),
    [
        ("From: A <a@Here.Test>, b@there.test", ("here.test", "there.test")),
        ("From: a@here.test\r\nFrom: b@there.test", ("here.test", "there.test")),
        ("From: a@bücher.test", ("xn--bcher-kva.test",)),
        ("From: team: a@here.test, b@here.test;", ("here.test",)),
    ],
)
def test_everybody_in_from_counts(sender, domains):
    assert asked(sender=sender).domains == domains


@pytest.mark.parametrize("sender", ["Subject: x", "From: ", "From: nobody", "From: <>", "From: a@", "From: a@b..c"])
def test_a_from_that_says_nobody_is_a_fault(sender):
    assert "From field" in asked(sender=sender).fault.text


def test_all_of_ours_is_taken_out_and_nothing_else():
    block = header(
        "X-PM-Tag: a", "Subject: X-PM-Tag: b", "x-pm-anything: c\r\n folded", "X-PMX: d", "Message-ID: <m@x>"
    )
    assert without_fields(block, keep_id=True).raw == (
        b"From: a@here.test\r\nSubject: X-PM-Tag: b\r\nX-PMX: d\r\nMessage-ID: <m@x>\r\n\r\n"
    )
    assert b"Message-ID" not in without_fields(block, keep_id=False).raw
    plain = header("Subject: x")
    assert without_fields(plain, keep_id=False) is plain


def test_a_tag_in_the_delivered_copy_cannot_make_a_field():
    for tag in ("a b", "a =?utf-8?q?=0D=0ABcc:_x=40y?=", "ü", "x" * 950):
        shown = own_fields("uuid", asked(f"X-PM-Tag: {tag}").tag)
        assert shown.count(b"\r\n") == shown.count(b"X-PM-")
        assert b"\r\nBcc" not in shown
        assert all(len(line) < 998 for line in shown.split(b"\r\n"))


def test_a_hostile_block_is_read_in_no_time():
    many = header(*(f"X-PM-Metadata-{n}: v" for n in range(20_000)))
    assert "at most 10" in read_fields(many, ACCESS, NOW).fault.text
    same = header(*(["X-PM-Metadata-a: v"] * 20_000))
    assert "at most 10" in read_fields(same, ACCESS, NOW).fault.text
