"""TLS as a filter over memory BIOs: ciphertext in, plaintext out, and the other way.

The driver owns the bytes, this module contexts and handshakes. The binding is pyOpenSSL (docs/decisions/0003). Servers
follow Mozilla's intermediate configuration; clients that send mail are opportunistic (RFC 7435): an old version or an
unproven certificate is better than plaintext.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL

from postroad.adapters.net.certificates import Certificates, Pair
from postroad.mail.envelope import TlsInfo
from postroad.ports.net import ClientTls, PeerTls, TlsFailed

# Mozilla intermediate, version 6; the TLS 1.3 suites are OpenSSL's own.
SERVER_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
OPPORTUNISTIC_CIPHERS = b"ALL:@SECLEVEL=0"  # also what takes no certificate, and TLS 1.0: still no reader on the way
EXPORTER_LABEL = b"EXPORTER-Channel-Binding"  # RFC 9266 §2
SLICE = 4096  # a memory BIO never shrinks, so no more than this is ever put in: an idle connection stays small
RECORD = 16384
LOST = -1  # the record boundary was not seen; every read then looks for more


class TlsFilter:
    """One connection's TLS. `info` is set when the handshake is done, `eof` when the peer said close_notify.

    With `client` we are the client, else the server, with these `certificates`."""

    __slots__ = ("_certificates", "_client", "_connection", "_out", "_owed", "_roots", "certified", "eof", "info")

    def __init__(
        self,
        context: SSL.Context,
        client: ClientTls | None,
        certificates: Certificates | None = None,
        roots: Path | None = None,
    ) -> None:
        """`roots` is a file of authorities that a server's certificate has to lead to, in place of the system's."""
        self._connection = SSL.Connection(context, None)
        self._client = client
        self._certificates = certificates
        self._roots = roots
        self.certified: tuple[str, ...] = ()  # mail addresses that the client's certificate proves
        self._out = b""
        self._owed = 0  # bytes missing of the record that is arriving
        self.info: TlsInfo | None = None
        self.eof = False
        if client is None:
            self._connection.set_accept_state()
            return
        self._connection.set_connect_state()
        if client.server_name and not client.server_name[-1].isdigit():  # no SNI for addresses (RFC 6066 §3)
            self._connection.set_tlsext_host_name(client.server_name.encode("ascii", "ignore"))

    def receive(self, data: bytes) -> bytes:
        """Ciphertext from the peer; the plaintext in it. Raises TlsFailed; an alert may then be in `data_to_send`."""
        try:
            if self.info is None:
                return self._handshake(data)
            if self._owed == 0 and len(data) <= SLICE and int.from_bytes(data[3:5]) == len(data) - 5:
                return self._read_one(data)
            return self._read_many(data)
        except SSL.Error as error:
            with suppress(SSL.Error):
                self._out += self._drain()
            raise TlsFailed(_words(error)) from error

    def send(self, data: bytes) -> bytes:
        """Plaintext for the peer; the ciphertext to write."""
        if len(data) <= SLICE:
            self._connection.send(data)
            return self._connection.bio_read(len(data) + 512)
        pieces = []
        for start in range(0, len(data), SLICE):
            self._connection.send(data[start : start + SLICE])
            pieces.append(self._connection.bio_read(SLICE + 512))
        return b"".join(pieces)

    def data_to_send(self) -> bytes:
        """What the handshake, or an alert, has for the peer."""
        out, self._out = self._out, b""
        return out

    def close(self) -> bytes:
        """close_notify. We do not wait for the peer's own."""
        with suppress(SSL.Error):
            self._connection.shutdown()
        with suppress(SSL.Error):
            return self._drain()
        return b""

    def channel_bindings(self) -> Mapping[str, bytes]:
        """As ports.net.Connection, of a server."""
        if self.info is None or self._certificates is None:
            return {}
        found = {}
        if self.info.version == "TLSv1.3":  # RFC 9266 §4.2: before, only where a master secret is extended
            found["tls-exporter"] = self._connection.export_keying_material(EXPORTER_LABEL, 32, b"")
        if end_point := self._certificates.end_point(self._connection):
            found["tls-server-end-point"] = end_point
        return found

    def _handshake(self, data: bytes) -> bytes:
        if data:
            self._follow(data)
            self._connection.bio_write(data)
        with suppress(SSL.WantReadError):
            self._connection.do_handshake()
            self.info = self._describe()
        self._drain_answer()
        if self.info is None:
            return b""
        plain: list[bytes] = []  # what came in the same segment as the last handshake message
        self._read_all(plain)
        return b"".join(plain)

    def _drain(self) -> bytes:
        return self._connection.bio_read(RECORD * 2)

    def _read_one(self, data: bytes) -> bytes:
        """The usual case: nothing is left over and nothing is begun, so one read takes all there is."""
        self._connection.bio_write(data)
        try:
            return self._connection.recv(len(data))
        except SSL.WantReadError:  # a session ticket, a key update, or a new handshake that is wanted
            self._drain_answer()
            return b""
        except SSL.ZeroReturnError:
            self.eof = True
            return b""

    def _read_many(self, data: bytes) -> bytes:
        plain: list[bytes] = []
        self._follow(data)
        for start in range(0, len(data), SLICE):
            self._connection.bio_write(data[start : start + SLICE])
            self._read_all(plain)
        self._drain_answer()
        return b"".join(plain)

    def _drain_answer(self) -> None:
        """What OpenSSL itself has to say: no, to a client that wants another handshake."""
        with suppress(SSL.WantReadError):
            self._out += self._drain()

    def _read_all(self, plain: list[bytes]) -> None:
        try:
            while not self.eof:
                plain.append(self._connection.recv(RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.eof = True

    def _follow(self, data: bytes) -> None:
        """Find where the record that is arriving ends (RFC 8446 §5.1)."""
        if self._owed == LOST:
            return
        position, size = self._owed, len(data)
        while position + 5 <= size:
            position += 5 + int.from_bytes(data[position + 3 : position + 5])
        self._owed = position - size if position >= size else LOST

    def _describe(self) -> TlsInfo:
        return self._describe_server(self._client) if self._client is not None else self._describe_client()

    def _describe_client(self) -> TlsInfo:
        """The client of ours, and what its certificate proves, if it was asked for one."""
        connection, certificates = self._connection, self._certificates
        subject = ""
        if certificates is not None and certificates.authorities is not None:
            chain = connection.get_peer_cert_chain(as_cryptography=True) or []
            leaf = connection.get_peer_certificate(as_cryptography=True)  # a server's chain may leave it out
            chain = [leaf, *(one for one in chain if one != leaf)] if leaf is not None else []
            self.certified = certificates.authorities.addresses(chain)
            subject = chain[0].subject.rfc4514_string() if self.certified else ""
        return TlsInfo(
            version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "",
            server_name=(connection.get_servername() or b"").decode("ascii", "replace"),
            verified=bool(self.certified),
            peer_subject=subject,
        )

    def _describe_server(self, client: ClientTls) -> PeerTls:
        from postroad.adapters.net.verify import described, prove, subject_of

        connection, chain = self._connection, self._chain()
        proof = fault = kind = ""
        if client.verify or client.report:
            try:
                proof = prove(chain, client, roots=self._roots)
            except TlsFailed as error:
                if not client.report:
                    raise
                fault, kind = str(error), error.kind
        return PeerTls(
            version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "",
            server_name=client.server_name,
            verified=bool(proof),
            peer_subject=subject_of(chain[0]) if chain else "",
            proof=proof,
            fault=fault,
            fault_kind=kind,
            certificate=described(chain[0]) if chain else "",
        )

    def _chain(self) -> list[x509.Certificate]:
        """What the server showed; nothing where it cannot even be read, which only matters to who has to verify it."""
        from postroad.mailauth.chain import UNREADABLE

        try:
            return self._connection.get_peer_cert_chain(as_cryptography=True) or []
        except UNREADABLE:
            return []


class ServerTls:
    """A listener's certificates, the first one for whoever asks for no name of ours. `reload` swaps them: new
    connections get the new ones, the others keep theirs."""

    __slots__ = ("_certificates",)

    def __init__(
        self, certificate: Path, key: Path, others: Sequence[Pair] = (), *, client_ca: Path | None = None
    ) -> None:
        """With `client_ca` clients are asked for a certificate. Raises OSError or ValueError when one cannot be
        used."""
        self._certificates = Certificates([(certificate, key), *others], _server_context, client_ca)

    @property
    def context(self) -> SSL.Context:
        """Of the first certificate."""
        return self._certificates.context

    def reload(self, certificate: Path, key: Path) -> None:
        """Raises, and keeps the old certificate, when the new one cannot be used."""
        self.become(ServerTls(certificate, key))

    def become(self, other: ServerTls) -> None:
        """Take over what another one shows."""
        self._certificates = other._certificates

    def filter(self, client: ClientTls | None = None) -> TlsFilter:
        assert client is None, "a listener's connection is the server"
        return TlsFilter(self._certificates.context, None, self._certificates)


class ClientContexts:
    """How we ask for TLS: opportunistic, or (with `verify`) modern versions only. Made once, at the first use. `roots`
    is a file of authorities in place of the system's."""

    __slots__ = ("_modern", "_opportunistic", "_roots")

    def __init__(self, roots: Path | None = None) -> None:
        self._roots = roots
        self._opportunistic: SSL.Context | None = None
        self._modern: SSL.Context | None = None

    def filter(self, client: ClientTls | None) -> TlsFilter:
        assert client is not None, "a dialled connection is the client"
        if client.verify:
            self._modern = self._modern or _client_context(SSL.TLS1_2_VERSION, SERVER_CIPHERS)
            return TlsFilter(self._modern, client, roots=self._roots)
        self._opportunistic = self._opportunistic or _client_context(SSL.TLS1_VERSION, OPPORTUNISTIC_CIPHERS)
        return TlsFilter(self._opportunistic, client, roots=self._roots)


def _server_context(certificate: Path, key: Path) -> SSL.Context:
    context = _context(SSL.TLS_SERVER_METHOD, SSL.TLS1_2_VERSION, SERVER_CIPHERS)
    for path in (certificate, key):
        path.open("rb").close()  # the system says better than OpenSSL what is wrong with a file
    try:
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except SSL.Error as error:
        raise ValueError(f"{certificate} and {key}: {_words(error)}") from error
    context.set_session_id(b"postroad")
    return context


def _client_context(oldest: int, ciphers: bytes) -> SSL.Context:
    """Certificates are judged after the handshake, if at all: what is offered is worth recording either way."""
    context = _context(SSL.TLS_CLIENT_METHOD, oldest, ciphers)
    context.set_options(SSL.OP_LEGACY_SERVER_CONNECT)
    return context


def _context(method: int, oldest: int, ciphers: bytes) -> SSL.Context:
    context = SSL.Context(method)
    context.set_min_proto_version(oldest)
    context.set_cipher_list(ciphers)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no record buffers
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # sessions are resumed by tickets: nothing is kept here
    context.set_verify(SSL.VERIFY_NONE)
    return context


def _words(error: SSL.Error) -> str:
    """OpenSSL's reasons, for people."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "TLS: " + (", ".join(reason[-1] for reason in reasons) or "the handshake failed")
