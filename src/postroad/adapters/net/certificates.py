"""The certificates of a listener: one for each name that clients ask for (SNI, RFC 6066 §3), each with the context that
OpenSSL answers by, and whom client certificates are believed from.

A set is never changed; a reload makes a new one, and connections that stand keep theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

if TYPE_CHECKING:  # few listeners ask clients for certificates
    from postroad.adapters.net.verify import Authorities


Pair = tuple[Path, Path]  # certificate, key
MakeContext = Callable[[Path, Path], SSL.Context]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate as clients meet it."""

    context: SSL.Context
    names: tuple[str, ...]
    end_point: bytes  # what `tls-server-end-point` binds to; empty where none is defined


class Certificates:
    """The first pair is for clients that ask for no name, or for none of ours."""

    __slots__ = ("_by_context", "_by_name", "authorities", "context")

    def __init__(self, pairs: Sequence[Pair], make_context: MakeContext, client_ca: Path | None = None) -> None:
        """Raises OSError or ValueError when one cannot be used."""
        self.authorities = _authorities(client_ca) if client_ca is not None else None
        identities = [_identity(certificate, make_context(certificate, key)) for certificate, key in pairs]
        self.context = identities[0].context
        self._by_context = {identity.context: identity for identity in identities}
        self._by_name = {name: identity for identity in reversed(identities) for name in identity.names}
        if len(identities) > 1:
            self.context.set_tlsext_servername_callback(self._choose)
        if client_ca is not None:
            _ask(self.context, client_ca)

    def end_point(self, connection: SSL.Connection) -> bytes:
        """Of the certificate that the connection was shown."""
        identity = self._by_context.get(connection.get_context())
        return identity.end_point if identity is not None else b""

    def _choose(self, connection: SSL.Connection) -> None:
        identity = find(self._by_name, (connection.get_servername() or b"").decode("ascii", "replace"))
        if identity is not None:
            connection.set_context(identity.context)


def find(by_name: Mapping[str, T], wanted: str) -> T | None:
    """What stands under a host name; a wildcard stands for one label (RFC 9525 §6.3)."""
    name = wanted.lower().rstrip(".")
    return by_name.get(name) or by_name.get(f"*.{name.partition('.')[2]}")


def _identity(certificate: Path, context: SSL.Context) -> Identity:
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    return Identity(context, names_of(parsed), _end_point(parsed))


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names that a certificate is for, in lower case."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _end_point(certificate: x509.Certificate) -> bytes:
    """RFC 5929 §4.1: its digest by the hash of its own signature, but never MD5 or SHA-1; where the signature has no
    hash (Ed25519) the binding is not defined."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return b""
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()


def _authorities(path: Path) -> Authorities:
    from postroad.adapters.net.verify import Authorities

    return Authorities(path)


def _ask(context: SSL.Context, authorities: Path) -> None:
    """Ask clients for a certificate, and let in those that have none, or one of somebody else: they may have a
    password. What a certificate proves is looked at after the handshake. No tickets are given: a resumed session brings
    no chain that could be looked at anew."""
    context.load_client_ca(str(authorities).encode())
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_options(SSL.OP_NO_TICKET)
