"""The site that the foreign programs of this folder talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme
from tests.interop.foreign import PASSWORD, Site

from postroad.testing.server import ServerProcess


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("interop")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", "mail.example.test", common_name="localhost")
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
