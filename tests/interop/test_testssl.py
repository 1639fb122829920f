"""testssl.sh examines our TLS, which takes minutes: only where `make tls` asks for it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.interop.foreign import program, run
from tests.interop.site import Site

pytestmark = pytest.mark.interop

WANTED_HERE = bool(os.environ.get("POSTROAD_TLS"))
CHECKS = ("--protocols", "--server-defaults", "--server-preference", "--pfs", "--vulnerable", "--cipher-per-proto")

# What it finds fault with, and we do not.
ACCEPTED = {
    "cipher_order": "clients choose, as in Mozilla's intermediate profile: all suites are good, and phones know theirs",
    "sessionresumption_ticket": "its own check gives up where client certificates are asked for; test_tls.py resumes",
    "sessionresumption_ID": "the same",
    "cert_validityPeriod": "of the certificate that this test made",
    "cert_revocation": "of the certificate that this test made",
}
# Mozilla's intermediate profile, version 5, for an ECDSA certificate.
SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
}
WANTED = {
    "SSLv2": "not offered",
    "SSLv3": "not offered",
    "TLS1": "not offered",
    "TLS1_1": "not offered",
    "TLS1_2": "offered",
    "TLS1_3": "offered",
}
WANTED_TOO = {
    "PFS": "offered",
    "CRIME_TLS": "not vulnerable",  # compression
    "secure_renego": "supported",
    "secure_client_renego": "not vulnerable",
    "fallback_SCSV": "no protocol below TLS 1.2 offered",
}


def findings(site: Site, tmp: Path, service: str, *checks: str) -> list[dict[str, str]]:
    """What testssl.sh says of a service, each with its severity."""
    starttls = {"mx": "smtp", "submission": "smtp", "imap": "imap", "pop3": "pop3"}.get(service)
    how = ["--starttls", starttls] if starttls else []
    run([
        program("testssl"), "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--add-ca", site.ca,
        "--openssl-timeout", "20", "--connect-timeout", "20", "--jsonfile", tmp / "found.json",
        *checks, *how, f"localhost:{site.port(service)}",
    ], code=None, seconds=450)  # fmt: skip
    found: list[dict[str, str]] = json.loads((tmp / "found.json").read_text("utf-8"))
    return found


def judge(found: list[dict[str, str]], wanted: dict[str, str]) -> None:
    said = {each["id"]: each["finding"] for each in found}
    assert {name: said.get(name, "") for name in wanted if not said.get(name, "").startswith(wanted[name])} == {}
    faults = [each for each in found if each["severity"] not in ("OK", "INFO", "DEBUG") and each["id"] not in ACCEPTED]
    assert faults == []


@pytest.mark.skipif(not WANTED_HERE, reason="takes minutes; see `make tls`")
@pytest.mark.timeout(500)
# One with STARTTLS, one that asks for client certificates, one of another protocol; the other ports differ in nothing.
@pytest.mark.parametrize("service", ["mx", "submissions", "imaps"])
def test_everything(site: Site, tmp_path: Path, service: str) -> None:
    found = findings(site, tmp_path, service, *CHECKS)
    judge(found, WANTED | WANTED_TOO)
    suites = {each["finding"].split()[3] for each in found if each["id"].startswith("cipher-tls")}
    assert suites == SUITES
