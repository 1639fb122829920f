from datetime import UTC, datetime

import pytest

from postroad.mail.envelope import Origin, TlsInfo
from postroad.mail.header import Header
from postroad.mail.trace import delivered_before, delivered_to, received, received_by, received_count, return_path

WHEN = datetime(2025, 11, 24, 9, 5, 7, tzinfo=UTC)


def lines(origin: Origin, recipient: str = "") -> str:
    return received(origin, by="mx.test", id="0abc", when=WHEN, recipient=recipient).decode()


def test_received_from_a_client():
    origin = Origin("mx", "c", client="192.0.2.1", helo="client.example")
    assert lines(origin, "bob@y.test") == (
        "Received: from client.example ([192.0.2.1])\r\n\tby mx.test with ESMTP id 0abc\r\n\tfor <bob@y.test>;\r\n"
        "\tMon, 24 Nov 2025 09:05:07 +0000\r\n"
    )


def test_several_recipients_are_not_told_of_each_other():
    assert "for <" not in lines(Origin("mx", "c", client="192.0.2.1", helo="h"))


@pytest.mark.parametrize(
    ("origin", "word"),
    [
        (Origin("mx", "c", client="::1", helo="h", esmtp=False), "with SMTP id"),
        (Origin("mx", "c", client="::1", helo="h", tls=TlsInfo("TLSv1.3", "X")), "with ESMTPS id"),
        (Origin("submission", "c", account="a@b", tls=TlsInfo("TLSv1.3", "X")), "with ESMTPSA id"),
        (Origin("local", "c"), "with local id"),
    ],
)
def test_the_protocol_is_named_as_rfc_3848_says(origin, word):
    assert word in lines(origin)


@pytest.mark.parametrize(
    ("origin", "word"),
    [
        (Origin("submission", "c", account="a@b", tls=TlsInfo("TLSv1.3", "X")), b"with UTF8SMTPSA id"),
        (Origin("lmtp", "c", client="::1", helo="h"), b"with UTF8LMTP id"),
        (Origin("local", "c"), b"with local id"),
    ],
)
def test_internationalized_mail_has_words_of_its_own(origin, word):
    assert word in received(origin, by="mx.test", id="0abc", when=WHEN, utf8=True)


def test_an_ipv6_client_and_tls():
    text = lines(Origin("mx", "c", client="2001:db8::1", helo="h.example", tls=TlsInfo("TLSv1.3", "TLS_AES")))
    assert "from h.example ([IPv6:2001:db8::1])" in text
    assert "(TLSv1.3 TLS_AES)" in text


@pytest.mark.parametrize(
    ("helo", "shown"),
    [("[192.168.1.9]", "from unknown\r\n"), ("192.168.1.9", "from unknown\r\n"), ("laptop", "from laptop\r\n")],
)
def test_an_authenticated_submitters_address_is_left_out(helo, shown):
    text = lines(Origin("submission", "c", client="192.168.1.9", helo=helo, account="a@b"))
    assert shown in text
    assert "192.168" not in text


def test_a_hostile_helo_cannot_break_the_field():
    text = lines(Origin("mx", "c", client="192.0.2.1", helo="x\r\nSubject: y (;"))
    assert text.count("\r\n") == 3
    assert "from x??Subject:?y??? ([192.0.2.1])" in text


def test_a_local_message_has_no_from():
    assert lines(Origin("local", "c")).startswith("Received: by mx.test with local id 0abc;")


def test_delivery_fields():
    assert return_path("a@b.test") == b"Return-Path: <a@b.test>\r\n"
    assert return_path("") == b"Return-Path: <>\r\n"
    assert delivered_to("bob@y.test") == b"Delivered-To: bob@y.test\r\n"


def test_loops_are_seen():
    header = Header(b"Received: a\r\nDelivered-To: Bob@Y.test\r\nReceived: b\r\nDelivered-To: not an address\r\n\r\n")
    assert received_count(header) == 2
    assert delivered_before(header, ["ann@y.test", "bob@y.test"]) == "bob@y.test"
    assert delivered_before(header, ["ann@y.test"]) == ""
    assert delivered_before(Header(b"\r\n"), ["ann@y.test"]) == ""


def test_our_own_stamps_are_told_from_those_of_others():
    header = Header(
        b"Received: from x (x [192.0.2.1])\r\n\tby MX.ours.test with ESMTP id 1;\r\n\tnow\r\n"
        b"Received: by mx.ours.test; now\r\n"
        b"Received: from mx.ours.test by other.test; now\r\n"
        b"Received: by mx.ours.test.evil.test; now\r\n"
        b"Received: by notmx.ours.test; now\r\n"
        b"Received: by mxxours.test; now\r\n\r\n"
    )
    assert received_by(header, "mx.ours.test") == 2
    assert received_by(Header(b"\r\n"), "mx.ours.test") == 0
