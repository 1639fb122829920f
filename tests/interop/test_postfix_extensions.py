"""Postfix and we pass on what senders asked for, and internationalized addresses, in both directions. It needs root."""

from __future__ import annotations

import imaplib
import smtplib
import ssl
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from bench.postfix import Postfix, maildir, relay
from tests.interop.foreign import PASSWORD, Site
from tests.interop.test_postfix import start, until

pytestmark = pytest.mark.interop
__all__ = ["start"]  # the fixture

Start = Callable[[Callable[[Path], str]], Postfix]
BUECHER = "bücher@example.test"


def reports(site: Site, user: str, word: str) -> list[EmailMessage]:
    """The reports in an INBOX that hold `word`."""
    context = ssl.create_default_context(cafile=str(site.ca))
    with imaplib.IMAP4_SSL("localhost", site.port("imaps"), ssl_context=context) as box:
        box.login(user, PASSWORD)
        box.select("INBOX", readonly=True)
        _, data = box.uid("FETCH", "1:*", "(BODY.PEEK[])")
        found = [message_from_bytes(row[1], policy=policy.default) for row in data if isinstance(row, tuple)]
    return [each for each in found if each.get_content_type() == "multipart/report" and word in each.as_string()]


def letter(subject: str) -> bytes:
    return f"From: <alice@example.test>\r\nSubject: {subject}\r\n\r\nHallo\r\n".encode()


def test_postfix_hands_us_what_its_client_asked_for(site: Site, start: Start) -> None:
    """And we report: Postfix says nothing itself, for we announce DSN."""
    postfix = start(lambda _: relay("127.0.0.1", site.port("mx")))
    with smtplib.SMTP("127.0.0.1", postfix.port) as link:
        link.sendmail(
            site.alice,
            [site.bob],
            letter("asked"),
            mail_options=["RET=HDRS", "ENVID=from+2Bpostfix"],
            rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;robert@elsewhere.test"],
        )
    until(postfix.drained, "Postfix to pass the message on")
    until(lambda: len(reports(site, site.alice, "from+postfix")) > 0, "our report")
    (report,) = reports(site, site.alice, "from+postfix")
    about_message, about = list(report.iter_parts())[1].get_payload()
    assert about_message["Original-Envelope-Id"] == "from+postfix"
    assert (about["Action"], about["Original-Recipient"]) == ("delivered", "rfc822; robert@elsewhere.test")


def test_postfix_reports_what_we_hand_it(site: Site, start: Start) -> None:
    postfix = start(lambda home: maildir(home, "dsn.test") + relay("127.0.0.1", site.port("mx")))
    site.server.run("domain", "add", "dsn.test", "--relay-to", f"127.0.0.1:{postfix.port}")
    context = ssl.create_default_context(cafile=str(site.ca))
    with smtplib.SMTP_SSL("localhost", site.port("submissions"), context=context) as link:
        link.login(site.alice, PASSWORD)
        link.sendmail(
            site.alice,
            ["u1@dsn.test"],
            letter("ask"),
            mail_options=["ENVID=to-postfix"],
            rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;user.one@elsewhere.test"],
        )
    until(lambda: len(reports(site, site.alice, "to-postfix")) > 0, "Postfix's report")
    (report,) = reports(site, site.alice, "to-postfix")
    about_message, about = list(report.iter_parts())[1].get_payload()
    assert about_message["Reporting-MTA"] == "dns; mx.bench.test", "it is Postfix that tells, and not we"
    assert (about["Action"], about["Original-Recipient"]) == ("delivered", "rfc822;user.one@elsewhere.test")


def test_postfix_sends_us_internationalized_mail(site: Site, start: Start) -> None:
    postfix = start(lambda _: relay("127.0.0.1", site.port("mx")) + "smtputf8_enable = yes\n")
    site.server.run("account", "add", BUECHER, "--password-stdin", text=PASSWORD + "\n")
    sent = letter("Grüße von Postfix")
    with smtplib.SMTP("127.0.0.1", postfix.port) as link:
        link.ehlo()
        link.sendmail(site.alice, [BUECHER], sent, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    until(postfix.drained, "Postfix to pass the message on")
    story = site.server.run("message", "trace")  # of the newest
    assert "received from 127.0.0.1" in story
    assert "asked for: SMTPUTF8" in story
    assert f"{BUECHER}: delivered into INBOX" in story


def test_postfix_takes_internationalized_mail_from_us(site: Site, start: Start) -> None:
    postfix = start(lambda home: maildir(home, "utf8.test") + "smtputf8_enable = yes\n")
    site.server.run("domain", "add", "utf8.test", "--relay-to", f"127.0.0.1:{postfix.port}")
    sent = letter("Grüße an Postfix")
    with smtplib.SMTP("127.0.0.1", site.port("mx")) as link:
        link.ehlo()
        link.sendmail(site.alice, ["grüße@utf8.test"], sent, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    new = postfix.folder / "mail" / "u1" / "new"
    until(lambda: new.is_dir() and any(new.iterdir()), "the message to reach Postfix's Maildir")
    taken = next(new.iterdir()).read_bytes()
    assert "X-Original-To: grüße@utf8.test\n".encode() in taken
    assert "Subject: Grüße an Postfix\n".encode() in taken
