"""TLS through the driver: STARTTLS both ways, implicit, failures, old peers, resumption; the filter against the
standard library's own TLS."""

from __future__ import annotations

import gc
import ssl
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import SSL

from postroad.adapters.net import verify
from postroad.adapters.net.selfsigned import self_signed, write_self_signed
from postroad.adapters.net.tls import SLICE, ClientContexts, ServerTls, TlsFilter
from postroad.mail.envelope import TlsInfo
from postroad.ports.net import ClientTls, Endpoint, TlsFailed
from postroad.testing.clock import settle
from postroad.testing.lines import LineClient, LineMachine
from postroad.testing.network import authority, server_tls, write_certificate

SERVER = Endpoint("192.0.2.10", 25)


@pytest.fixture
async def tls_server(make_server):
    return make_server(tls=server_tls("mx.test"))


async def dial(server, tls: ClientTls | None = None) -> LineClient:
    client = LineClient(LineMachine())
    await server.network.connect(SERVER, client.machine, client, timeout=5, tls=tls)
    return client


async def heard(client: LineClient, line: bytes) -> None:
    for _ in range(5000):
        if line in client.log:
            return
        await settle(5)
    raise AssertionError(client.log)


@pytest.mark.parametrize("cut", [None, 1, 5, 1000])
async def test_starttls_on_both_sides(tls_server, cut):
    if cut:
        tls_server.network.cut = lambda: cut
    client = await dial(tls_server)
    client.say(b"tls")
    await heard(client, b"go")
    for _ in range(20 if cut != 1 else 2000):
        if client.connection.tls:
            break
        await settle(5)
    client.say(b"secret", b"quit")
    await client.gone.wait()
    (info,) = [entry for entry in client.log if isinstance(entry, TlsInfo)]
    assert info.version == "TLSv1.3"
    assert info.peer_subject.startswith("OU=Testing cert")
    assert client.log[-4:] == [b"secret", b"bye", None, ("disconnected", None)]
    (seen,) = [entry for entry in tls_server.session.log if isinstance(entry, TlsInfo)]
    assert (seen.version, seen.server_name) == ("TLSv1.3", "mx.test")
    assert tls_server.network.bugs == []


async def test_plaintext_behind_starttls_is_not_taken_for_secured(tls_server):
    """The injection that RFC 3207 §4.2 warns of."""
    talker = await tls_server.network.talk(SERVER)
    talker.say(b"tls\ninjected\n")
    await talker.until(b"go\n")
    talker.say(b"injected\n")
    await talker.rest()
    assert b"injected" not in tls_server.session.log
    assert isinstance(tls_server.session.log[-1][1], TlsFailed)


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x40\x00" + b"noise" * 4000, b"EHLO x\r\n"])
async def test_a_failed_handshake_leaves_nothing_behind(make_server, noise):
    """What only the collector frees stays for long: it counts objects, not what OpenSSL keeps for them."""
    server = make_server(tls=server_tls("mx.test"), implicit=True)
    gc.disable()
    try:
        talker = await server.network.talk(SERVER)
        (driver,) = server.network.hub.live
        connection = weakref.ref(driver._filter._connection)
        del driver
        talker.say(noise)
        await talker.rest()
        await settle()
        assert not server.network.hub.live
        assert connection() is None
    finally:
        gc.enable()


async def test_implicit_tls(make_server):
    server = make_server(tls=server_tls("mx.test"), implicit=True)
    client = await dial(server, ClientTls("mx.test"))
    assert client.connection.tls is not None
    assert client.connection.tls.cipher == "TLS_AES_256_GCM_SHA384"
    client.say(b"quit")
    await client.gone.wait()
    assert client.log == ["connected", b"hello", b"bye", None, ("disconnected", None)]


async def test_implicit_tls_with_a_plaintext_peer(make_server):
    server = make_server(tls=server_tls("mx.test"), implicit=True)
    talker = await server.network.talk(SERVER)
    talker.say(b"EHLO x\r\n")
    await talker.rest()
    await settle()
    assert server.session.log == []  # the session never heard of it
    assert not server.network.hub.live


async def test_a_handshake_that_never_comes_is_given_up(make_server):
    server = make_server(tls=server_tls("mx.test"), implicit=True)
    talker = await server.network.talk(SERVER)
    await server.clock.advance(60.0 + 1)
    await talker.rest()
    assert not server.network.hub.live


async def test_dialling_tls_where_none_is(server):
    with pytest.raises(TlsFailed):
        await dial(server, ClientTls("mx.test"))


async def test_a_failed_starttls_is_told_as_such(server):
    """An opportunistic sender then tries again without TLS."""
    client = await dial(server)
    client.connection.start_tls(ClientTls("mx.test"))
    await client.gone.wait()
    assert isinstance(client.log[-1][1], TlsFailed)


async def test_bulk_both_ways(tls_server):
    client = await dial(tls_server)
    client.say(b"tls")
    await heard(client, b"go")
    await settle()
    line = bytes(range(97, 123)) * 4000
    client.say(line)
    await heard(client, line)
    client.say(b"pour")
    await heard(client, b"poured")
    assert sum(len(entry) for entry in client.log if isinstance(entry, bytes)) > 64 * 65535


def pair(server: TlsFilter, client: TlsFilter) -> None:
    """Run a handshake between two filters."""
    client.receive(b"")
    for _ in range(6):
        server.receive(client.data_to_send())
        client.receive(server.data_to_send())
    assert server.info
    assert client.info


def test_records_cut_anywhere_come_out_the_same():
    server = server_tls("mx.test").filter()
    client = ClientContexts().filter(ClientTls("mx.test"))
    pair(server, client)
    messages = [b"a" * size for size in (1, 100, SLICE, SLICE + 1, 70_000)]
    sent = b"".join(client.send(message) for message in messages)
    for step in (1, 3, 4, 5, 6, 1000, 16_384):
        got = b"".join(server.receive(sent[i : i + step]) for i in range(0, len(sent), step))
        assert got == b"".join(messages)
        sent = b"".join(client.send(message) for message in messages)
    assert server.receive(sent) == b"".join(messages)
    for message in messages:
        assert server.receive(client.send(message)) == message


@pytest.mark.parametrize("last", [b"", b"last"])
def test_close_notify_is_the_end(last):
    server = server_tls("mx.test").filter()
    client = ClientContexts().filter(ClientTls("mx.test"))
    pair(server, client)
    said = client.send(last) if last else b""
    assert server.receive(said + client.close()) == last
    assert server.eof


def test_a_broken_record_is_a_failure():
    server = server_tls("mx.test").filter()
    client = ClientContexts().filter(ClientTls("mx.test"))
    pair(server, client)
    record = bytearray(client.send(b"text"))
    record[-1] ^= 1
    with pytest.raises(TlsFailed):
        server.receive(bytes(record))
    assert server.data_to_send()  # the alert


@pytest.mark.parametrize("before", [b"", b"text"])
def test_who_wants_another_handshake_is_told_no(before):
    """At once: a client that waits for the answer says nothing else."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    client, server = SSL.Connection(context, None), server_tls("mx.test").filter()
    client.set_connect_state()
    for _ in range(4):
        with suppress(SSL.WantReadError):
            client.do_handshake()
        with suppress(SSL.WantReadError):
            server.receive(client.bio_read(65536))
        if said := server.data_to_send():
            client.bio_write(said)
    if before:
        client.send(before)
    assert client.renegotiate()
    with suppress(SSL.WantReadError):
        client.do_handshake()
    assert server.receive(client.bio_read(65536)) == before
    client.bio_write(server.data_to_send())
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.do_handshake()
    assert server.receive(b"") == b""


class StandardPeer:
    """The standard library's TLS, as any other program's."""

    def __init__(self, context: ssl.SSLContext, *, session: ssl.SSLSession | None = None, server: bool = False) -> None:
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else "mx.test"
        self.object = context.wrap_bio(self.into, self.out, server, name, session)

    def handshake(self, ours: TlsFilter) -> None:
        ours.receive(b"")
        for _ in range(6):
            self.into.write(ours.data_to_send())
            with suppress(ssl.SSLWantReadError):
                self.object.do_handshake()
            if data := self.out.read():
                ours.receive(data)


def unverified(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(version):
    tls, context = server_tls("mx.test"), unverified(version)
    first, ours = StandardPeer(context), tls.filter()
    first.handshake(ours)
    first.into.write(ours.send(b"the ticket comes first"))
    assert first.object.read(100) == b"the ticket comes first"
    again = StandardPeer(context, session=first.object.session)
    again.handshake(tls.filter())
    assert again.object.session_reused


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_servers_refuse_old_versions_and_clients_take_them():
    old = unverified(ssl.TLSVersion.TLSv1)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((TlsFailed, ssl.SSLError)):
        StandardPeer(old).handshake(server_tls("mx.test").filter())
    peer_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("old.test").configure_cert(peer_context)
    peer_context.set_ciphers("ALL:@SECLEVEL=0")
    peer_context.minimum_version = peer_context.maximum_version = ssl.TLSVersion.TLSv1
    ours = ClientContexts().filter(ClientTls("old.test"))
    StandardPeer(peer_context, server=True).handshake(ours)
    assert ours.info is not None
    assert ours.info.version == "TLSv1"


def test_a_new_certificate_is_used_without_a_restart(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_self_signed(one / "c", one / "k", ["one.test"])
    write_self_signed(two / "c", two / "k", ["two.test"])
    tls = ServerTls(one / "c", one / "k")
    client = ClientContexts().filter(ClientTls("x"))
    pair(tls.filter(), client)
    assert client.info
    assert client.info.peer_subject == "CN=one.test"
    tls.reload(two / "c", two / "k")
    client = ClientContexts().filter(ClientTls("x"))
    pair(tls.filter(), client)
    assert client.info
    assert client.info.peer_subject == "CN=two.test"
    with pytest.raises(ValueError, match="k: TLS"):
        tls.reload(one / "c", two / "k")
    client = ClientContexts().filter(ClientTls("x"))
    pair(tls.filter(), client)
    assert client.info
    assert client.info.peer_subject == "CN=two.test"  # a bad reload changes nothing


def test_the_key_is_for_its_owner_alone(tmp_path: Path):
    write_self_signed(tmp_path / "c", tmp_path / "k", ["mail.example.com", "example.com"])
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    names = x509.load_pem_x509_certificate((tmp_path / "c").read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["mail.example.com", "example.com"]


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "roots.pem"
    authority().cert_pem.write_to_path(str(path))
    monkeypatch.setattr(verify, "system_roots", lambda: path)
    return path


def test_a_proven_name(roots, tmp_path):
    client = ClientContexts().filter(ClientTls("mx.test", verify=True))
    pair(ServerTls(*write_certificate(tmp_path, "mx.test")).filter(), client)
    assert client.info
    assert client.info.verified


@pytest.mark.parametrize("certificate", ["other.test", "self-signed"])
def test_an_unproven_name(roots, tmp_path, certificate):
    if certificate == "self-signed":
        cert, key = self_signed(["mx.test"])
        (tmp_path / "cert.pem").write_bytes(cert)
        (tmp_path / "key.pem").write_bytes(key)
    else:
        write_certificate(tmp_path, certificate)
    server = ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem").filter()
    client = ClientContexts().filter(ClientTls("mx.test", verify=True))
    with pytest.raises(TlsFailed, match=r"does not prove mx\.test"):
        pair(server, client)
