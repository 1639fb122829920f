"""Delivery reports: a stranger's mail program can read them, and so can we."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.dsn import Action, DeliveryReport, RecipientReport, ReturnedMessage, read, write
from postroad.mail.status import EnhancedCode, Status, status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ORIGINAL = b"From: a@ours.test\r\nSubject: hello\r\n\r\nHow are you?\r\n"
REFUSED = Status(550, EnhancedCode(5, 1, 1), "no such user", "", "mx.test", "550 5.1.1 <b@mx.test>: no such user")


def report(*recipients, **more):
    return DeliveryReport(
        "mail.ours.test", recipients or (RecipientReport("b@mx.test", Action.FAILED, REFUSED),), **more
    )


def written(made=None, returned=None):
    return write(
        made or report(),
        returned or ReturnedMessage(ORIGINAL, True, "hello"),
        to="a@ours.test",
        now=NOW,
        message_id="1.report@mail.ours.test",
        boundary="report-1",
    )


def parsed(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def test_is_a_multipart_report_that_keeps_vacation_programs_silent():
    message = parsed(written())
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["To"] == "a@ours.test"
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "message/rfc822",
    ]
    assert not message.defects


def test_says_it_in_plain_words():
    text = " ".join(parsed(written()).get_body(("plain",)).get_content().split())
    assert "I am sorry" in text
    assert "b@mx.test" in text
    assert "please check its spelling" in text
    assert "550 5.1.1 <b@mx.test>: no such user" in text


def test_the_fields_of_rfc_3464():
    made = report(
        RecipientReport("b@mx.test", Action.FAILED, REFUSED, last_attempt=NOW, orcpt="rfc822;list@ours.test"),
        arrival=NOW - timedelta(1),
    )
    status_part = list(parsed(written(made)).iter_parts())[1]
    about_message, about_recipient = status_part.get_payload()
    assert about_message["Reporting-MTA"] == "dns; mail.ours.test"
    assert about_message["Arrival-Date"] == "Thu, 01 Jan 2026 03:04:05 +0000"
    assert dict(about_recipient) == {
        "Original-Recipient": "rfc822; list@ours.test",
        "Final-Recipient": "rfc822; b@mx.test",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.test",
        "Diagnostic-Code": "smtp; 550 5.1.1 <b@mx.test>: no such user",
        "Last-Attempt-Date": "Fri, 02 Jan 2026 03:04:05 +0000",
    }


def test_the_original_goes_back_byte_for_byte_or_as_its_header():
    assert b"\r\n\r\n" + ORIGINAL + b"--report-1--\r\n" in written()
    header = ORIGINAL.partition(b"\r\n\r\n")[0] + b"\r\n"
    message = parsed(written(returned=ReturnedMessage(header, False)))
    part = list(message.iter_parts())[2]
    assert part.get_content_type() == "text/rfc822-headers"
    assert "the header of your message" in message.get_body(("plain",)).get_content()


def test_an_expired_one_says_how_long_it_was_tried():
    late = Status(451, None, "cannot be reached")
    made = report(RecipientReport("b@mx.test", Action.FAILED, late, expired=True), tried_for=timedelta(days=5))
    content = written(made)
    assert "I kept trying for 5 days" in parsed(content).get_body(("plain",)).get_content()
    assert b"Status: 4.0.0" in content


def test_a_status_code_fits_its_reply():
    """Some servers send 550 4.2.1; RFC 3464 wants one that means what happened."""
    odd = Status(550, EnhancedCode(4, 2, 1), "no", "", "mx.test", "550 4.2.1 no")
    assert b"Status: 5.0.0" in written(report(RecipientReport("b@mx.test", Action.FAILED, odd)))


def test_reads_its_own():
    ours = status(550, "5.1.2", "there is no such domain")
    made = report(
        RecipientReport("b@mx.test", Action.FAILED, REFUSED, orcpt="rfc822;list@ours.test"),
        RecipientReport("c@nowhere.test", Action.FAILED, ours),
    )
    again = read(written(made))
    assert again is not None
    assert again.reporting_mta == "mail.ours.test"
    first, second = again.recipients
    assert (first.final_recipient, first.original_recipient, first.action) == ("b@mx.test", "list@ours.test", "failed")
    assert first.status.diagnostic == REFUSED.diagnostic
    assert (first.status.remote, first.status.reply_code) == ("mx.test", 550)
    assert str(second.status.enhanced) == "5.1.2"


@pytest.mark.parametrize(
    ("address", "shown"),
    [("bücher@mx.test", r"utf-8; b\x{FC}cher@mx.test"), ("a+\N{GRINNING FACE}@b", r"utf-8; a\x{2B}\x{1F600}@b")],
)
def test_letters_outside_ascii(address, shown):
    """RFC 6533 §3."""
    content = written(report(RecipientReport(address, Action.FAILED, REFUSED)))
    assert f"Final-Recipient: {shown}\r\n".encode() in content
    again = read(content)
    assert again is not None
    assert again.recipients[0].final_recipient == address


def test_what_is_no_report_is_none():
    assert read(ORIGINAL) is None
    assert read(b"Content-Type: message/delivery-status\r\n\r\nnothing\r\n") is None


@given(st.text(max_size=3000), st.text(max_size=300), st.text(max_size=100))
def test_a_remotes_words_never_break_the_form(words, text, subject):
    verdict = Status(550, EnhancedCode(5, 7, 1), text, "", "mx.test", "550 " + words)
    content = written(
        report(RecipientReport("b@mx.test", Action.FAILED, verdict)), ReturnedMessage(ORIGINAL, True, subject)
    )
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")
    again = read(content)
    assert again is not None
    assert [recipient.final_recipient for recipient in again.recipients] == ["b@mx.test"]


@given(st.binary(max_size=300))
def test_reading_takes_anything(content):
    read(b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n" + content)
    read(content)
