"""Foreign programs submit with STARTTLS and implicit TLS and AUTH; what they sent arrives octet for octet."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interop.foreign import program, run
from tests.interop.mailbag import added_fields, fetch_by_subject, message
from tests.interop.site import Site

pytestmark = pytest.mark.interop

Sender = Callable[[Site, str, bytes, Path], None]
MODES = ("submission", "submissions")


def by_smtplib(site: Site, mode: str, mail: bytes, tmp: Path) -> None:
    context = ssl.create_default_context(cafile=str(site.ca))
    if mode == "submissions":
        link: smtplib.SMTP = smtplib.SMTP_SSL("localhost", site.port(mode), context=context)
    else:
        link = smtplib.SMTP("localhost", site.port(mode))
        link.starttls(context=context)
    with link:
        link.login(site.alice, site.password)
        assert link.sendmail(site.alice, [site.bob], mail) == {}


def by_swaks(site: Site, mode: str, mail: bytes, tmp: Path) -> None:
    path = tmp / "message"
    path.write_bytes(mail.replace(b"\r\n", b"\n").removesuffix(b"\n"))  # swaks ends the last line itself
    tls = "--tls-on-connect" if mode == "submissions" else "--tls"
    for mechanism in ("PLAIN",) if mode == "submissions" else ("LOGIN",):
        run([
            program("swaks"), "--server", "localhost", "--port", str(site.port(mode)), tls, "--tls-verify",
            "--tls-ca-path", site.ca, "--auth", mechanism, "--auth-user", site.alice, "--auth-password", site.password,
            "--from", site.alice, "--to", site.bob, "--data", f"@{path}",
        ])  # fmt: skip


def by_msmtp(site: Site, mode: str, mail: bytes, tmp: Path) -> None:
    run([
        program("msmtp"), "--file=/dev/null", "--host=localhost", f"--port={site.port(mode)}", "--tls=on",
        f"--tls-starttls={'off' if mode == 'submissions' else 'on'}", f"--tls-trust-file={site.ca}", "--auth=plain",
        f"--user={site.alice}", f"--passwordeval=echo {site.password}", f"--from={site.alice}", site.bob,
    ], text=mail.replace(b"\r\n", b"\n"))  # fmt: skip


def by_curl(site: Site, mode: str, mail: bytes, tmp: Path) -> None:
    path = tmp / "message"
    path.write_bytes(mail)
    scheme = "smtps" if mode == "submissions" else "smtp"
    run([
        program("curl"), "--silent", "--show-error", "--ssl-reqd", "--cacert", site.ca,
        "--user", f"{site.alice}:{site.password}", "--mail-from", site.alice, "--mail-rcpt", site.bob,
        "--upload-file", path, f"{scheme}://localhost:{site.port(mode)}/client.example.test",
    ])  # fmt: skip


SENDERS: dict[str, Sender] = {"smtplib": by_smtplib, "swaks": by_swaks, "msmtp": by_msmtp, "curl": by_curl}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SENDERS)
def test_submits_and_every_octet_arrives(site: Site, tmp_path: Path, name: str, mode: str) -> None:
    token = f"{name}-to-{mode}-end"
    mail = message(token, site.alice, site.bob)
    SENDERS[name](site, mode, mail, tmp_path)
    stored = fetch_by_subject(site, token)
    assert added_fields(stored, mail) == [b"Return-Path", b"Delivered-To", b"Received"]
    received = stored.partition(b"X-Odd")[0]
    assert b"127.0.0.1" not in received, "the submitter's address stays out of Received"


def test_a_wrong_password_is_refused(site: Site) -> None:
    context = ssl.create_default_context(cafile=str(site.ca))
    with smtplib.SMTP_SSL("localhost", site.port("submissions"), context=context) as link:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            link.login(site.alice, "wrong")
    assert refused.value.smtp_code == 535


def test_no_password_travels_in_the_clear(site: Site) -> None:
    with smtplib.SMTP("localhost", site.port("submission")) as link:
        link.ehlo()
        assert not link.has_extn("auth")
        code, _ = link.docmd("AUTH", "PLAIN AGFsaWNlAHB3")
    assert code == 538


def test_no_open_relay(site: Site) -> None:
    """From loopback too: an exempt network is never a permission to relay."""
    with smtplib.SMTP("localhost", site.port("mx")) as link:
        link.ehlo("client.example.test")
        link.mail("someone@elsewhere.test")
        assert link.rcpt("victim@elsewhere.test")[0] == 550
        assert link.rcpt("nobody@example.test")[0] == 550
        assert link.rcpt(site.bob)[0] == 250
