"""Bounce targets: whatever octets come back, they are read, and each recipient has a cause and an explanation."""

from postroad.content.classify import classify_returned
from postroad.content.explain import Facts, explain, explain_cause, read_reply
from postroad.content.returned import Kind, read
from postroad.testing.fuzzing import Target

REPORT = (
    b"From: MAILER-DAEMON@mx.example.com\r\nSubject: Undelivered Mail Returned to Sender\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\n"
    b"<bob@example.com>: 550 no\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.com\r\n\r\n"
    b"Final-Recipient: rfc822; bob@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"Diagnostic-Code: smtp; 550 5.1.1 user unknown\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Message-ID: <m1@example.test>\r\nTo: bob@example.com\r\n\r\nHello\r\n--b--\r\n"
)
PROSE = (
    b"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.com\nSubject: failure notice\n\n"
    b"I wasn't able to deliver your message.\n\n<bob@example.com>:\nRemote host said: 550 5.2.2 mailbox full\n\n"
    b"--- Below this line is a copy of the message.\n\nReceived: by x\nFrom: a@b.test\nTo: bob@example.com\n\nhello\n"
)
COMPLAINT = (
    b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n--b\n\nabuse\n--b\n"
    b"Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: <bob@example.com>\n\n--b--\n"
)
NOTICE = (
    b'Subject: AWS Notification Message\n\n{"notificationType":"Bounce","bounce":{"bouncedRecipients":'
    b'[{"emailAddress":"bob@example.com","status":"5.1.1"}]},"mail":{"messageId":"m"}}\n'
)
VACATION = b"Auto-Submitted: auto-replied\nFrom: bob@example.com\nSubject: Out of office\n\nBack on Monday.\n"
WORDS = (
    b"Final-Recipient: rfc822;", b"Original-Recipient: utf-8;", b"Action: delayed\n", b"Status: 5.1.1\n", b"\\x{FC}",
    b"Content-Type: message/global-delivery-status\n\n", b"X-Failed-Recipients: a@b.test,", b">>> RCPT TO:<",
    b"<<< 550 ", b"----- Transcript of session follows -----\n", b"(in reply to end of DATA command)", b"\n\n",
    b"<", b">",
    b"@example.com", b"550-5.7.1 ", b"#5.1.1", b"4.2.2", b"=?utf-8?q?x?=", b"{", b'"Message":"{', b"!\n ",
)  # fmt: skip


def returned(data: bytes) -> None:
    told = read(data)
    assert (told.kind is Kind.NONE) == (not told.recipients)
    for each in told.recipients[:20]:
        cause = classify_returned(each, told.kind)
        sentence = explain_cause(cause, Facts(recipient=each.address)).happened
        assert sentence
        assert "\n" not in each.address


def reply(data: bytes) -> None:
    told = explain(read_reply(data.decode("utf-8", "replace")))
    assert told.title
    assert told.next_step


TARGETS = {
    "bounce-message": Target(returned, [REPORT, PROSE, COMPLAINT, NOTICE, VACATION], WORDS),
    "bounce-reply": Target(reply, [b"550-5.7.26 no\r\n550 5.7.26 - gsmtp", b"421 4.7.0 try again in 5 minutes"], WORDS),
}
