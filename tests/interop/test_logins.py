"""Foreign programs log in by SCRAM and by token; OpenSSL looks at our TLS: versions, ciphers, names, resumption."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.interop.foreign import PASSWORD, program, run
from tests.interop.mailbag import fetch_by_subject, message

from postroad.testing.issuer import Issuer
from postroad.testing.server import ServerProcess

pytestmark = pytest.mark.interop

ALICE, BOB = "alice@example.test", "bob@example.test"
SETTINGS = """
client_ca = "{folder}/staff.pem"
[[tls.certificates]]
certificate = "{folder}/two.pem"
key = "{folder}/two.key"
[auth]
mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "EXTERNAL", "OAUTHBEARER", "XOAUTH2"]
oauth_issuer = "{issuer}"
oauth_audience = ["mail"]
"""


class Place:
    """A server with two certificates, that asks those who log in for theirs."""

    def __init__(self, folder: Path, issuer: Issuer) -> None:
        self.folder = folder
        self.issuer = issuer
        self.authority, staff = trustme.CA(), trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        staff.cert_pem.write_to_path(str(folder / "staff.pem"))
        self._write("one", self.authority.issue_cert("localhost", "127.0.0.1", "mail.example.test"))
        self._write("two", self.authority.issue_cert("mail.two.test"))
        self._write("alice", staff.issue_cert(ALICE))
        self.server = ServerProcess(
            folder / "node", ("mx", "submission", "submissions", "imaps"), certificate=folder / "one.pem",
            key=folder / "one.key", extra=SETTINGS.format(folder=folder, issuer=issuer.url),
        )  # fmt: skip
        self.server.run("domain", "add", "example.test")
        for address in (ALICE, BOB):
            self.server.run("account", "add", address, "--password-stdin", text=PASSWORD + "\n")
        self.app_password = self.server.run("account", "app-password", "add", ALICE, "printer", "--scope", "send")

    def _write(self, name: str, leaf: trustme.LeafCert) -> None:
        (self.folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))

    def client(self, service: str, *options: str, text: str = "") -> str:
        """What `openssl s_client` says of a connection."""
        where = f"localhost:{self.server.port(service)}"
        starttls = ["-starttls", "smtp"] if service in ("mx", "submission") else []
        command = [program("openssl"), "s_client", "-connect", where, "-CAfile", str(self.folder / "ca.pem")]
        done = subprocess.run(
            [*command, *starttls, *options], input=text, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """Served by a loop in a thread of its own."""
    loop, issuer = asyncio.new_event_loop(), Issuer("")
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = issuer.serving()
    asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
    yield issuer
    asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("logins"), issuer)
    place.server.start()
    yield place
    place.server.stop()


# --- logins -----------------------------------------------------------------------------------------------------------


def by_msmtp(place: Place, mechanism: str, password: str, mail: bytes, *more: str) -> None:
    run([
        program("msmtp"), "--file=/dev/null", "--host=localhost", f"--port={place.server.port('submission')}",
        "--tls=on", "--tls-starttls=on", f"--tls-trust-file={place.folder}/ca.pem", f"--auth={mechanism}",
        f"--user={ALICE}", f"--passwordeval=echo {password}", f"--from={ALICE}", *more, BOB,
    ], text=mail.replace(b"\r\n", b"\n"))  # fmt: skip


def knows(mechanism: str) -> bool:
    """Whether this msmtp was built with it."""
    found = re.search(r"Authentication library:.*\n(?:.*\n)*?Supported authentication methods:\s*\n(.*)",
                      run([program("msmtp"), "--version"]).decode())  # fmt: skip
    return found is not None and mechanism in found[1].lower().split()


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "scram-sha-1", "scram-sha-256-plus", "plain", "login", "on"])
def test_msmtp(place: Place, mechanism: str) -> None:
    if mechanism != "on" and not knows(mechanism):
        pytest.skip(f"this msmtp does not know {mechanism}")
    token = f"msmtp-{mechanism}-end"
    mail = message(token, ALICE, BOB)
    by_msmtp(place, mechanism, PASSWORD, mail)
    fetch_by_subject(place.server.port("imaps"), str(place.folder / "ca.pem"), BOB, PASSWORD, token)


def test_msmtp_by_app_password(place: Place) -> None:
    """Whatever mechanism it chooses by itself."""
    mail = message("msmtp-app-end", ALICE, BOB)
    by_msmtp(place, "on", place.app_password.strip(), mail)
    fetch_by_subject(place.server.port("imaps"), str(place.folder / "ca.pem"), BOB, PASSWORD, "msmtp-app-end")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])  # it knows no others of ours
def test_swaks(place: Place, mechanism: str) -> None:
    command = [
        program("swaks"), "--server", "localhost", "--port", str(place.server.port("submissions")),
        "--tls-on-connect", "--auth", mechanism, "--auth-user", ALICE, "--auth-password", PASSWORD,
        "--from", ALICE, "--to", BOB, "--quit-after", "AUTH",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "235 2.7.0" in done.stdout


@pytest.mark.parametrize("mechanism", ["oauthbearer", "xoauth2"])
def test_msmtp_by_token(place: Place, mechanism: str) -> None:
    if not knows(mechanism):
        pytest.skip(f"this msmtp does not know {mechanism}")
    claims = {"iss": place.issuer.url, "aud": "mail", "exp": time.time() + 60, "email": ALICE}
    token = f"msmtp-{mechanism}-end"
    by_msmtp(place, mechanism, place.issuer.sign(claims, "RS256"), message(token, ALICE, BOB))
    fetch_by_subject(place.server.port("imaps"), str(place.folder / "ca.pem"), BOB, PASSWORD, token)


def test_msmtp_by_certificate(place: Place) -> None:
    own = (f"--tls-cert-file={place.folder}/alice.pem", f"--tls-key-file={place.folder}/alice.key")
    by_msmtp(place, "external", "unused", message("msmtp-external-end", ALICE, BOB), *own)
    fetch_by_subject(place.server.port("imaps"), str(place.folder / "ca.pem"), BOB, PASSWORD, "msmtp-external-end")


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["mx", "submission", "submissions", "imaps"])
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_both_versions(place: Place, service: str, version: str) -> None:
    said = place.client(service, f"-tls{version}")
    assert f"TLSv{version.replace('_', '.')}" in said
    assert "Verify return code: 0 (ok)" in said


@pytest.mark.parametrize("version", ["1", "1_1"])
def test_older_versions_are_refused(place: Place, version: str) -> None:
    said = place.client("submissions", f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0")
    assert re.search(r"alert|no protocols available|unsupported|Cipher is \(NONE\)", said)
    assert "Verify return code: 0 (ok)" not in said or "Cipher is (NONE)" in said


@pytest.mark.parametrize(
    ("cipher", "taken"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA", False),
        ("ECDHE-ECDSA-AES256-SHA384", False),
        ("AES128-SHA", False),
        ("AES256-GCM-SHA384", False),
        ("DHE-RSA-AES128-SHA", False),
        ("NULL-SHA", False),
    ],
)
def test_ciphers_are_those_of_the_intermediate_profile(place: Place, cipher: str, taken: bool) -> None:
    said = place.client("submissions", "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert (f"Cipher is {cipher}" in said) == taken, said


def test_names_have_certificates_of_their_own(place: Place) -> None:
    for name in ("mail.example.test", "mail.two.test"):
        said = place.client("submissions", "-servername", name, "-verify_hostname", name, "-verify_return_error")
        assert "Verify return code: 0 (ok)" in said, said
    assert "Verify return code: 0" not in place.client(
        "submissions", "-servername", "mail.two.test", "-verify_hostname", "mail.example.test", "-verify_return_error"
    )


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_sessions_are_resumed_where_no_certificate_is_asked_for(place: Place, tmp_path: Path, version: str) -> None:
    session, options = str(tmp_path / "session"), (f"-tls{version}", "-crlf")
    talk = "EHLO x\nQUIT\n"  # tickets of TLS 1.3 come behind the handshake
    assert "New, TLS" in place.client("mx", *options, "-sess_out", session, "-ign_eof", text=talk)
    assert "Reused, TLS" in place.client("mx", *options, "-sess_in", session)
    place.client("submissions", *options, "-sess_out", session, "-ign_eof", text=talk)
    assert "New, TLS" in place.client("submissions", *options, "-sess_in", session)


def test_a_client_certificate_logs_in(place: Place) -> None:
    own = ("-cert", str(place.folder / "alice.pem"), "-key", str(place.folder / "alice.key"), "-quiet", "-ign_eof")
    talk = "EHLO x\nAUTH EXTERNAL =\nQUIT\n"
    said = place.client("submissions", *own, "-crlf", text=talk)
    assert "EXTERNAL" in said
    assert "235 2.7.0" in said
    said = place.client("submissions", "-quiet", "-ign_eof", "-crlf", text=talk)
    assert "504 5.5.4" in said
    assert "EXTERNAL" not in said
    assert "Acceptable client certificate CA names" not in place.client("mx")
    assert "Acceptable client certificate CA names" in place.client("submissions")
