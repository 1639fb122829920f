"""Whether a server's certificate chain leads to a root that this system trusts, and fits the name (RFC 9525), or fits
what DNS says of it (DANE); and whose mail address a client's certificate proves.

Asked after the handshake, of the chain that the peer sent: most senders of mail do not ask at all.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from postroad.mailauth import chain as chains
from postroad.mailauth.chain import EXPIRED, MISMATCH, NOT_TRUSTED, UNREADABLE
from postroad.mailauth.dane import covers
from postroad.ports.net import ClientTls, TlsFailed

MAX_NAMES = 5  # of a certificate, that are told
MAX_SHOWN = 200  # characters
_SERVER_AUTH, _ANY_USE = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def verify(chain: list[x509.Certificate], names: Sequence[str], *, roots: Path | None = None) -> None:
    """Raises TlsFailed when `chain` does not prove one of `names`."""
    if not chain:
        raise TlsFailed("TLS: the server sent no certificate", NOT_TRUSTED)
    policy = PolicyBuilder().store(_roots(roots or system_roots()))
    policy = policy.extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_lenient())
    for name in names:
        try:
            policy.build_server_verifier(_subject(name)).verify(chain[0], chain[1:])
        except (VerificationError, *UNREADABLE) as error:
            why = error
        else:
            return
    raise _failure(chain[0], names, why)


def prove(
    chain: list[x509.Certificate], asked: ClientTls, *, roots: Path | None = None, now: datetime | None = None
) -> str:
    """What proves the server, in words. Raises TlsFailed when it is not who it has to be."""
    if not asked.tlsa:
        verify(chain, asked.reference, roots=roots)
        return "a public authority"
    try:
        record = chains.prove(chain, asked.tlsa, asked.reference, now or datetime.now(UTC))
    except chains.NotProven as error:
        raise TlsFailed(f"TLS: {error}", error.kind) from error
    return f"DANE {record}"


def described(certificate: x509.Certificate) -> str:
    """A certificate in one line."""
    names = ", ".join(chains.names_in(certificate)[:MAX_NAMES]) or subject_of(certificate)
    digest = certificate.fingerprint(SHA256()).hex()
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    return f"for {names[:MAX_SHOWN]}; by {_shown(certificate, 'issuer')}; until {until}; SHA-256 {digest}"


def subject_of(certificate: x509.Certificate) -> str:
    """Whom it is for, by its own word."""
    return _shown(certificate, "subject")


def _shown(certificate: x509.Certificate, which: str) -> str:
    """Strangers write what they like into certificates."""
    try:
        name: x509.Name = getattr(certificate, which)
        return name.rfc4514_string()[:MAX_SHOWN]
    except UNREADABLE:
        return "(unreadable)"


def _failure(leaf: x509.Certificate, names: Sequence[str], why: Exception) -> TlsFailed:
    """Which of the usual reasons it is; the library has one word for all of them."""
    if not leaf.not_valid_before_utc <= datetime.now(UTC) <= leaf.not_valid_after_utc:
        dates = f"it is good from {leaf.not_valid_before_utc:%Y-%m-%d} until {leaf.not_valid_after_utc:%Y-%m-%d}"
        return TlsFailed(f"TLS: the certificate does not prove {names[0]}: {dates}", EXPIRED)
    presented = chains.names_in(leaf)
    if not covers(presented, names) and not _is_literal(names[0]):
        shown = ", ".join(presented[:MAX_NAMES]) or "no name"
        return TlsFailed(f"TLS: the certificate does not prove {names[0]}: it is for {shown}", MISMATCH)
    return TlsFailed(f"TLS: the certificate does not prove {names[0]}: {why}", NOT_TRUSTED)


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
    return x509.IPAddress(ip_address(name)) if _is_literal(name) else x509.DNSName(name)


def _is_literal(name: str) -> bool:
    """Whether it is an address and no name."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
