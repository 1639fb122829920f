"""The TLS of an https listener: the standard library's contexts, which uvicorn's transports want.

Mozilla's intermediate configuration, version 6, as for the other listeners (`tls.py`), and a certificate for each name
that clients ask for; HTTP/1.1 by ALPN.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from postroad.adapters.net.certificates import Pair, find, names_of
from postroad.adapters.net.tls import SERVER_CIPHERS


class WebTls:
    """A listener's certificates, the first one for whoever asks for no name of ours. `reload` swaps them: new
    connections get the new ones, the others keep theirs."""

    __slots__ = ("_by_name", "_current", "context")

    def __init__(self, certificate: Path, key: Path, others: Sequence[Pair] = ()) -> None:
        """Raises OSError or ValueError when a certificate cannot be used."""
        self._load(certificate, key, others)
        self.context = self._current
        self.context.sni_callback = self._choose

    def reload(self, certificate: Path, key: Path, others: Sequence[Pair] = ()) -> None:
        """Raises, and keeps what was, when a new one cannot be used."""
        self._load(certificate, key, others)

    def _load(self, certificate: Path, key: Path, others: Sequence[Pair]) -> None:
        current = _context(certificate, key)
        made = [(certificate, current), *((path, _context(path, its_key)) for path, its_key in others)]
        self._by_name = {name: context for path, context in reversed(made) for name in _names(path)}
        self._current = current

    def _choose(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL asks at every ClientHello, with a server name in it or not. The listener itself holds the first
        context for good; this is how a connection gets the certificate of today."""
        connection.context = find(self._by_name, name or "") or self._current


def _names(certificate: Path) -> tuple[str, ...]:
    return names_of(x509.load_pem_x509_certificate(certificate.read_bytes()))


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SERVER_CIPHERS.decode())
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ValueError(f"{certificate} and {key}: {error.reason or error}") from error
    return context
