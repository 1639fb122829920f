"""Foreign programs log in by every mechanism that they and we know; the server's log tells which one it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.interop.foreign import program, run
from tests.interop.mailbag import fetch_by_subject, message
from tests.interop.site import Site

pytestmark = pytest.mark.interop


# --- msmtp ------------------------------------------------------------------------------------------------------------


def by_msmtp(site: Site, mechanism: str, password: str, mail: bytes, *more: str) -> None:
    run([
        program("msmtp"), "--file=/dev/null", "--host=localhost", f"--port={site.port('submission')}",
        "--tls=on", "--tls-starttls=on", f"--tls-trust-file={site.ca}", f"--auth={mechanism}",
        f"--user={site.alice}", f"--passwordeval=echo {password}", f"--from={site.alice}", *more, site.bob,
    ], text=mail.replace(b"\r\n", b"\n"))  # fmt: skip


def knows(mechanism: str) -> bool:
    """Whether this msmtp was built with it."""
    found = re.search(r"Authentication library:.*\n(?:.*\n)*?Supported authentication methods:\s*\n(.*)",
                      run([program("msmtp"), "--version"]).decode())  # fmt: skip
    return found is not None and mechanism in found[1].lower().split()


def secret(site: Site, mechanism: str) -> str:
    return site.bearer() if mechanism in ("oauthbearer", "xoauth2") else site.password


@pytest.mark.parametrize(
    "mechanism",
    ["plain", "login", "scram-sha-1", "scram-sha-256", "scram-sha-256-plus", "external", "oauthbearer", "xoauth2"],
)
def test_msmtp(site: Site, mechanism: str) -> None:
    if not knows(mechanism):
        pytest.skip(f"this msmtp does not know {mechanism}")
    token = f"msmtp-{mechanism}-end"
    certificate, key = site.pair("alice")
    own = (f"--tls-cert-file={certificate}", f"--tls-key-file={key}") if mechanism == "external" else ()
    with site.logins() as logins:
        by_msmtp(site, mechanism, secret(site, mechanism), message(token, site.alice, site.bob), *own)
    fetch_by_subject(site, token)
    assert logins == [(mechanism.upper(), "TLSv1.3")]


@pytest.mark.parametrize("kind", ["password", "app_password"])
def test_msmtp_chooses(site: Site, kind: str) -> None:
    """Under TLS it prefers PLAIN, says its manual."""
    token = f"msmtp-{kind}-end"
    with site.logins() as logins:
        by_msmtp(site, "on", getattr(site, kind), message(token, site.alice, site.bob))
    fetch_by_subject(site, token)
    assert logins == [("PLAIN", "TLSv1.3")]


# --- GNU SASL, the library of msmtp, mutt and others, by its own program ----------------------------------------------


@pytest.mark.parametrize("kind", ["password", "app_password"])
@pytest.mark.parametrize(
    "mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
)
def test_gsasl(site: Site, mechanism: str, kind: str) -> None:
    """-PLUS binds to the channel, under TLS 1.3 by `tls-exporter`: a proof over other octets would be refused."""
    with site.logins() as logins:
        said = run([
            program("gsasl"), "--client", "--smtp", "--verbose", f"--connect=localhost:{site.port('submission')}",
            f"--mechanism={mechanism}", f"--authentication-id={site.alice}", f"--password={getattr(site, kind)}",
            f"--x509-ca-file={site.ca}",
            *([] if mechanism.endswith("PLUS") else ["--no-cb"]),
        ], text=b"\n")  # fmt: skip
    assert b"Client authentication finished (server trusted)" in said, said
    assert logins == [(mechanism, "TLSv1.3")]


# --- curl -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "OAUTHBEARER", "EXTERNAL"])
def test_curl(site: Site, tmp_path: Path, mechanism: str) -> None:
    token = f"curl-{mechanism}-end"
    (tmp_path / "mail").write_bytes(message(token, site.alice, site.bob))
    certificate, key = site.pair("alice")
    proof = {
        "OAUTHBEARER": ["--oauth2-bearer", site.bearer(), "--user", site.alice],
        "EXTERNAL": ["--cert", str(certificate), "--key", str(key), "--user", f"{site.alice}:"],
    }.get(mechanism, ["--user", f"{site.alice}:{site.password}"])
    with site.logins() as logins:
        run([
            program("curl"), "--silent", "--show-error", "--cacert", site.ca, "--login-options", f"AUTH={mechanism}",
            *proof, "--mail-from", site.alice, "--mail-rcpt", site.bob, "--upload-file", tmp_path / "mail",
            f"smtps://localhost:{site.port('submissions')}/client.example.test",
        ])  # fmt: skip
    fetch_by_subject(site, token)
    assert logins == [(mechanism, "TLSv1.3")]
