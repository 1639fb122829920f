"""What came back, read: standard reports first."""

from postroad.content.returned import Kind, Stage, read
from postroad.mail.dsn import Action
from postroad.mail.status import EnhancedCode

REPORT = """From: Mail Delivery System <MAILER-DAEMON@mx.example.com>
To: alice@example.test
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--cut
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
Original-Envelope-Id: env-1
Arrival-Date: Mon, 24 Nov 2025 09:05:07 +0000

Original-Recipient: rfc822;bob@example.com
Final-Recipient: rfc822; robert@example.net
Action: failed
Status: 5.0.0
Remote-MTA: dns; in.example.net
Diagnostic-Code: smtp; 550 5.1.1 <robert@example.net>: no such user
    (in reply to RCPT TO command)

Final-Recipient: rfc822; carol@example.net
Action: delayed
Status: 4.4.1 (connection timed out)

--cut
Content-Type: message/rfc822

From: Alice <alice@example.test>
To: bob@example.com, carol@example.net
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Message-ID: <m1@example.test>

Hello
--cut--
"""


def test_a_standard_report_is_read_field_by_field():
    told = read(REPORT.replace("\n", "\r\n").encode())
    assert told.kind is Kind.BOUNCE
    assert told.standard
    assert told.reporter == "mx.example.com"
    first, second = told.recipients
    assert (first.address, first.original, first.action) == ("robert@example.net", "bob@example.com", Action.FAILED)
    assert (first.reply_code, first.enhanced, first.stage) == (550, EnhancedCode(5, 1, 1), Stage.RCPT)
    assert first.remote == "in.example.net"
    assert (second.address, second.action, second.enhanced) == (
        "carol@example.net",
        Action.DELAYED,
        EnhancedCode(4, 4, 1),
    )
    assert told.original is not None
    assert (told.original.message_id, told.original.envelope_id) == ("m1@example.test", "env-1")
    assert (told.original.sender, told.original.subject) == ("alice@example.test", "Grüße")
    assert told.original.recipients == ("bob@example.com", "carol@example.net")


def test_line_ends_make_no_difference():
    assert read(REPORT.encode()) == read(REPORT.replace("\n", "\r\n").encode())


def test_a_letter_is_nothing_special():
    assert read(b"From: alice@example.test\r\nSubject: lunch\r\n\r\nAt noon?\r\n").kind is Kind.NONE
