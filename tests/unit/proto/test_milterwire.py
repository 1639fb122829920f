"""Packets of the milter protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.proto.milterwire import (
    AddHeader,
    AddRecipient,
    Answer,
    BodyPiece,
    ChangeHeader,
    ChangeSender,
    DeleteRecipient,
    InsertHeader,
    MilterFault,
    Progress,
    Quarantine,
    SetSymbols,
    Stage,
    Step,
    Verdict,
    connection,
    macros,
    negotiation,
    packet,
    read_offer,
    read_said,
    strings,
)


def test_what_we_offer():
    assert negotiation() == b"\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff"


def test_who_connects():
    assert connection(b"x.test", b"4", b"192.0.2.1", 25) == b"\0\0\0\x15Cx.test\x004\x00\x19192.0.2.1\0"
    assert connection(b"x", b"U", b"", 0) == b"\0\0\0\x04Cx\0U"


def test_macros_stand_in_pairs():
    assert macros(b"M", [("i", "1"), ("{auth_type}", "x\0y")]) == packet(b"D", b"Mi\x001\0{auth_type}\0xy\0")


def test_a_zero_ends_no_text_early():
    assert strings(b"a\0b", b"") == b"ab\0\0"


@pytest.mark.parametrize(
    ("command", "data", "said"),
    [
        (b"c", b"", Answer(Verdict.CONTINUE)),
        (b"a", b"", Answer(Verdict.ACCEPT)),
        (b"r", b"", Answer(Verdict.REJECT)),
        (b"t", b"", Answer(Verdict.TEMPFAIL)),
        (b"d", b"", Answer(Verdict.DISCARD)),
        (b"s", b"", Answer(Verdict.SKIP)),
        (b"4", b"", Answer(Verdict.SHUTDOWN)),
        (b"f", b"", Answer(Verdict.FAIL)),
        (b"p", b"", Progress()),
        (b"y", b"550 5.7.1 no\0", Answer(Verdict.REPLY, 550, "5.7.1", "no")),
        (b"y", b"451-4.7.1 not\r\n451 4.7.1 now\0", Answer(Verdict.REPLY, 451, "4.7.1", "not now")),
        (b"y", b"550 no 100%%\0", Answer(Verdict.REPLY, 550, "", "no 100%")),
        (b"y", b"550\0", Answer(Verdict.REPLY, 550, "", "refused")),
        (b"y", b"550 4.7.1 mixed\0", Answer(Verdict.REPLY, 550, "", "mixed")),
        (b"h", b"X\0y\0", AddHeader(b"X", b"y")),
        (b"i", b"\0\0\0\1X\0y\0", InsertHeader(1, b"X", b"y")),
        (b"m", b"\0\0\0\2X\0\0", ChangeHeader(2, b"X", b"")),
        (b"e", b"<a@b.test>\0", ChangeSender(b"<a@b.test>")),
        (b"e", b"<a@b.test>\0RET=HDRS\0", ChangeSender(b"<a@b.test>", b"RET=HDRS")),
        (b"+", b"<a@b.test>\0", AddRecipient(b"<a@b.test>")),
        (b"2", b"<a@b.test>\0NOTIFY=NEVER\0", AddRecipient(b"<a@b.test>", b"NOTIFY=NEVER")),
        (b"-", b"<a@b.test>\0", DeleteRecipient(b"<a@b.test>")),
        (b"q", b"why\0", Quarantine("why")),
        (b"b", b"\0any", BodyPiece(b"\0any")),
        (b"l", b"\0\0\0\5i {msg_id}\0", SetSymbols(Stage.END, ("i", "{msg_id}"))),
    ],
)
def test_what_a_milter_says(command: bytes, data: bytes, said: object):
    assert read_said(command, data) == said


@pytest.mark.parametrize(
    ("command", "data"),
    [
        (b"z", b""),
        (b"h", b"X\0y"),
        (b"h", b"X: y\0z\0"),
        (b"h", b"\0y\0"),
        (b"i", b"\0\0\1"),
        (b"m", b"\0\0\0\1X"),
        (b"+", b"<a@b.test>"),
        (b"y", b"250 fine\0"),
        (b"y", b"\0"),
        (b"y", b"5500\0"),
        (b"l", b"\0\0\0\x09i\0"),
    ],
)
def test_what_no_milter_says(command: bytes, data: bytes):
    with pytest.raises(MilterFault):
        read_said(command, data)


def test_its_side_of_the_negotiation():
    offer = read_offer(b"\0\0\0\x06\0\0\0\x11\0\x10\0\x02" + b"\0\0\0\x02i {auth_authen}\0" + b"\0\0\0\x05\0")
    assert offer.version == 6
    assert offer.steps == Step.NO_HELO | Step.LEADING_SPACE
    assert offer.symbols == {Stage.MAIL: ("i", "{auth_authen}"), Stage.END: ()}


def test_bits_that_we_did_not_offer_are_left_alone():
    offer = read_offer(b"\0\0\0\x09\xff\xff\xff\xff\xff\xff\xff\xff")
    assert (offer.version, int(offer.actions), int(offer.steps)) == (6, 0x1FF, 0x1FFFFF)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 11, b"\0\0\0\x01" + b"\0" * 8, b"\0\0\0\x06" + b"\0" * 8 + b"\0\0\0\x07i\0"]
)
def test_negotiations_that_lead_nowhere(data: bytes):
    with pytest.raises(MilterFault):
        read_offer(data)


@given(st.binary(min_size=1, max_size=1), st.binary(max_size=80))
def test_any_octets_mean_something_or_are_a_fault(command: bytes, data: bytes):
    try:
        said = read_said(command, data)
    except MilterFault:
        return
    assert not isinstance(said, Answer) or said.text.isprintable()
