"""OpenSSL looks at our TLS: versions, ciphers, names, resumption, client certificates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.interop.site import Site

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("service", ["mx", "submission", "submissions", "imaps"])
@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_both_versions(site: Site, service: str, version: str) -> None:
    said = site.openssl(service, f"-tls{version}")
    assert f"TLSv{version.replace('_', '.')}" in said
    assert "Verify return code: 0 (ok)" in said


@pytest.mark.parametrize("service", ["mx", "submissions"])
@pytest.mark.parametrize("version", ["1", "1_1"])
def test_older_versions_are_refused(site: Site, service: str, version: str) -> None:
    said = site.openssl(service, f"-tls{version}", "-cipher", "ALL:@SECLEVEL=0")
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
def test_ciphers_are_those_of_the_intermediate_profile(site: Site, cipher: str, taken: bool) -> None:
    said = site.openssl("submissions", "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    assert (f"Cipher is {cipher}" in said) == taken, said


@pytest.mark.parametrize("service", ["mx", "submission", "submissions"])
def test_no_compression_and_no_renegotiation(site: Site, service: str) -> None:
    """A line that is a lone R makes the client ask for a new handshake on the same connection."""
    said = site.openssl(service, "-tls1_2", text="R\n")
    assert "Compression: NONE" in said
    assert "Secure Renegotiation IS supported" in said, "RFC 5746: so that none can be injected"
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said, "and none is granted"


def test_keys_are_made_anew_for_each_connection(site: Site) -> None:
    for version in ("1_2", "1_3"):
        assert re.search(r"(Server|Peer) Temp Key: (X25519|ECDH)", site.openssl("mx", f"-tls{version}"))


def test_names_have_certificates_of_their_own(site: Site) -> None:
    for name in ("mail.example.test", "mail.two.test"):
        said = site.openssl("submissions", "-servername", name, "-verify_hostname", name, "-verify_return_error")
        assert "Verify return code: 0 (ok)" in said, said
    assert "Verify return code: 0" not in site.openssl(
        "submissions", "-servername", "mail.two.test", "-verify_hostname", "mail.example.test", "-verify_return_error"
    )


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_sessions_are_resumed_where_no_certificate_is_asked_for(site: Site, tmp_path: Path, version: str) -> None:
    session, options = str(tmp_path / "session"), (f"-tls{version}", "-crlf")
    talk = "EHLO x\nQUIT\n"  # tickets of TLS 1.3 come behind the handshake
    assert "New, TLS" in site.openssl("mx", *options, "-sess_out", session, "-ign_eof", text=talk)
    assert "Reused, TLS" in site.openssl("mx", *options, "-sess_in", session)
    site.openssl("submissions", *options, "-sess_out", session, "-ign_eof", text=talk)
    assert "New, TLS" in site.openssl("submissions", *options, "-sess_in", session)


def test_a_client_certificate_logs_in(site: Site) -> None:
    own = ("-cert", str(site.folder / "alice.pem"), "-key", str(site.folder / "alice.key"), "-quiet", "-ign_eof")
    talk = "EHLO x\nAUTH EXTERNAL =\nQUIT\n"
    said = site.openssl("submissions", *own, "-crlf", text=talk)
    assert "EXTERNAL" in said
    assert "235 2.7.0" in said
    said = site.openssl("submissions", "-quiet", "-ign_eof", "-crlf", text=talk)
    assert "504 5.5.4" in said
    assert "EXTERNAL" not in said
    assert "Acceptable client certificate CA names" not in site.openssl("mx")
    assert "Acceptable client certificate CA names" in site.openssl("submissions")
