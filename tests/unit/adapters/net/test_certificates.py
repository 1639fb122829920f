"""A certificate for each name, what a connection can be bound to, and client certificates."""

from __future__ import annotations

import hashlib
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from postroad.adapters.net.certificates import find
from postroad.adapters.net.selfsigned import write_self_signed
from postroad.adapters.net.tls import EXPORTER_LABEL, ClientContexts, ServerTls, TlsFilter
from postroad.adapters.net.webtls import WebTls
from postroad.ports.net import ClientTls


def pair_of(folder: Path, name: str, *names: str) -> tuple[Path, Path]:
    write_self_signed(folder / f"{name}.pem", folder / f"{name}.key", [*names] or [name])
    return folder / f"{name}.pem", folder / f"{name}.key"


def meet(server: TlsFilter, client: TlsFilter) -> TlsFilter:
    """Run a handshake between two filters."""
    client.receive(b"")
    for _ in range(6):
        server.receive(client.data_to_send())
        client.receive(server.data_to_send())
    assert server.info
    assert client.info
    return server


class Program:
    """The standard library's TLS as a client, perhaps with a certificate of its own."""

    def __init__(
        self, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, own: trustme.LeafCert | None = None
    ) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        self.context.maximum_version = version
        if own is not None:
            own.configure_cert(self.context)

    def meet(self, ours: TlsFilter, session: ssl.SSLSession | None = None) -> ssl.SSLObject:
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        theirs = self.context.wrap_bio(into, out, False, "mx.test", session)
        ours.receive(b"")
        for _ in range(6):
            into.write(ours.data_to_send())
            with suppress(ssl.SSLWantReadError):
                theirs.do_handshake()
            if data := out.read():
                ours.receive(data)
        into.write(ours.send(b"x"))  # tickets come before it
        assert theirs.read(1) == b"x"
        return theirs


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path):
    usual = pair_of(tmp_path, "mail.one.test", "mail.one.test", "one.test")
    return ServerTls(*usual, [pair_of(tmp_path, "mail.two.test"), pair_of(tmp_path, "wild", "*.three.test")])


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("mail.one.test", "mail.one.test"),
        ("mail.two.test", "mail.two.test"),
        ("MAIL.TWO.TEST", "mail.two.test"),
        ("imap.three.test", "*.three.test"),
        ("a.b.three.test", "mail.one.test"),  # a wildcard stands for one label
        ("three.test", "mail.one.test"),
        ("stranger.test", "mail.one.test"),
        ("", "mail.one.test"),
        ("192.0.2.1", "mail.one.test"),
    ],
)
def test_each_name_gets_its_certificate(many, asked, shown):
    client = ClientContexts().filter(ClientTls(asked))
    meet(many.filter(), client)
    assert client.info.peer_subject == f"CN={shown}"


def test_a_new_set_is_used_without_a_restart(many, tmp_path):
    other = ServerTls(*pair_of(tmp_path, "new.test"), [pair_of(tmp_path, "mail.four.test")])
    old = many.filter()
    many.become(other)
    for asked, shown in (("mail.four.test", "mail.four.test"), ("mail.two.test", "new.test")):
        client = ClientContexts().filter(ClientTls(asked))
        meet(many.filter(), client)
        assert client.info.peer_subject == f"CN={shown}"
    client = ClientContexts().filter(ClientTls("mail.two.test"))
    meet(old, client)  # who was connected already
    assert client.info.peer_subject == "CN=mail.two.test"


def test_a_pair_that_cannot_be_used_is_named(tmp_path):
    good, bad = pair_of(tmp_path, "good.test"), (tmp_path / "good.test.pem", pair_of(tmp_path, "other.test")[1])
    with pytest.raises(ValueError, match=r"other\.test\.key"):
        ServerTls(*good, [bad])
    with pytest.raises(OSError, match="missing"):
        ServerTls(*good, [(tmp_path / "missing", tmp_path / "missing")])


def test_names_are_found_as_they_stand_or_by_wildcard():
    known = {"a.test": 1, "*.b.test": 2}
    assert [find(known, name) for name in ("a.test", "A.test.", "x.b.test", "b.test", "x.y.b.test", "")] == [
        1, 1, 2, None, None, None,
    ]  # fmt: skip


def test_the_web_shows_the_same(tmp_path):
    pairs = [pair_of(tmp_path, "mail.one.test"), pair_of(tmp_path, "mail.two.test")]
    web = WebTls(*pairs[0], pairs[1:])
    for name in ("mail.one.test", "mail.two.test"):
        into, out, back, forth = (ssl.MemoryBIO() for _ in range(4))
        context = ssl.create_default_context(cafile=str(tmp_path / f"{name}.pem"))
        client = context.wrap_bio(into, out, False, name)
        server = web.context.wrap_bio(back, forth, True)
        for _ in range(4):
            for side, read, write in ((client, out, back), (server, forth, into)):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                write.write(read.read())
        assert client.getpeercert()["subject"] == ((("commonName", name),),)


# --- channel bindings -------------------------------------------------------------------------------------------------


def end_point(path: Path, name: str = "sha256") -> bytes:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return hashlib.new(name, certificate.public_bytes(serialization.Encoding.DER)).digest()


def test_both_sides_can_bind_to_the_connection(many, tmp_path):
    client = ClientContexts().filter(ClientTls("mail.two.test"))
    server = meet(many.filter(), client)
    exported = client._connection.export_keying_material(EXPORTER_LABEL, 32, b"")
    assert server.channel_bindings() == {
        "tls-exporter": exported,
        "tls-server-end-point": end_point(tmp_path / "mail.two.test.pem"),  # of the certificate that was shown
    }
    again = meet(many.filter(), ClientContexts().filter(ClientTls("mail.two.test")))
    assert again.channel_bindings()["tls-exporter"] != exported


def test_before_tls_1_3_only_the_certificate_can_be_bound_to(many, tmp_path):
    server = many.filter()
    Program(version=ssl.TLSVersion.TLSv1_2).meet(server)
    assert server.info.version == "TLSv1.2"
    assert server.channel_bindings() == {"tls-server-end-point": end_point(tmp_path / "mail.one.test.pem")}


def test_nothing_can_be_bound_to_before_the_handshake_or_by_a_client(many):
    server, client = many.filter(), ClientContexts().filter(ClientTls("one.test"))
    assert server.channel_bindings() == client.channel_bindings() == {}
    meet(server, client)
    assert client.channel_bindings() == {}


def write_signed(folder: Path, key, algorithm) -> tuple[Path, Path]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, algorithm)
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "c").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "k").write_bytes(private)
    return folder / "c", folder / "k"


@pytest.mark.parametrize(("algorithm", "name"), [(hashes.SHA384(), "sha384"), (hashes.SHA512(), "sha512")])
def test_the_certificate_is_digested_by_the_hash_of_its_signature(tmp_path, algorithm, name):
    paths = write_signed(tmp_path, ec.generate_private_key(ec.SECP256R1()), algorithm)
    server = meet(ServerTls(*paths).filter(), ClientContexts().filter(ClientTls("mx.test")))
    assert server.channel_bindings()["tls-server-end-point"] == end_point(paths[0], name)


def test_a_signature_without_hash_has_no_end_point(tmp_path):
    paths = write_signed(tmp_path, ed25519.Ed25519PrivateKey.generate(), None)
    server = meet(ServerTls(*paths).filter(), ClientContexts().filter(ClientTls("mx.test")))
    assert set(server.channel_bindings()) == {"tls-exporter"}


def test_sha_1_becomes_sha_256(tmp_path):
    """RFC 5929 §4.1. OpenSSL shows no such certificate any more, so the digest alone is looked at."""
    from postroad.adapters.net import certificates

    class Old:
        signature_hash_algorithm = hashes.SHA1()

        def public_bytes(self, _encoding):
            return b"der"

    assert certificates._end_point(Old()) == hashlib.sha256(b"der").digest()


# --- client certificates ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def staff():
    return trustme.CA()


@pytest.fixture
def asking(tmp_path, staff):
    staff.cert_pem.write_to_path(str(tmp_path / "staff.pem"))
    return ServerTls(*pair_of(tmp_path, "mx.test"), client_ca=tmp_path / "staff.pem")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_proves_its_addresses(asking, staff, version):
    ours = asking.filter()
    own = staff.issue_cert("Alice@Example.com", "alice.w@example.com", common_name="Alice")
    Program(version=version, own=own).meet(ours)
    assert ours.certified == ("alice@example.com", "alice.w@example.com")
    assert ours.info.verified
    assert "CN=Alice" in ours.info.peer_subject


def test_one_of_an_authority_below_ours(asking, staff):
    ours = asking.filter()
    Program(own=staff.create_child_ca().issue_cert("alice@example.com")).meet(ours)
    assert ours.certified == ("alice@example.com",)


def test_an_authority_in_between_may_be_in_the_file(tmp_path, staff):
    below = staff.create_child_ca()
    (tmp_path / "staff.pem").write_bytes(staff.cert_pem.bytes() + below.cert_pem.bytes())
    ours = ServerTls(*pair_of(tmp_path, "mx.test"), client_ca=tmp_path / "staff.pem").filter()
    own = below.issue_cert("alice@example.com")
    own.cert_chain_pems[1:] = []  # a client that sends its certificate alone
    Program(own=own).meet(ours)
    assert ours.certified == ("alice@example.com",)


def test_without_a_certificate_people_come_in_all_the_same(asking):
    ours = asking.filter()
    Program().meet(ours)
    assert ours.certified == ()
    assert not ours.info.verified


def test_a_certificate_of_somebody_else_proves_nothing(asking):
    ours = asking.filter()
    Program(own=trustme.CA().issue_cert("alice@example.com", common_name="Alice")).meet(ours)
    assert (ours.certified, ours.info.verified, ours.info.peer_subject) == ((), False, "")


def test_a_certificate_for_a_host_proves_no_address(asking, staff):
    ours = asking.filter()
    Program(own=staff.issue_cert("host.example.com")).meet(ours)
    assert ours.certified == ()


def test_who_is_not_asked_shows_nothing(tmp_path, staff):
    ours = ServerTls(*pair_of(tmp_path, "mx.test")).filter()
    Program(own=staff.issue_cert("alice@example.com")).meet(ours)
    assert (ours.certified, ours.info.verified) == ((), False)


def issue(
    folder: Path, staff: trustme.CA, *, days: int = 1, usage=ExtendedKeyUsageOID.CLIENT_AUTH, subject=""
) -> object:
    """A certificate for alice@example.com with something special."""
    authority = x509.load_pem_x509_certificate(staff.cert_pem.bytes())
    signer = serialization.load_pem_private_key(staff.private_key_pem.bytes(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    attributes = [x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, subject)] if subject else []
    builder = (
        x509.CertificateBuilder().subject_name(x509.Name(attributes)).issuer_name(authority.subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9)).not_valid_after(now + timedelta(days=days))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )  # fmt: skip
    if not subject:
        names = x509.SubjectAlternativeName([x509.RFC822Name("alice@example.com")])
        builder = builder.add_extension(names, critical=True)
    path = folder / "own.pem"
    path.write_bytes(
        builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

    class Own:
        def configure_cert(self, context):
            context.load_cert_chain(path)

    return Own()


@pytest.mark.parametrize(
    ("special", "proves"),
    [
        ({}, ("alice@example.com",)),
        ({"days": -1}, ()),
        ({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, ()),
        ({"usage": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}, ("alice@example.com",)),
        ({"subject": "Alice@example.com"}, ("alice@example.com",)),
    ],
)
def test_what_a_certificate_has_to_be(asking, staff, tmp_path, special, proves):
    ours = asking.filter()
    Program(own=issue(tmp_path, staff, **special)).meet(ours)
    assert ours.certified == proves


def test_where_certificates_are_asked_for_no_session_is_resumed(asking, staff):
    """A resumed session has no chain to be looked at anew."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        program = Program(version=version, own=staff.issue_cert("alice@example.com"))
        first = program.meet(asking.filter())
        again = asking.filter()
        theirs = program.meet(again, first.session)
        assert not theirs.session_reused
        assert again.certified == ("alice@example.com",)


def test_a_file_of_authorities_that_cannot_be_read(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ValueError):
        ServerTls(*pair_of(tmp_path, "mx.test"), client_ca=tmp_path / "empty.pem")
    with pytest.raises(OSError):
        ServerTls(*pair_of(tmp_path, "mx.test"), client_ca=tmp_path / "missing.pem")


def test_rsa_certificates_work_as_well(tmp_path):
    paths = write_signed(tmp_path, rsa.generate_private_key(65537, 2048), hashes.SHA256())
    server = meet(ServerTls(*paths).filter(), ClientContexts().filter(ClientTls("mx.test")))
    assert server.channel_bindings()["tls-server-end-point"] == end_point(paths[0])
