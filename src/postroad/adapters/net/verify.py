"""Whether a server's certificate chain leads to a root that this system trusts, and fits the name (RFC 9525); and whose
mail address a client's certificate proves.

Asked after the handshake, of the chain that the peer sent: most senders of mail do not ask at all.
"""

from __future__ import annotations

import ssl
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from postroad.ports.net import TlsFailed

_SERVER_AUTH, _ANY_USE = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def verify(chain: list[x509.Certificate], name: str, *, roots: Path | None = None) -> None:
    """Raises TlsFailed when `chain` does not prove `name`."""
    if not chain:
        raise TlsFailed("TLS: the server sent no certificate")
    try:
        policy = PolicyBuilder().store(_roots(roots or system_roots()))
        policy = policy.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_lenient())
        policy.build_server_verifier(_subject(name)).verify(chain[0], chain[1:])
    except (VerificationError, ValueError) as error:
        raise TlsFailed(f"TLS: the certificate does not prove {name}: {error}") from error


def _lenient() -> ExtensionPolicy:
    """As on the web, but private authorities mark extensions as critical or not as they like."""
    policy = ExtensionPolicy.webpki_defaults_ee()
    policy = policy.require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    return policy.may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _for_servers)


def _for_servers(_policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and not {_SERVER_AUTH, _ANY_USE} & set(usage):
        raise ValueError("the certificate is not for servers")


class Authorities:
    """Whom we believe what client certificates say: the certificates of a file, roots and what stands between."""

    def __init__(self, path: Path) -> None:
        """Raises OSError or ValueError."""
        self._between = x509.load_pem_x509_certificates(path.read_bytes())
        policy = PolicyBuilder().store(Store(self._between))
        self._policy = policy.extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_client_policy()
        )

    def addresses(self, chain: list[x509.Certificate]) -> tuple[str, ...]:
        """Mail addresses that the first certificate of the chain proves; none when it leads to nobody we believe."""
        if not chain:
            return ()
        try:
            self._policy.build_client_verifier().verify(chain[0], [*chain[1:], *self._between])
        except (VerificationError, ValueError):
            return ()
        return _addresses(chain[0])


def _client_policy() -> ExtensionPolicy:
    return ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _for_clients)


def _for_clients(_policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and not {ExtendedKeyUsageOID.CLIENT_AUTH, _ANY_USE} & set(usage):
        raise ValueError("the certificate is not for clients")


def _addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    """As RFC 5280 §4.2.1.6 has them, and in the subject, where older authorities put them."""
    found = [str(part.value) for part in certificate.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)]
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found += extension.value.get_values_for_type(x509.RFC822Name)
    except x509.ExtensionNotFound:
        pass
    return tuple(dict.fromkeys(address.lower() for address in found))


def system_roots() -> Path:
    """The file of trusted roots; OpenSSL's variable SSL_CERT_FILE names another."""
    return Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")


@cache
def _roots(path: Path) -> Store:
    try:
        return Store(x509.load_pem_x509_certificates(path.read_bytes()))
    except OSError as error:
        raise TlsFailed(f"TLS: no trusted roots in {path}") from error


def _subject(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
