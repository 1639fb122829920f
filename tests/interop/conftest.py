"""The sites that the foreign programs of this folder talk to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.interop.foreign import PASSWORD, Site
from tests.interop.senders import GONE, SendingSite, prepare

from postroad.testing.server import ServerProcess


def certify(folder: Path) -> tuple[Path, Path, Path]:
    """A CA of the folder's own, a certificate of it, and its key."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", "mail.example.test", common_name="localhost")
    ca, cert, key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(str(ca))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(cert), append=True)
    issued.private_key_pem.write_to_path(str(key))
    return ca, cert, key


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("interop")
    ca, cert, key = certify(folder)
    services = ("mx", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")
    server = ServerProcess(folder / "node", services=services, certificate=cert, key=key)
    server.run("domain", "add", "example.test")
    for address in ("alice@example.test", "bob@example.test"):
        server.run("account", "add", address, "--password-stdin", text=PASSWORD + "\n")
    server.start()
    yield Site(server, ca, folder)
    server.stop()
    server.run("ledger")


@pytest.fixture(scope="session")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SendingSite]:
    """A server that programs send through by HTTP, with and without TLS."""
    folder = tmp_path_factory.mktemp("sending")
    ca, cert, key = certify(folder)
    server = ServerProcess(folder / "node", services=("http", "https"), certificate=cert, key=key)
    site = SendingSite(server, ca, asyncio.run(prepare(server.config)))
    server.start()
    site.suppress(GONE)
    yield site
    server.stop()
