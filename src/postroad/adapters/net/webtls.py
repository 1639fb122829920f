"""The TLS of an https listener: the standard library's contexts, which uvicorn's transports want.

Mozilla's intermediate configuration, version 6, as for the other listeners (`tls.py`); HTTP/1.1 by ALPN.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from postroad.adapters.net.tls import SERVER_CIPHERS


class WebTls:
    """A listener's certificate. `reload` swaps it: new connections get the new one, the others keep theirs."""

    __slots__ = ("_current", "context")

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OSError or ValueError when the certificate cannot be used."""
        self._current = self.context = _context(certificate, key)
        self.context.sni_callback = self._choose

    def reload(self, certificate: Path, key: Path) -> None:
        """Raises, and keeps the old certificate, when the new one cannot be used."""
        self._current = _context(certificate, key)

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL asks at every ClientHello, with a server name in it or not. The listener itself holds the first
        context for good; this is how a connection gets the certificate of today."""
        connection.context = self._current


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
