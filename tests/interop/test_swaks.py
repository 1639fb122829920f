"""swaks in every way that it knows: TLS, AUTH, pipelining, XCLIENT, PROXY, LMTP."""

from __future__ import annotations

import re

import pytest
from tests.interop.foreign import program, run
from tests.interop.mailbag import fetch_by_subject
from tests.interop.site import BALANCER, GATEWAY, Site
from tests.interop.tap import tapped

pytestmark = pytest.mark.interop

CLIENT, CLIENT6 = "192.0.2.7", "2001:db8::7"  # whom a balancer or a gateway speaks for


def swaks(site: Site, service: str, *options: str, port: int = 0, code: int = 0) -> str:
    """A whole conversation, to bob; what swaks prints of it. It exits with 0 if every step was answered well."""
    command = [
        program("swaks"), "--server", "localhost", "--port", str(port or site.port(service)),
        "--helo", "client.example.test", "--from", site.alice, "--to", site.bob, *options,
    ]  # fmt: skip
    return run(command, code=code).decode()


def login(site: Site, *mechanisms: str, password: str = "") -> tuple[str, ...]:
    named = [",".join(mechanisms)] if mechanisms else []
    return ("--auth", *named, "--auth-user", site.alice, "--auth-password", password or site.password)


def received(site: Site, subject: str) -> str:
    """The topmost Received field of a message, on one line."""
    header = fetch_by_subject(site, subject).partition(b"\r\n\r\n")[0].decode()
    return " ".join(re.search(r"^Received: (.*(?:\n\s.*)*)", header, re.M)[1].split())  # type: ignore[index]


# --- AUTH -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])  # of ours it knows no others
@pytest.mark.parametrize(("service", "tls"), [("submission", "--tls"), ("submissions", "--tls-on-connect")])
def test_logs_in(site: Site, service: str, tls: str, mechanism: str) -> None:
    with site.logins() as logins:
        said = swaks(site, service, tls, *login(site, mechanism), "--quit-after", "AUTH")
    assert f" ~> AUTH {mechanism}" in said
    assert logins == [(mechanism, "TLSv1.3")]


def test_chooses_a_mechanism_that_it_knows(site: Site) -> None:
    """Ours are announced strongest first; those that it does not know do not disturb it."""
    with site.logins() as logins:
        said = swaks(
            site, "submission", "--tls", *login(site, password=site.app_password.strip()), "--quit-after", "AUTH"
        )
    assert "AUTH SCRAM-SHA-256-PLUS " in said
    assert [mechanism for mechanism, _ in logins] in (["PLAIN"], ["LOGIN"])


def test_finds_no_mechanism_that_we_do_not_have(site: Site) -> None:
    said = swaks(site, "submissions", "--tls-on-connect", *login(site, "CRAM-MD5"), code=28)
    assert "~> AUTH" not in said


def test_is_told_that_a_password_is_wrong(site: Site) -> None:
    said = swaks(site, "submissions", "--tls-on-connect", *login(site, "PLAIN", password="wrong"), code=28)
    assert "535 5.7.8" in said


def test_has_no_login_in_the_clear(site: Site) -> None:
    said = swaks(site, "submission", *login(site), code=28)
    assert "AUTH" not in said.partition("EHLO")[2].partition("250 ")[0]


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["tlsv1_2", "tlsv1_3"])
@pytest.mark.parametrize(("service", "tls"), [("mx", "--tls"), ("submissions", "--tls-on-connect"), ("lmtp", "--tls")])
def test_versions_of_tls(site: Site, service: str, tls: str, version: str) -> None:
    protocol = ("--protocol", "LMTP") if service == "lmtp" else ()
    said = swaks(site, service, *protocol, tls, "--tls-protocol", version, "--tls-verify",
                 "--tls-ca-path", str(site.ca), "--quit-after", "HELO")  # fmt: skip
    assert re.search(f"TLS started with cipher {version.replace('_', '.')}:".replace("v", "[vV]"), said, re.I)


@pytest.mark.parametrize("version", ["tlsv1", "tlsv1_1"])
def test_older_versions_of_tls_are_refused(site: Site, version: str) -> None:
    said = swaks(site, "mx", "--tls", "--tls-protocol", version, "--tls-cipher", "ALL:@SECLEVEL=0",
                 "--quit-after", "HELO", code=29)  # fmt: skip
    assert "TLS startup failed" in said


def test_names_and_certificates(site: Site) -> None:
    """SNI chooses our certificate; one of its own does it no harm, where it is asked for and where it is not."""
    certificate, key = (str(path) for path in site.pair("alice"))
    checked = ("--tls-verify", "--tls-ca-path", str(site.ca), "--tls-sni", "mail.two.test")
    for service, tls in (("mx", "--tls"), ("submissions", "--tls-on-connect")):
        said = swaks(site, service, tls, *checked, "--tls-cert", certificate, "--tls-key", key, "--tls-get-peer-cert",
                     "--quit-after", "HELO")  # fmt: skip
        assert "TLS peer DN" in said
        assert "EXTERNAL" in said if service == "submissions" else "EXTERNAL" not in said


# --- the conversation -------------------------------------------------------------------------------------------------


def test_pipelines(site: Site) -> None:
    with tapped(site.port("mx")) as tap:
        swaks(
            site,
            "mx",
            "--pipeline",
            "--to",
            f"{site.bob},{site.alice}",
            "--header",
            "Subject: swaks-pipelined",
            port=tap.port,
        )
    (group,) = (piece for piece in tap.asked if b"MAIL FROM" in piece)
    assert group.count(b"RCPT TO") == 2
    assert group.endswith(b"DATA\r\n"), "all in one piece"
    assert "with ESMTP " in received(site, "swaks-pipelined")


def test_speaks_the_oldest_smtp(site: Site) -> None:
    swaks(site, "mx", "--protocol", "SMTP", "--header", "Subject: swaks-helo")
    assert "with SMTP " in received(site, "swaks-helo")


def test_speaks_lmtp(site: Site) -> None:
    said = swaks(site, "lmtp", "--protocol", "LMTP", "--to", f"{site.bob},nobody@example.test,{site.alice}",
                 "--header", "Subject: swaks-lmtp")  # fmt: skip
    assert "550 5.1.1" in said
    assert said.count("<-  250 2.0.0") + said.count("<~  250 2.0.0") >= 2, "one answer for each recipient"
    assert "with LMTP " in received(site, "swaks-lmtp")


# --- on behalf of others ----------------------------------------------------------------------------------------------

PROXY = {
    "1-tcp4": (
        "--proxy-version",
        "1",
        "--proxy-family",
        "TCP4",
        "--proxy-source",
        CLIENT,
        "--proxy-dest",
        "192.0.2.25",
    ),
    "1-tcp6": (
        "--proxy-version",
        "1",
        "--proxy-family",
        "TCP6",
        "--proxy-source",
        CLIENT6,
        "--proxy-dest",
        "2001:db8::25",
    ),
    "2-inet": (
        "--proxy-version",
        "2",
        "--proxy-family",
        "AF_INET",
        "--proxy-source",
        CLIENT,
        "--proxy-dest",
        "192.0.2.25",
    ),
    "2-inet6": (
        "--proxy-version",
        "2",
        "--proxy-family",
        "AF_INET6",
        "--proxy-source",
        CLIENT6,
        "--proxy-dest",
        "2001:db8::25",
    ),
}


@pytest.mark.parametrize("header", PROXY)
def test_a_balancer_names_its_client(site: Site, header: str) -> None:
    ports = ("--proxy-source-port", "40000", "--proxy-dest-port", "25")
    swaks(
        site,
        "mx",
        "--local-interface",
        BALANCER,
        *PROXY[header],
        *ports,
        "--tls",
        "--header",
        f"Subject: swaks-proxy-{header}-end",
    )
    field = received(site, f"swaks-proxy-{header}-end")
    assert f"[{CLIENT}]" in field or f"[IPv6:{CLIENT6}]" in field
    assert "with ESMTPS " in field


def test_a_balancer_in_front_of_tls_and_logins(site: Site) -> None:
    ports = ("--proxy-source-port", "40000", "--proxy-dest-port", "465")
    with site.logins() as logins:
        swaks(site, "submissions", "--local-interface", BALANCER, *PROXY["2-inet"], *ports, "--tls-on-connect",
              *login(site, "PLAIN"), "--quit-after", "AUTH")  # fmt: skip
    assert logins == [("PLAIN", "TLSv1.3")]
    assert site.logged("logged in")[-1]["client"] == CLIENT


def test_nobody_else_is_a_balancer(site: Site) -> None:
    ports = ("--proxy-source-port", "40000", "--proxy-dest-port", "25")
    said = swaks(site, "mx", *PROXY["1-tcp4"], *ports, "--quit-after", "HELO", code=None)
    assert "500 5.5." in said or "503 5.5." in said


def test_a_gateway_names_its_client(site: Site) -> None:
    said = swaks(site, "mx", "--local-interface", GATEWAY, "--tls", "--xclient-addr", CLIENT, "--xclient-port", "40000",
                 "--xclient-name", "client.elsewhere.test", "--xclient-helo", "helo.elsewhere.test",
                 "--xclient-proto", "ESMTP", "--from", "someone@elsewhere.test",
                 "--header", "Subject: swaks-xclient-end")  # fmt: skip
    assert " ~> XCLIENT " in said
    field = received(site, "swaks-xclient-end")
    assert field.startswith("from ")
    assert f"[{CLIENT}]" in field


def test_a_gateway_says_in_two_commands_who_has_logged_in(site: Site) -> None:
    swaks(site, "submission", "--local-interface", GATEWAY, "--tls", "--xclient-addr", CLIENT, "--xclient-delim",
          "--xclient-login", site.alice, "--header", "Subject: swaks-xclient-login")  # fmt: skip
    field = received(site, "swaks-xclient-login")
    assert "with ESMTPSA " in field
    assert CLIENT not in field, "the submitter's address stays out of Received"


def test_nobody_else_is_a_gateway(site: Site) -> None:
    said = swaks(site, "mx", "--xclient-addr", CLIENT, code=33)
    assert "> XCLIENT" not in said
