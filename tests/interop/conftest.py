"""A whole server as its own process, with certificates that foreign programs can check, and what they are run with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from postroad.testing.server import ServerProcess

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Site:
    """One running server with two accounts, and the CA that signed its certificate."""

    server: ServerProcess
    ca: Path
    folder: Path
    alice: str = "alice@example.test"
    bob: str = "bob@example.test"
    password: str = PASSWORD

    def port(self, service: str) -> int:
        return self.server.port(service)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("interop")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", "mail.example.test")
    ca, cert, key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(str(ca))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(cert), append=True)
    issued.private_key_pem.write_to_path(str(key))
    services = ("mx", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")
    server = ServerProcess(folder / "node", services=services, certificate=cert, key=key)
    server.run("domain", "add", "example.test")
    for address in ("alice@example.test", "bob@example.test"):
        server.run("account", "add", address, "--password-stdin", text=PASSWORD + "\n")
    server.start()
    yield Site(server, ca, folder)
    server.stop()
    server.run("ledger")


def program(name: str) -> str:
    """The path of a foreign program; skips where it is absent, fails where CI demands it."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        complain = pytest.fail if os.environ.get("POSTROAD_REQUIRE_INTEROP") else pytest.skip
        complain(f"{name} is not installed")
    return path


def run(command: Sequence[str | Path], *, text: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Run a foreign program to its end; what it printed, or a failure that shows it."""
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 0, f"{command[0]} exited {done.returncode}:\n{done.stdout.decode(errors='replace')}"
    return done.stdout
