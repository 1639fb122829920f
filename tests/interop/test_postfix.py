"""Postfix passes mail on to us (by SMTP with STARTTLS, by LMTP, as a smarthost's client) and takes mail from us: DSN,
SMTPUTF8. It needs root.
"""

from __future__ import annotations

import smtplib
import ssl

import pytest
from tests.interop.foreign import program, run, until
from tests.interop.mailbag import added_fields, fetch_by_subject, found_by_subject, letter, message, reports
from tests.interop.peers import PostfixPeer
from tests.interop.site import BUECHER, BY_LMTP, BY_SUBMISSION, Site

pytestmark = pytest.mark.interop

STRANGER = "someone@elsewhere.test"


def hand(postfix: PostfixPeer, recipient: str, mail: bytes, sender: str = STRANGER, **options: list[str]) -> None:
    """Give Postfix a message, and wait until it has passed it on."""
    with smtplib.SMTP("127.0.0.1", postfix.port) as link:
        link.ehlo()
        link.sendmail(sender, [recipient], mail, **options)  # type: ignore[arg-type]
    until(postfix.drained, "Postfix to pass the message on")


def submit(site: Site, recipient: str, mail: bytes, **options: list[str]) -> None:
    """To us, as alice."""
    context = ssl.create_default_context(cafile=str(site.ca))
    with smtplib.SMTP_SSL("localhost", site.port("submissions"), context=context) as link:
        link.login(site.alice, site.password)
        link.ehlo()
        link.sendmail(site.alice, [recipient], mail, **options)  # type: ignore[arg-type]


def test_postfix_sends_to_our_mx(site: Site, postfix: PostfixPeer) -> None:
    mail = message("from-postfix", STRANGER, site.bob)
    hand(postfix, site.bob, mail, mail_options=["BODY=8BITMIME"])
    stored = fetch_by_subject(site, "from-postfix")
    fields = added_fields(stored, mail)
    assert fields[:3] == [b"Return-Path", b"Delivered-To", b"Received"]
    assert set(fields[3:]) == {b"Received"}, "the rest are Postfix's own"
    assert b" with ESMTPS " in stored


def test_postfix_sends_by_lmtp(site: Site, postfix: PostfixPeer) -> None:
    mail = message("postfix-lmtp", STRANGER, BY_LMTP)
    hand(postfix, BY_LMTP, mail, mail_options=["BODY=8BITMIME"])
    stored = fetch_by_subject(site, "postfix-lmtp", BY_LMTP)
    assert b" with LMTP " in stored
    assert added_fields(stored, mail)


def test_postfix_submits(site: Site, postfix: PostfixPeer) -> None:
    """As a smarthost's client; Cyrus SASL chooses the best mechanism that it knows, which is SCRAM."""
    mail = message("postfix-submits", site.alice, BY_SUBMISSION)
    with site.logins() as logins:
        hand(postfix, BY_SUBMISSION, mail, site.alice)
    assert b" with ESMTPSA " in fetch_by_subject(site, "postfix-submits", BY_SUBMISSION)
    assert logins == [("SCRAM-SHA-256", "TLSv1.3")]


def test_postfix_receives_from_us(site: Site, postfix: PostfixPeer) -> None:
    mail = message("to-postfix-end", STRANGER, "u1@postfix.test")
    with smtplib.SMTP("127.0.0.1", site.port("mx")) as link:
        link.sendmail(STRANGER, ["u1@postfix.test"], mail, mail_options=["BODY=8BITMIME"])
    until(lambda: any(b"to-postfix-end" in each for each in postfix.taken()), "the message to reach Postfix's Maildir")
    (stored,) = (each for each in postfix.taken() if b"to-postfix-end" in each)
    assert stored.endswith(mail.replace(b"\r\n", b"\n"))


def test_postfix_hands_us_what_its_client_asked_for(site: Site, postfix: PostfixPeer) -> None:
    """And we report: Postfix says nothing itself, for we announce DSN."""
    hand(postfix, site.bob, letter("asked"), site.alice,
         mail_options=["RET=HDRS", "ENVID=from+2Bpostfix"],
         rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;robert@elsewhere.test"])  # fmt: skip
    until(lambda: len(reports(site, site.alice, "from+postfix")) > 0, "our report")
    (report,) = reports(site, site.alice, "from+postfix")
    about_message, about = list(report.iter_parts())[1].get_payload()
    assert about_message["Original-Envelope-Id"] == "from+postfix"
    assert (about["Action"], about["Original-Recipient"]) == ("delivered", "rfc822; robert@elsewhere.test")


def test_postfix_reports_what_we_hand_it(site: Site, postfix: PostfixPeer) -> None:
    submit(site, "u1@postfix.test", letter("ask"), mail_options=["ENVID=to-postfix"],
           rcpt_options=["NOTIFY=SUCCESS", "ORCPT=rfc822;user.one@elsewhere.test"])  # fmt: skip
    until(lambda: len(reports(site, site.alice, "to-postfix")) > 0, "Postfix's report")
    (report,) = reports(site, site.alice, "to-postfix")
    about_message, about = list(report.iter_parts())[1].get_payload()
    assert about_message["Reporting-MTA"] == "dns; mx.bench.test", "it is Postfix that tells, and not we"
    assert (about["Action"], about["Original-Recipient"]) == ("delivered", "rfc822;user.one@elsewhere.test")


def test_postfix_sends_us_internationalized_mail(site: Site, postfix: PostfixPeer) -> None:
    hand(postfix, BUECHER, letter("Grüße von Postfix"), site.alice, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    story = site.story(BUECHER)
    assert "received from 127.0.0.1" in story
    assert "asked for: SMTPUTF8" in story
    assert f"{BUECHER}: delivered into INBOX" in story


def test_postfix_takes_internationalized_mail_from_us(site: Site, postfix: PostfixPeer) -> None:
    submit(site, "grüße@postfix.test", letter("Grüße an Postfix"), mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    wanted = "Subject: Grüße an Postfix\n".encode()
    until(lambda: any(wanted in each for each in postfix.taken()), "the message to reach Postfix's Maildir")
    (taken,) = (each for each in postfix.taken() if wanted in each)
    assert "X-Original-To: grüße@postfix.test\n".encode() in taken


@pytest.mark.parametrize(("service", "lmtp"), [("lmtp", ("-L",)), ("mx", ())])
def test_smtp_source(site: Site, service: str, lmtp: tuple[str, ...]) -> None:
    """Postfix's load generator: several sessions, many messages in each."""
    token = f"source-{service}-end"
    run([
        program("smtp-source"), *lmtp, "-s", "4", "-m", "40", "-l", "2000", "-d", "-f", STRANGER, "-t", site.bob,
        "-S", token, f"127.0.0.1:{site.port(service)}",
    ])  # fmt: skip
    taken = found_by_subject(site, token)
    assert len(taken) == 40
    assert all(f" with {'LMTP' if lmtp else 'SMTP'} ".encode() in each for each in taken)
