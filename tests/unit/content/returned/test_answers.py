"""Complaints, robots' answers, challenges and notices in JSON; and letters that only look like them."""

import json

import pytest

from postroad.content.classify import classify_returned
from postroad.content.reasons import Reason
from postroad.content.returned import Kind, read
from postroad.mail.dsn import Action

COMPLAINT = """From: <feedback@example.com>
To: abuse@example.test
Subject: FW: Invoice
Content-Type: multipart/report; report-type=feedback-report; boundary="cut"

--cut
Content-Type: text/plain

This is an email abuse report.
--cut
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <alice@example.test>
{recipients}Original-Envelope-Id: env-1
Reporting-MTA: dns; mail.example.com

--cut
Content-Type: message/rfc822

From: alice@example.test
To: bob@example.com
Subject: Invoice
Message-ID: <m1@example.test>

Pay!
--cut--
"""


def test_a_complaint_names_who_complained_about_what():
    told = read(COMPLAINT.format(recipients="Original-Rcpt-To: <bob@example.com>\n").encode())
    assert (told.kind, told.feedback_type, told.reporter) == (Kind.FEEDBACK, "abuse", "mail.example.com")
    assert [each.address for each in told.recipients] == ["bob@example.com"]
    assert told.original is not None
    assert (told.original.message_id, told.original.envelope_id) == ("m1@example.test", "env-1")
    cause = classify_returned(told.recipients[0], told.kind)
    assert (cause.reason, cause.hard, cause.bounce_type) == (Reason.COMPLAINT, True, "SpamComplaint")


def test_several_complain_at_once():
    told = read(
        COMPLAINT.format(recipients="".join(f"Original-Rcpt-To: u{n}@example.com\n" for n in range(3))).encode()
    )
    assert len(told.recipients) == 3


def test_where_the_complaint_leaves_it_out_the_original_tells():
    assert [each.address for each in read(COMPLAINT.format(recipients="").encode()).recipients] == ["bob@example.com"]


def test_a_complaint_without_a_machine_readable_part():
    told = read(
        b"From: staff@example.com\nSubject: complaint about message from 192.0.2.1\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
        b"From: alice@example.test\nTo: bob@example.com\nMessage-ID: <m1@x.test>\n\nHi\n--b--\n"
    )
    assert (told.kind, told.standard, told.recipients[0].address) == (Kind.FEEDBACK, False, "bob@example.com")


ABSENT = (
    ("Auto-Submitted: auto-replied", "Re: Invoice"),
    ("X-Autoreply: yes", "Re: Invoice"),
    ("Precedence: auto_reply", "Re: Invoice"),
    ("X-Mailer: whatever", "Out of office: Invoice"),
    ("X-Mailer: whatever", "Automatic reply: Invoice"),
    ("X-Mailer: whatever", "Abwesenheitsnotiz: Rechnung"),
    ("X-Mailer: whatever", "Réponse automatique : facture"),
    ("X-Mailer: whatever", "Автоответ: счёт"),
    ("X-Mailer: whatever", "自動返信: 請求書"),
)


@pytest.mark.parametrize(("field", "subject"), ABSENT)
def test_a_robots_answer(field, subject):
    letter = f"From: Bob <bob@example.com>\nTo: alice@example.test\n{field}\nSubject: {subject}\n"
    told = read((letter + "In-Reply-To: <m1@example.test>\n\nBack on Monday. My mailbox is full.\n").encode())
    assert told.kind is Kind.AUTO_REPLY
    assert [(each.address, each.action) for each in told.recipients] == [("bob@example.com", Action.DELIVERED)]
    assert told.original is not None
    assert told.original.message_id == "m1@example.test"
    assert not classify_returned(told.recipients[0], told.kind).hard


def test_a_challenge():
    told = read(
        b"From: bob@example.com\nSubject: Please confirm your message\nAuto-Submitted: auto-replied\n\n"
        b"Click here to verify that you are human and have your message delivered: https://filter.example/\n"
    )
    assert told.kind is Kind.CHALLENGE


@pytest.mark.parametrize(
    "letter",
    [
        "From: bob@example.com\nSubject: Re: Invoice\n\nI shall be out of office next week.\n",
        "From: bob@example.com\nSubject: Vacation photos\n\nLook!\n",
        "From: bob@example.com\nSubject: I am out of ideas\n\nYou?\n",
        "From: bob@example.com\nSubject: Automatic doors\n\nThey are broken.\n",
        "From: bob@example.com\nSubject: the delivery failed\n\nOur courier did not reach carol@example.org.\n",
        "From: shop@example.com\nSubject: Please confirm your order\n\nClick here to confirm.\n",
        "From: bob@example.com\nSubject: abuse report template\n\nSee below.\n",
        "From: bob@example.com\nAuto-Submitted: no\nSubject: hello\n\nHi.\n",
        "From: carol@example.com\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\n"
        "Subject: Read: Invoice\n\n--b\n\nread\n--b\nContent-Type: message/disposition-notification\n\n"
        "Final-Recipient: rfc822; carol@example.com\nDisposition: manual-action/MDN-sent-manually; displayed\n\n"
        "--b--\n",
        "",
        "\n\n",
        "no header at all",
    ],
)
def test_letters_are_letters(letter):
    assert read(letter.encode()).kind is Kind.NONE


def notice(kind, detail):
    value = {kind[0]: kind[1], detail[0]: detail[1], "mail": {"messageId": "m1", "source": "alice@example.test"}}
    return b"From: no-reply@example.com\nSubject: Notification\n\n" + json.dumps(value).encode() + b"\n\n--\nbye\n"


@pytest.mark.parametrize(
    ("kind", "detail", "told"),
    [
        (
            ("notificationType", "Bounce"),
            ("bounce", {"bouncedRecipients": [{"emailAddress": "bob@example.com", "status": "5.1.1",
                                               "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]}),
            (Kind.BOUNCE, Reason.NO_SUCH_MAILBOX),
        ),
        (
            ("notificationType", "Bounce"),
            ("bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull",
                        "bouncedRecipients": [{"emailAddress": "bob@example.com"}]}),
            (Kind.BOUNCE, Reason.MAILBOX_FULL),
        ),
        (
            ("eventType", "Complaint"),
            ("complaint", {"complainedRecipients": [{"emailAddress": "bob@example.com"}]}),
            (Kind.FEEDBACK, Reason.COMPLAINT),
        ),
        (
            ("eventType", "Delivery"),
            ("delivery", {"recipients": ["bob@example.com"], "smtpResponse": "250 ok"}),
            (Kind.DELIVERED, Reason.DELIVERED),
        ),
    ],
)  # fmt: skip
def test_notices_in_json(kind, detail, told):
    returned = read(notice(kind, detail))
    assert [each.address for each in returned.recipients] == ["bob@example.com"]
    assert (returned.kind, classify_returned(returned.recipients[0], returned.kind).reason) == told
    assert returned.original is not None
    assert returned.original.message_id == "m1"


def test_json_that_is_no_notice_is_a_letter():
    assert read(b'Subject: x\n\n{"mail": 1, "notificationType": "Bounce"}').kind is Kind.NONE
    assert read(b'Subject: x\n\n{"mail": {}, "notificationType": "Other"}').kind is Kind.NONE


INTERNATIONAL = """Subject: Undelivered
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: message/{kind}

Reporting-MTA: dns; mx.example.com

Original-Recipient: utf-8;{address}
Final-Recipient: utf-8;{address}
Action: failed
Status: 5.1.1

--cut--
"""


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("global-delivery-status", "büro@exämple.com"),
        ("delivery-status", "b\\x{FC}ro@ex\\x{E4}mple.com"),
    ],
)
def test_international_reports(kind, address):
    """RFC 6533 §3, §4."""
    told = read(INTERNATIONAL.format(kind=kind, address=address).encode())
    assert [each.address for each in told.recipients] == ["büro@exämple.com"]
    assert told.standard


def test_sloppy_standard_reports_are_read_too():
    text = """Subject: Undelivered
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
Final-Recipient: rfc822;<bob@example.com>
Action: Failed (permanent)
Status: 5 .2 .2 (mailbox full)
Final-Recipient: rfc822;carol@example.com
Action: delayed

Status: 4.4.1
Remote-MTA: dns; mx.example.org. (192.0.2.9, the server for the domain)
--cut--
"""
    bob, carol = read(text.encode()).recipients
    assert (bob.address, str(bob.enhanced), bob.action) == ("bob@example.com", "5.2.2", Action.FAILED)
    assert (carol.address, str(carol.enhanced), carol.action) == ("carol@example.com", "4.4.1", Action.DELAYED)
    assert carol.remote == "mx.example.org"
