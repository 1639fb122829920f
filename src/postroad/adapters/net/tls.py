"""TLS as a filter over memory BIOs: ciphertext in, plaintext out, and the other way.

The driver owns the bytes; this module owns contexts and handshakes. Servers follow Mozilla's intermediate
configuration; clients that send mail are opportunistic (RFC 7435): old versions are better than plaintext.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

from postroad.mail.envelope import TlsInfo
from postroad.ports.net import ClientTls, TlsFailed

# Mozilla intermediate 5.7; TLS 1.3 suites are OpenSSL's own.
SERVER_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
)
SLICE = 4096  # ciphertext is taken in pieces, so that a BIO never grows beyond one; it does not shrink again
READ = 64 * 1024


class TlsFilter:
    """One connection's TLS. `info` is set when the handshake is done, `eof` when the peer said close_notify."""

    __slots__ = ("_incoming", "_object", "_outgoing", "eof", "info")

    def __init__(self, context: ssl.SSLContext, client: ClientTls | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, client is None, client.server_name if client else None
        )
        self.info: TlsInfo | None = None
        self.eof = False

    def receive(self, data: bytes) -> bytes:
        """Ciphertext from the peer; the plaintext in it. Raises TlsFailed."""
        plain: list[bytes] = []
        try:
            for start in range(0, len(data) or 1, SLICE):
                self._incoming.write(data[start : start + SLICE])
                if self.info is None:
                    self._object.do_handshake()
                    self.info = self._describe()
                self._read(plain)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise TlsFailed(str(error)) from error
        return b"".join(plain)

    def _read(self, plain: list[bytes]) -> None:
        try:
            while data := self._object.read(READ):
                plain.append(data)
            self.eof = True
        except ssl.SSLWantReadError:
            pass

    def send(self, data: bytes) -> bytes:
        """Plaintext for the peer; the ciphertext to write."""
        self._object.write(data)
        return self._outgoing.read()

    def data_to_send(self) -> bytes:
        return self._outgoing.read()

    def close(self) -> bytes:
        """close_notify."""
        with suppress(ssl.SSLError):  # we do not wait for the peer's own
            self._object.unwrap()
        return self._outgoing.read()

    def _describe(self) -> TlsInfo:
        cipher = self._object.cipher()
        return TlsInfo(version=self._object.version() or "", cipher=cipher[0] if cipher else "")


class ServerTls:
    """A listener's certificate; `reload` swaps it for new connections."""

    __slots__ = ("_context",)

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = _server_context(certificate, key)

    def reload(self, certificate: Path, key: Path) -> None:
        self._context = _server_context(certificate, key)

    def filter(self, client: ClientTls | None = None) -> TlsFilter:  # noqa: ARG002 - a server's filter
        return TlsFilter(self._context, None)


class ClientContexts:
    """The two ways in which we ask for TLS."""

    __slots__ = ("_opportunistic", "_verifying")

    def __init__(self) -> None:
        self._opportunistic = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._opportunistic.check_hostname = False
        self._opportunistic.verify_mode = ssl.CERT_NONE
        self._opportunistic.set_ciphers("ALL:@SECLEVEL=0")
        self._verifying = ssl.create_default_context()

    def filter(self, client: ClientTls | None) -> TlsFilter:
        assert client is not None
        return TlsFilter(self._verifying if client.verify else self._opportunistic, client)


def _server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SERVER_CIPHERS)
    context.num_tickets = 1
    context.load_cert_chain(certificate, key)
    return context
