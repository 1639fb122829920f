"""nodemailer's SMTP transport: in the clear, TLS, LMTP, every AUTH that it knows, DSN, SMTPUTF8, pools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.interop.foreign import program, run, until
from tests.interop.mailbag import fetch_by_subject, found_by_subject, reports
from tests.interop.senders import node_folder
from tests.interop.site import BUECHER, Site

pytestmark = pytest.mark.interop

SINGLE = ("AUTH PLAIN", "AUTH LOGIN", "chosen", "app password", "xoauth2", "dsn", "smtputf8")  # a login each
Cases = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def told(site: Site) -> tuple[Cases, list[tuple[str, str]]]:
    """What each case came to, and the logins that the server saw, in their order. One process for all."""
    modules = node_folder("nodemailer")
    given = {
        "alice": site.alice, "bob": site.bob, "buecher": BUECHER, "password": site.password, "app": site.app_password,
        "token": site.bearer(), "ca": str(site.ca),
        **{service: site.port(service) for service in ("mx", "submission", "submissions", "lmtp")},
    }  # fmt: skip
    script = Path(__file__).parent / "node" / "smtp.js"
    with site.logins(len(SINGLE) + 2) as logins:
        said = run([program("node"), script, json.dumps(given)], env={"NODE_PATH": str(modules)})
    return json.loads(said), logins


@pytest.fixture
def cases(told: tuple[Cases, list[tuple[str, str]]]) -> Cases:
    return told[0]


@pytest.mark.parametrize(
    ("case", "subject", "protocol"),
    [
        ("plain", "nodemailer-plain", "ESMTP"),
        ("starttls", "nodemailer-starttls", "ESMTPS"),
        ("lmtp", "nodemailer-lmtp", "LMTP"),
        ("AUTH PLAIN", "nodemailer-auth-plain", "ESMTPSA"),
        ("AUTH LOGIN", "nodemailer-auth-login", "ESMTPSA"),
        ("chosen", "nodemailer-chosen", "ESMTPSA"),
        ("app password", "nodemailer-app", "ESMTPSA"),
        ("xoauth2", "nodemailer-xoauth2", "ESMTPSA"),
    ],
)
def test_sends(site: Site, cases: Cases, case: str, subject: str, protocol: str) -> None:
    assert cases[case].get("answer", cases[case])["accepted"] == [site.bob]
    stored = fetch_by_subject(site, subject)
    assert f" with {protocol} ".encode() in stored
    assert stored.endswith("Hallo\r\n.\r\nGrüße\r\n".encode()) or b"Gr=C3=BC=C3=9Fe" in stored


def test_what_it_logged_in_by(told: tuple[Cases, list[tuple[str, str]]]) -> None:
    logins = [mechanism for mechanism, _ in told[1]]
    assert logins[:2] == ["PLAIN", "LOGIN"]
    assert logins[4] == "XOAUTH2"
    assert set(logins) == {"PLAIN", "LOGIN", "XOAUTH2"}
    assert {version for _, version in told[1]} == {"TLSv1.3"}


def test_a_pool_logs_in_once_for_each_connection(site: Site, told: tuple[Cases, list[tuple[str, str]]]) -> None:
    cases, logins = told
    assert cases["pooled"] == {"answer": 20}
    assert len(found_by_subject(site, "nodemailer-pooled")) == 20
    assert len(logins) == len(SINGLE) + 2


def test_is_told_what_is_wrong(cases: Cases) -> None:
    assert (cases["wrong password"]["error"], cases["wrong password"]["status"]) == ("EAUTH", 535)
    assert (cases["wrong token"]["error"], cases["wrong token"]["status"]) == ("EAUTH", 535)
    assert cases["unknown CA"]["error"] == "ESOCKET"


def test_one_of_two_recipients_is_refused(site: Site, cases: Cases) -> None:
    answer = cases["refused"]["answer"]
    assert (answer["accepted"], answer["rejected"]) == ([site.bob], ["nobody@example.test"])


def test_reports_that_it_asked_for(site: Site, cases: Cases) -> None:
    assert cases["dsn"]["answer"]["accepted"] == [site.bob]
    until(lambda: len(reports(site, site.alice, "from-nodemailer")) > 0, "our report")
    (report,) = reports(site, site.alice, "from-nodemailer")
    about_message, about = list(report.iter_parts())[1].get_payload()
    assert (about_message["Original-Envelope-Id"], about["Action"]) == ("from-nodemailer", "delivered")


def test_internationalized_addresses(site: Site, cases: Cases) -> None:
    assert cases["smtputf8"]["answer"]["accepted"] == [BUECHER]
    assert "delivered" in site.server.run("message", "list", "--recipient", BUECHER, "--subject", "nodemailer")
