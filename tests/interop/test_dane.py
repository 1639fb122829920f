"""DANE with Postfix as the server and unbound as the resolver, which validates a zone that is signed here.

unbound serves the zone to itself and knows its key, so that what it says is proven by signatures and by nothing else:
one answer in it has been changed behind the signer's back.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rdataset
import dns.rdatatype
import dns.zone
import pytest
from bench.harness import free_port
from bench.postfix import Postfix, maildir
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.interop.foreign import program, run, until
from tests.interop.peers import postfix_home

from postroad.adapters.net.selfsigned import write_self_signed
from postroad.testing.server import ServerProcess

ZONE = """
$TTL 300
@             SOA ns hostmaster 1 3600 600 86400 300
@             NS  ns
@             A   127.0.0.1
ns            A   127.0.0.1
good          MX  10 mx
mx            A   127.0.0.1
_{port}._tcp.mx TLSA 3 1 1 {digest}
wrong         MX  10 mx-wrong
mx-wrong      A   127.0.0.1
_{port}._tcp.mx-wrong TLSA 3 1 1 {other}
bogus         MX  10 mx
bogus         A   127.0.0.1
alias         MX  10 mx-alias
mx-alias      CNAME mx
"""
PLAIN = """
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 300
@ NS  ns
@ MX  10 mx.dane.test.
ns A 127.0.0.1
"""
UNBOUND = """
server:
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  logfile: "{folder}/unbound.log"
  interface: 127.0.0.1@{port}
  do-ip6: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor-file: "{folder}/dane.key"
  local-zone: "test." nodefault
remote-control:
  control-enable: no
auth-zone:
  name: "dane.test."
  zonefile: "{folder}/dane.zone"
  for-downstream: no
  for-upstream: yes
auth-zone:
  name: "plain.test."
  zonefile: "{folder}/plain.zone"
  for-downstream: no
  for-upstream: yes
"""
SETTINGS = """
[dns]
nameservers = ["127.0.0.1:{dns}"]
trust_ad = true
timeout = 5
bogus_name = "bogus.dane.test"
signed_name = "dane.test"
[delivery]
port = {port}
retry_waits = [3600]
mta_sts = false
[limits]
min_free = 1048576
"""


class Unbound:
    """One process; `say` asks it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        config = folder / "unbound.conf"
        config.write_text(UNBOUND.format(folder=folder, port=self.port))
        run([program("unbound-checkconf"), config])
        self._process = subprocess.Popen([program("unbound"), "-d", "-c", str(config)])

    def answers(self) -> bool:
        query = dns.message.make_query("dane.test", "SOA")
        try:
            return dns.query.udp(query, "127.0.0.1", 0.5, self.port).rcode() == 0
        except (dns.exception.DNSException, OSError):
            return False

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def sign(folder: Path, text: str) -> None:
    """Sign the zone, then change what it says of `bogus`, without its signer."""
    origin = dns.name.from_text("dane.test")
    zone = dns.zone.from_text(text, origin=origin, relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
    with zone.writer() as changes:
        dns.dnssec.sign_zone(zone, changes, keys=[(private, key)], lifetime=86400, dnskey_ttl=300)
    bogus = origin.choose_relativity(None, False)
    bogus = dns.name.from_text("bogus.dane.test")
    for kind, value in (("MX", "10 evil.dane.test."), ("A", "127.0.0.9")):
        with zone.writer() as changes:
            changes.replace(bogus, dns.rdataset.from_text("IN", kind, 300, value))
    (folder / "dane.zone").write_text(zone.to_text(relativize=False))
    (folder / "dane.key").write_text(f"dane.test. IN DNSKEY {key}\n")


def digest_of(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class World:
    def __init__(self, folder: Path) -> None:
        for name in ("unbound", "unbound-checkconf"):
            program(name)
        certificate, key = folder / "postfix.pem", folder / "postfix.key"
        write_self_signed(certificate, key, ["of.no.account.test"])
        tls = f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {certificate}\nsmtpd_tls_key_file = {key}\n"
        domains = "good.dane.test, wrong.dane.test, bogus.dane.test, alias.dane.test, plain.test"
        self.postfix = Postfix(folder / "postfix", maildir(folder / "postfix", domains) + tls)
        digest = digest_of(certificate)
        sign(folder, ZONE.format(port=self.postfix.port, digest=digest, other="ab" * 32))
        (folder / "plain.zone").write_text(PLAIN)
        self.unbound = Unbound(folder)
        until(self.unbound.answers, "unbound to answer")
        self.postfix.start()
        settings = SETTINGS.format(dns=self.unbound.port, port=self.postfix.port)
        self.server = ServerProcess(folder / "node", ("submission",), extra=settings)
        self.server.run("domain", "add", "here.test")
        self.server.run("account", "add", "alice@here.test", "--password-stdin", text="correct horse battery\n")
        self.server.start()

    def send(self, domain: str) -> str:
        """Send one message; its story, once it has been tried."""
        text = f"From: alice@here.test\nTo: bob@{domain}\nSubject: to {domain}\n\nhello\n"
        self.server.run("sendmail", "-f", "alice@here.test", f"bob@{domain}", text=text)
        story = ""

        def tried() -> bool:
            nonlocal story
            story = self.server.run("message", "trace")
            return f"to {domain}" in story and ("delivered" in story or "deferred" in story)

        until(tried, f"the mail to {domain} to be tried")
        return story

    def stop(self) -> None:
        self.server.stop()
        self.postfix.stop()
        self.unbound.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with postfix_home() as folder:
        world = World(folder)
        yield world
        world.stop()


@pytest.mark.parametrize("domain", ["good.dane.test", "alias.dane.test"])
def test_a_certificate_that_dns_vouches_for(world: World, domain: str) -> None:
    story = world.send(domain)
    assert "proven by DANE 3 1 1" in story
    assert "delivered" in story


def test_another_certificate_than_dns_says(world: World) -> None:
    story = world.send("wrong.dane.test")
    assert "fits none of the domain's TLSA records" in story
    assert "deferred" in story


def test_a_name_that_is_signed_wrongly(world: World) -> None:
    """A look-up that fails, not a domain that does not exist: and nobody is dialled."""
    story = world.send("bogus.dane.test")
    assert "deferred" in story
    assert "451 4.4.3 the domain cannot be looked up now" in story


def test_a_domain_that_is_not_signed_is_held_to_nothing(world: World) -> None:
    story = world.send("plain.test")
    assert "delivered" in story
    assert "TLSv1.3" in story
    assert "proven" not in story


def test_check_proves_that_the_resolver_validates(world: World) -> None:
    said = world.server.run("check", code=1)
    assert "the resolver refuses bogus.dane.test and vouches for dane.test" in said
