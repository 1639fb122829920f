"""The server that foreign programs talk to: a process with every mail service, whose log tells how each logged in."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from tests.interop.foreign import program, until

from postroad.app import lock
from postroad.app.services import open_services
from postroad.config.load import load
from postroad.ports.apppasswords import Scope
from postroad.testing.issuer import Issuer
from postroad.testing.server import HOSTNAME, ServerProcess

PASSWORD = "correct horse battery"
ALICE, BOB = "alice@example.test", "bob@example.test"
READER = "reader@example.test"  # for programs that delete
BUECHER, BUECHEREI = "bücher@example.test", "bücherei@example.test"
BY_LMTP, BY_SUBMISSION, BY_CERTIFICATE = "by-lmtp@example.test", "by-submission@example.test", "by-cert@example.test"
ACCOUNTS = (ALICE, BOB, READER, BUECHER, BUECHEREI, BY_LMTP, BY_SUBMISSION, BY_CERTIFICATE)
BALANCER, GATEWAY, PARTNER = "127.0.0.2", "127.0.0.3", "127.0.0.4"  # by where a client binds it is one of these
SERVICES = ("mx", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s")
SETTINGS = f"""
client_ca = "{{folder}}/staff.pem"
[[tls.certificates]]
certificate = "{{folder}}/two.pem"
key = "{{folder}}/two.key"
[auth]
mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "EXTERNAL", "OAUTHBEARER", "XOAUTH2"]
oauth_issuer = "{{issuer}}"
oauth_audience = ["mail"]
[logins]
delay = 0.05
[limits]
min_free = 1048576
proxies = ["{BALANCER}"]
xclient = ["{GATEWAY}"]
partners = ["{PARTNER}"]
[log]
level = "debug"
format = "json"
"""


class Site:
    """Two accounts, two certificates, an OpenID issuer; staff have certificates of their own."""

    alice, bob, password = ALICE, BOB, PASSWORD

    def __init__(self, folder: Path, issuer: Issuer) -> None:
        self.folder = folder
        self.issuer = issuer
        self.ca = folder / "ca.pem"
        authority, staff = trustme.CA(), trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca))
        staff.cert_pem.write_to_path(str(folder / "staff.pem"))
        self._write("one", authority.issue_cert("localhost", "127.0.0.1", HOSTNAME, common_name="localhost"))
        self._write("two", authority.issue_cert("mail.two.test"))
        self._write("alice", staff.issue_cert(ALICE))
        self.server = ServerProcess(
            folder / "node", SERVICES, certificate=folder / "one.pem", key=folder / "one.key",
            extra=SETTINGS.format(folder=folder, issuer=issuer.url),
        )  # fmt: skip
        self.app_password = asyncio.run(_prepare(self.server.config))

    def _write(self, name: str, leaf: trustme.LeafCert) -> None:
        certificate, key = self.pair(name)
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))

    def pair(self, name: str) -> tuple[Path, Path]:
        """A certificate and its key: `one` and `two` are the server's, `alice` is hers."""
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def port(self, service: str) -> int:
        return self.server.port(service)

    def bearer(self) -> str:
        """Alice's token."""
        return self.issuer.sign(
            {"iss": self.issuer.url, "aud": "mail", "exp": time.time() + 60, "email": ALICE}, "RS256"
        )

    # --- what the server says -----------------------------------------------------------------------------------------

    def logged(self, event: str, since: int = 0) -> list[dict[str, str]]:
        """The lines of the server's log about an event."""
        lines = self.server.log.read_bytes()[since:].splitlines()
        found = [json.loads(line) for line in lines if line.startswith(b"{")]
        return [line for line in found if line["event"] == event]

    @contextmanager
    def logins(self, count: int = 1) -> Iterator[list[tuple[str, str]]]:
        """Mechanism and TLS of each login by SMTP inside the block, by the server's word: `count` or more."""
        mark, found = self.server.log.stat().st_size, list[tuple[str, str]]()

        def told() -> list[dict[str, str]]:
            return [line for line in self.logged("logged in", mark) if line["service"] == "smtp"]

        yield found
        until(lambda: len(told()) >= count, "the server to tell of the logins", 15)
        found += [(line["mechanism"], line["tls"]) for line in told()]

    def story(self, recipient: str) -> str:
        """The trace of the newest message to somebody: imaplib cannot log in with a name beyond ASCII."""
        listed = self.server.run("message", "list", "--recipient", recipient, "--limit", "1", "--json")
        return self.server.run("message", "trace", str(json.loads(listed)[0]["message"]["id"]))

    # --- OpenSSL looks at it ------------------------------------------------------------------------------------------

    def openssl(self, service: str, *options: str, text: str = "") -> str:
        """What `openssl s_client` says of a connection."""
        where = f"localhost:{self.port(service)}"
        starttls = {"mx": "smtp", "submission": "smtp", "lmtp": "lmtp", "imap": "imap", "pop3": "pop3"}.get(service)
        command = [program("openssl"), "s_client", "-connect", where, "-CAfile", str(self.ca)]
        command += ["-starttls", starttls] if starttls else []
        done = subprocess.run([*command, *options], input=text, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr


async def _prepare(config: Path) -> str:
    """The accounts, and an app password of alice's. Without the commands, of which each is a process."""
    settings = load(config, {})
    with lock.held(settings.data_dir):
        async with open_services(settings) as services:
            await services.administration.add_domain("example.test")
            for address in ACCOUNTS:
                await services.administration.add_account(address, PASSWORD)
            return (await services.app_passwords.add(ALICE, "printer", [Scope.SEND])).secret


@contextmanager
def serving_issuer() -> Iterator[Issuer]:
    """An OpenID issuer, served by a loop in a thread of its own."""
    loop, issuer = asyncio.new_event_loop(), Issuer("")
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = issuer.serving()
    asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(10)
    try:
        yield issuer
    finally:
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
