"""The sites that the foreign programs of this folder talk to, and the mail servers that they meet. One of each for a
whole run: to start one costs seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import trustme
from tests.interop.exim import Exim, exim_home
from tests.interop.peers import PostfixPeer, postfix_home
from tests.interop.senders import GONE, SendingSite, prepare
from tests.interop.site import Site, serving_issuer

from postroad.testing.server import ServerProcess


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving_issuer() as issuer:
        site = Site(tmp_path_factory.mktemp("interop"), issuer)
        site.server.start()
        yield site
        site.server.stop()


@pytest.fixture(scope="session")
def postfix(site: Site) -> Iterator[PostfixPeer]:
    """Postfix, which passes mail on to the site, and takes mail for postfix.test."""
    with postfix_home() as folder:
        peer = PostfixPeer(folder, site)
        peer.start()
        yield peer
        peer.stop()


@pytest.fixture(scope="session")
def exim(site: Site) -> Iterator[Exim]:
    """Exim, which passes mail on to the site, and takes mail for exim.test."""
    with exim_home() as folder:
        peer = Exim(folder, site)
        peer.start()
        yield peer
        peer.stop()


@pytest.fixture(scope="session")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SendingSite]:
    """A server that programs send through by HTTP, with and without TLS."""
    folder = tmp_path_factory.mktemp("sending")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1", common_name="localhost")
    ca, cert, key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(str(ca))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(cert), append=True)
    issued.private_key_pem.write_to_path(str(key))
    server = ServerProcess(folder / "node", services=("http", "https"), certificate=cert, key=key)
    site = SendingSite(server, ca, asyncio.run(prepare(server.config)))
    server.start()
    site.suppress(GONE)
    yield site
    server.stop()
