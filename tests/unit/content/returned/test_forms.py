"""Reports that follow no standard, each by the general form of what such a program writes: hosts, names and words are
ours. Each is read with LF, with CRLF, and with the original left out."""

import pytest

from postroad.content.classify import classify_returned
from postroad.content.reasons import Reason as R
from postroad.content.returned import Kind, read
from postroad.content.returned.model import Stage

ORIGINAL = """Received: from out.example.test (out.example.test [192.0.2.1])
\tby relay.example.test (8.15.2) with ESMTP id q1
\tfor <bob@example.com>; Mon, 24 Nov 2025 09:00:00 +0000
Date: Mon, 24 Nov 2025 08:59:59 +0000
From: Alice <alice@example.test>
To: Bob <bob@example.com>
Subject: Invoice
Message-ID: <m1@example.test>

Please see user unknown, mailbox full and carol@example.org.
"""
HEAD = """Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@relay.example.test>
To: alice@example.test
Subject: {}

"""

FORMS = {
    "qmail": (
        "failure notice",
        """Hi. This is the qmail-send program at relay.example.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<bob@example.com>:
192.0.2.9 does not like recipient.
Remote host said: 550 5.1.1 <bob@example.com>: Recipient address rejected
Giving up on 192.0.2.9.

<carol@example.org>:
Sorry, I couldn't find any host named example.org. (#5.1.2)

--- Below this line is a copy of the message.

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX, "carol@example.org": R.NO_SUCH_DOMAIN},
    ),
    "james": (
        "failure notice",
        """Hi. This is the James mail server at relay.example.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out. Below
I include the list of recipients and the reason why I was unable to deliver
your message.

bob@example.com

Error message below:
550 - Requested action not taken: no such user here, RCPT

Message details:

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "exim": (
        "Mail delivery failed: returning message to sender",
        """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  bob@example.com
    host mx.example.com [192.0.2.9]
    SMTP error from remote mail server after RCPT TO:<bob@example.com>:
    550-5.2.2 The mailbox of the recipient
    550 5.2.2 is over quota
  carol@example.org
    (generated from team@example.test)
    retry timeout exceeded

------ This is a copy of the message, including all the headers. ------

""",
        {"bob@example.com": R.MAILBOX_FULL, "carol@example.org": R.EXPIRED},
    ),
    "postfix-plain": (
        "Undelivered Mail Returned to Sender",
        """This is the mail system at host relay.example.test.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<bob@example.com>: host mx.example.com[192.0.2.9] said: 554 5.7.1 Service
    unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org
    (in reply to RCPT TO command)

<carol@example.org>: connect to mx.example.org[192.0.2.10]:25: Connection
    refused

""",
        {"bob@example.com": R.BLOCKLISTED, "carol@example.org": R.NO_CONNECTION},
    ),
    "sendmail-old": (
        "Returned mail: User unknown",
        """   ----- Transcript of session follows -----
... while talking to mx.example.com.:
>>> RCPT To:<bob@example.com>
<<< 550 <bob@example.com>... User unknown
550 <bob@example.com>... User unknown

   ----- Unsent message follows -----
""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "interscan": (
        "Mail could not be delivered",
        """Sent <<< RCPT TO:<bob@example.com>
Received >>> 550 5.1.1 <bob@example.com>... user unknown

Unable to deliver message to <bob@example.com>.

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "mailmarshal": (
        "Undeliverable Mail",
        """Your message:
   From:    alice@example.test
   Subject: Invoice

Could not be delivered because of

550 5.1.1 User unknown

The following recipients were affected:
    bob@example.com

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "surfcontrol": (
        "Message could not be sent",
        """Your message could not be sent.
A transcript of the attempts to send the message follows.
The number of attempts made: 1
Addressed To: bob@example.com

Mon 24 Nov 2025 09:00:00 +0000
Failed to send to identified host,
bob@example.com: [192.0.2.9], 550 5.2.2 mailbox full

""",
        {"bob@example.com": R.MAILBOX_FULL},
    ),
    "imail": (
        "Undeliverable Mail",
        "Unknown user: bob@example.com\n\n\nOriginal message follows.\n\n",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "domino": (
        "DELIVERY FAILURE: User bob not listed in Domino Directory",
        """Your message

  Subject: Invoice

was not delivered to:

  bob@example.com

because:

  User bob (bob@example.com) not listed in Domino Directory

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "exchange-prose": (
        "Undeliverable: Invoice",
        """Your message

  To:      bob@example.com
  Subject: Invoice
  Sent:    Mon, 24 Nov 2025 09:00:00 -0000

did not reach the following recipient(s):

bob@example.com on Mon, 24 Nov 2025 09:00:01 -0000
    The recipient name is not recognized
    MSEXCH:IMS:Example:Site:SERVER 0 (000C05A6) Unknown Recipient

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "exchange-diagnostics": (
        "Undeliverable: Invoice",
        """Delivery has failed to these recipients or groups:

bob@example.com<mailto:bob@example.com>
The email address you entered couldn't be found.

Diagnostic information for administrators:

Generating server: mail.example.com

bob@example.com
#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##

Original message headers:

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "opensmtpd": (
        "Delivery status notification: error",
        """    Hi!

    This is the MAILER-DAEMON, please DO NOT REPLY to this email.

    An error has occurred while attempting to deliver a message for
    the following list of recipients:

bob@example.com: 550 5.1.1 <bob@example.com>: user unknown

    Below is a copy of the original message:

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "dragonfly": (
        "Mail delivery failed",
        """This is the DragonFly Mail Agent v0.13 at relay.example.test.

There was an error delivering your mail to <bob@example.com>.

mx.example.com [192.0.2.9] did not like our DATA:
554 5.7.1 message looks like spam

Message headers follow.

""",
        {"bob@example.com": R.SPAM_CONTENT},
    ),
    "zoho": (
        "Undelivered Mail Returned to Sender",
        """This message was created automatically by mail delivery software.
 A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.

bob@example.com Invalid Address, ERROR_CODE :550, ERROR_CODE :5.2.2 <bob@example.com>... Mailbox Full

""",
        {"bob@example.com": R.MAILBOX_FULL},
    ),
    "gmail-old": (
        "Delivery Status Notification (Failure)",
        """Delivery to the following recipient failed permanently:

     bob@example.com

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the server for the recipient domain.

The error that the other server returned was:
550 5.1.1 <bob@example.com>... User unknown

----- Original message -----

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "list-of-stars": (
        "Delivery status notification",
        """============================================================================
This is an automatically generated Delivery Status Notification.

Delivery to the following recipients failed permanently:

   * bob@example.com

============================================================================
Technical details:

SMTP:RCPT host 192.0.2.9: 553 5.3.0 <bob@example.com>... No such user here
============================================================================

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "one-sentence": (
        "There was an error sending your mail",
        """We had trouble delivering your message. Full details follow:

1 error(s):

SMTP Server <mx.example.com> rejected recipient <bob@example.com> (Error following RCPT command). It responded as
follows: [550 5.1.1 User unknown]

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "japanese": (
        "配信エラー",
        """以下のメールアドレスへの送信に失敗しました。
bob@example.com


-------server message
550 5.1.1 unknown user <bob@example.com>

-------SMTP command
RCPT TO

-------original mail info
""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "german": (
        "Unzustellbare Nachricht",
        """Ihre Nachricht konnte leider nicht zugestellt werden:

<bob@example.com>: 552 Das Postfach ist voll

""",
        {"bob@example.com": R.MAILBOX_FULL},
    ),
    "code-without-text": (
        "Delivery failure",
        """The following address failed:

<bob@example.com>: 550 5.1.1

""",
        {"bob@example.com": R.NO_SUCH_MAILBOX},
    ),
    "firewall": (
        "Message blocked",
        """Your message to: bob@example.com
was blocked by our Spam Firewall. The email you sent with the following subject has NOT BEEN DELIVERED:

Subject: Invoice

""",
        {"bob@example.com": R.SPAM_CONTENT},
    ),
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("original", [ORIGINAL, ""], ids=["with", "without"])
@pytest.mark.parametrize("name", FORMS)
def test_each_form_gives_its_recipients_and_reasons(name, original, ends):
    subject, text, wanted = FORMS[name]
    told = read((HEAD.format(subject) + text + original).replace("\n", ends).encode())
    assert told.kind is Kind.BOUNCE
    assert {each.address: classify_returned(each).reason for each in told.recipients} == wanted
    if original:
        assert told.original is not None
        assert told.original.message_id == "m1@example.test"


@pytest.mark.parametrize("name", FORMS)
def test_other_hosts_queue_ids_and_times_change_nothing(name):
    subject, text, wanted = FORMS[name]
    text = text.replace("192.0.2.9", "198.51.100.77").replace("mx.example.com", "in-77.mail.example.com")
    text = text.replace("relay.example.test", "b9-out.example.test").replace("24 Nov 2025", "1 Jan 2031")
    told = read((HEAD.format(subject) + text + ORIGINAL.replace("q1", "0AFFEE42")).encode())
    assert {each.address: classify_returned(each).reason for each in told.recipients} == wanted


def test_a_warning_is_a_delay():
    text = """This is an automatically generated Delivery Status Notification

THIS IS A WARNING MESSAGE ONLY.

YOU DO NOT NEED TO RESEND YOUR MESSAGE.

Delivery to the following recipient has been delayed:

     bob@example.com

Message will be retried for 2 more day(s)
"""
    told = read((HEAD.format("Delivery Status Notification (Delay)") + text).encode())
    assert told.kind is Kind.DELAY
    assert [each.address for each in told.recipients] == ["bob@example.com"]
    assert not classify_returned(told.recipients[0], told.kind).permanent


def test_the_header_names_who_failed():
    text = HEAD.format("Mail failure").replace(
        "\n\n", "\nX-Failed-Recipients: bob@example.com,\n carol@example.org\n\n"
    )
    told = read((text + "Could not be delivered: carol@example.org, 552 mailbox full\n").encode())
    assert [each.address for each in told.recipients] == ["carol@example.org", "bob@example.com"]


def test_the_stage_is_read_from_prose():
    _, text, _ = FORMS["dragonfly"]
    (bob,) = read((HEAD.format("Mail delivery failed") + text).encode()).recipients
    assert (bob.reply_code, bob.stage) == (554, Stage.DATA)


def test_who_writes_about_a_bounce_did_not_bounce():
    _, text, _ = FORMS["qmail"]
    letter = "From: carol@example.org\nTo: alice@example.test\nSubject: your mail came back\n\nLook at this:\n\n" + text
    assert read(letter.encode()).kind is Kind.NONE
