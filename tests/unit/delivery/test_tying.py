"""Which message something that came back is about, and which recipients."""

import pytest

from postroad.content.returned import Original, Returned, ReturnedRecipient, read
from postroad.delivery.tying import MAX_CANDIDATES, candidates, message_ids, return_addresses, tie
from postroad.mail.header import Header
from postroad.mail.returnaddress import stream_address
from postroad.ports.ids import DeliveryId, MessageId, id_text
from postroad.ports.store import Delivery, DeliveryState
from postroad.ports.uuids import uuid_text

MESSAGE = MessageId(125_408_380_295_581_696)
NOTHING = Header(b"\r\n")


def original(header="", **fields):
    return Returned(original=Original(header=header.encode(), **fields))


@pytest.mark.parametrize(
    "returned",
    [
        original(envelope_id=id_text(MESSAGE)),
        original(message_id=f"{uuid_text(MESSAGE)}@here.test"),
        original(message_id=f"{id_text(MESSAGE).upper()}@here.test"),
        original(f"X-PM-Message-Id: {uuid_text(MESSAGE)}\nSubject: x\n\n"),
        original(f"Received: from a\n\tby mail.here.test with ESMTPSA id {id_text(MESSAGE)};\n\tMon\nSubject: x\n\n"),
        original(f"Received: by far.test id ABCDEFGHIJKLM\nReceived: by here.test id {id_text(MESSAGE)}; Mon\n\n"),
    ],
)
def test_our_id_is_found_wherever_it_is(returned):
    assert MESSAGE in candidates(returned, NOTHING)


def test_an_answer_names_what_it_answers():
    header = Header(f"In-Reply-To: <{uuid_text(MESSAGE)}@here.test>\r\n\r\n".encode())
    assert candidates(Returned(), header) == [MESSAGE]


def test_envid_goes_before_what_stands_in_the_header():
    other = MessageId(MESSAGE + 1)
    found = candidates(original(f"Message-ID: <{uuid_text(other)}@x>\n\n", envelope_id=id_text(MESSAGE)), NOTHING)
    assert found == [MESSAGE, other]


def test_strangers_cannot_have_us_look_for_long():
    header = "".join(f"Received: by x id {id_text(MESSAGE + number)}; Mon\n" for number in range(500)) + "\n"
    assert len(candidates(original(header), NOTHING)) == MAX_CANDIDATES


def test_what_is_no_id_is_passed_over():
    assert candidates(original("Message-ID: <uuuuuuuuuuuuu.0x@far.test>\n\n", envelope_id="QQ314159"), NOTHING) == []


def test_message_ids_for_a_search():
    header = Header(b"References: <a@b> <c@d>\r\nIn-Reply-To: <e@f>\r\n\r\n")
    assert message_ids(original(message_id="x@y"), header) == ["x@y", "e@f"]
    assert message_ids(Returned(), NOTHING) == []


def test_return_addresses_are_found_in_any_place():
    made = f"{stream_address(b'k', 3, 'my-news_2', 20_000, 'a.test')}@bounces.here.test"
    content = f"Original-Mail-From: <{made}>\r\nx{made}\r\nReturn-Path: {made.upper()}\r\n".encode()
    assert return_addresses(content) == [made, made.upper()]
    assert return_addresses(b"b-ob@here.test") == []


def deliveries(*addresses):
    return [
        Delivery(DeliveryId(number), MESSAGE, "mx:x", address, DeliveryState.DELIVERED)
        for number, address in enumerate(addresses, 1)
    ]


def tied(returned, rows, may_be=lambda _: True):
    return [(each.delivery.forward_path, each.said is not None) for each in tie(returned, rows, may_be)]


def told(*addresses, original=""):
    return Returned(recipients=tuple(ReturnedRecipient(address, original=original) for address in addresses))


def test_recipients_are_those_that_are_named():
    rows = deliveries("Bob@a.test", "carol@a.test")
    assert tied(told("bob@A.test"), rows) == [("Bob@a.test", True)]
    assert tied(told("bob@a.test", "bob@a.test", "carol@a.test"), rows) == [
        ("Bob@a.test", True),
        ("carol@a.test", True),
    ]
    assert tied(told("dave@a.test"), rows) == []


def test_who_was_passed_on_is_known_by_orcpt_or_for_being_the_only_one():
    rows = deliveries("bob@a.test", "carol@a.test")
    assert tied(told("bob@inner.test", original="bob@a.test"), rows) == [("bob@a.test", True)]
    assert tied(told("bob@inner.test"), rows) == []
    assert tied(told("bob@inner.test"), rows, lambda each: each.id == 1) == [("bob@a.test", True)]
    assert tied(told("bob@inner.test", "carl@inner.test"), rows[:1]) == []


def test_what_cannot_be_meant_is_not():
    rows = deliveries("bob@a.test", "carol@b.test")
    assert tied(told("carol@b.test"), rows, lambda each: each.forward_path.endswith("@a.test")) == []
    assert tied(told("carol@b.test"), rows, lambda _: False) == []


def test_nobody_named_is_the_only_one_or_nobody():
    assert tied(Returned(), deliveries("bob@a.test")) == [("bob@a.test", False)]
    assert tied(Returned(), deliveries("bob@a.test", "carol@a.test")) == []


def test_a_whole_report_is_tied():
    report = (
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n\r\nsorry\r\n--x\r\n"
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; far.test\r\n\r\n"
        "Final-Recipient: rfc822; bob@a.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--x\r\n"
        f"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <{uuid_text(MESSAGE)}@here.test>\r\n\r\n--x--\r\n"
    ).encode()
    returned = read(report)
    assert candidates(returned, Header.of(report)) == [MESSAGE]
    assert tied(returned, deliveries("bob@a.test", "carol@a.test")) == [("bob@a.test", True)]
