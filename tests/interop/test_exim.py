"""Exim sends to us and receives from us: BDAT, DSN, SMTPUTF8, STARTTLS, LMTP, and two ways to log in. It needs root."""

from __future__ import annotations

import smtplib
import ssl

import pytest
from tests.interop.exim import Exim
from tests.interop.foreign import until
from tests.interop.mailbag import HARD_BODY, added_fields, fetch_by_subject, letter, message, reports
from tests.interop.site import BUECHEREI, BY_CERTIFICATE, BY_LMTP, BY_SUBMISSION, Site
from tests.interop.tap import tapped

pytestmark = pytest.mark.interop

STRANGER = "someone@elsewhere.test"


def hand(exim: Exim, recipient: str, mail: bytes, sender: str = STRANGER, **options: list[str]) -> str:
    """Give Exim a message; what it logged until nothing was left."""
    mark = len(exim.log())
    with smtplib.SMTP("127.0.0.1", exim.port) as link:
        link.ehlo()
        link.sendmail(sender, [recipient], mail, **options)  # type: ignore[arg-type]
    until(lambda: "Completed" in exim.log()[mark:], "Exim to pass the message on")
    return exim.log()[mark:]


def test_exim_sends_by_bdat_and_starttls(site: Site, exim: Exim) -> None:
    mail = message("exim-bdat", STRANGER, site.bob)
    logged = hand(exim, site.bob, mail, mail_options=["BODY=8BITMIME"])
    assert " X=TLS1.3:" in logged
    assert " CV=yes " in logged, "it has checked our certificate"
    assert " K C=" in logged, "it has sent in chunks"
    stored = fetch_by_subject(site, "exim-bdat")
    fields = added_fields(stored, mail)
    assert fields[:3] == [b"Return-Path", b"Delivered-To", b"Received"]
    assert set(fields[3:]) == {b"Received"}, "the rest are Exim's own"


def test_exim_speaks_bdat_on_the_wire(site: Site, exim: Exim) -> None:
    """Large enough for several chunks; pipelined behind MAIL and RCPT."""
    body = HARD_BODY * 2000
    with tapped(site.port("mx")) as tap:
        mail = b"X-Port: %d\r\n" % tap.port + message("exim-wire", STRANGER, site.bob, body)
        assert " K C=" in hand(exim, site.bob, mail, mail_options=["BODY=8BITMIME"])
    assert tap.client.count(b"BDAT ") > 1, "more than one chunk"
    assert b" LAST\r\n" in tap.client
    assert b"\r\nDATA\r\n" not in tap.client
    assert any(b"MAIL FROM" in piece and b"RCPT TO" in piece for piece in tap.asked), "a pipelined group"
    assert added_fields(fetch_by_subject(site, "exim-wire"), mail)


def test_exim_hands_us_what_its_client_asked_for(site: Site, exim: Exim) -> None:
    """And we report: Exim says nothing itself, for we announce DSN."""
    hand(exim, site.bob, letter("asked"), site.alice,
         mail_options=["RET=HDRS", "ENVID=from+2Bexim"],
         rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;robert@elsewhere.test"])  # fmt: skip
    until(lambda: len(reports(site, site.alice, "from+exim")) > 0, "our report")
    (report,) = reports(site, site.alice, "from+exim")
    about_message, about = list(report.iter_parts())[1].get_payload()
    assert about_message["Original-Envelope-Id"] == "from+exim"
    assert (about["Action"], about["Original-Recipient"]) == ("delivered", "rfc822; robert@elsewhere.test")
    assert [part.get_content_type() for part in report.iter_parts()][2] == "text/rfc822-headers"


def test_exim_sends_us_internationalized_mail(site: Site, exim: Exim) -> None:
    hand(exim, BUECHEREI, letter("Grüße von Exim"), mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    story = site.story(BUECHEREI)
    assert "asked for: SMTPUTF8" in story
    assert f"{BUECHEREI}: delivered into INBOX" in story


def test_exim_sends_by_lmtp(site: Site, exim: Exim) -> None:
    logged = hand(exim, BY_LMTP, message("exim-lmtp", STRANGER, BY_LMTP), mail_options=["BODY=8BITMIME"])
    assert f"=> {BY_LMTP}" in logged.replace("by-lmtp <", "")
    assert b" with LMTP " in fetch_by_subject(site, "exim-lmtp", BY_LMTP)


@pytest.mark.parametrize(("recipient", "mechanism"), [(BY_SUBMISSION, "PLAIN"), (BY_CERTIFICATE, "EXTERNAL")])
def test_exim_submits(site: Site, exim: Exim, recipient: str, mechanism: str) -> None:
    """As a smarthost's client, by password and by certificate."""
    with site.logins() as logins:
        logged = hand(exim, recipient, letter(f"exim by {mechanism}"), site.alice)
    assert f" A={mechanism.lower()}" in logged or " A=plain" in logged
    assert logins == [(mechanism, "TLSv1.3")]
    assert b" with ESMTPSA " in fetch_by_subject(site, f"exim by {mechanism}", recipient)


def test_exim_receives_from_us(site: Site, exim: Exim) -> None:
    """With DSN and SMTPUTF8; it reports, and we do not."""
    context = ssl.create_default_context(cafile=str(site.ca))
    mail = letter("Grüße an Exim")
    with smtplib.SMTP_SSL("localhost", site.port("submissions"), context=context) as link:
        link.login(site.alice, site.password)
        link.ehlo()
        link.sendmail(
            site.alice,
            ["grüße@exim.test"],
            mail,
            mail_options=["SMTPUTF8", "BODY=8BITMIME", "ENVID=to-exim"],
            rcpt_options=["NOTIFY=SUCCESS"],
        )
    until(
        lambda: any(mail.partition(b"\r\n\r\n")[2].rstrip() in each for each in exim.taken()),
        "the message to reach Exim",
    )
    (taken,) = (each for each in exim.taken() if "Grüße an Exim".encode() in each)
    assert b"Return-path: <alice@example.test>" in taken
    until(lambda: len(reports(site, site.alice, "to-exim")) > 0, "Exim's report")
    (report,) = reports(site, site.alice, "to-exim")
    about_message, about = list(report.iter_parts())[1].get_payload()
    assert about_message["Reporting-MTA"] == "dns; exim.test", "it is Exim that tells, and not we"
    assert about["Action"] == "delivered"
