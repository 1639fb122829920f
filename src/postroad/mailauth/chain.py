"""Whether a server's certificate chain fits its DANE records (RFC 7671 §5.1, §5.2; RFC 7672 §3).

Stricter rules of the public web (key sizes, extensions, logs) are not asked for: whoever has signed the records in DNS
has said himself which certificate is his.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID

from postroad.mailauth.dane import CERT, DANE_EE, FULL, SPKI, covers, fits
from postroad.ports.dns import TlsaRecord

MAX_CHAIN = 10  # certificates
NOT_TRUSTED, EXPIRED, MISMATCH = "certificate-not-trusted", "certificate-expired", "certificate-host-mismatch"
NO_MATCH = "validation-failure"

# What the library raises for certificates that break their own rules, as strangers' may.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class NotProven(Exception):  # noqa: N818
    """No record fits; `kind` is a result type of RFC 8460 §4.3."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def prove(
    chain: Sequence[x509.Certificate], records: Sequence[TlsaRecord], names: Sequence[str], now: datetime
) -> TlsaRecord:
    """The record that the chain fits. Raises NotProven."""
    chain = chain[:MAX_CHAIN]
    if not chain:
        raise NotProven(NO_MATCH, "the server sent no certificate")
    for record in records:  # RFC 7671 §5.1: neither names nor dates count here
        if record.usage == DANE_EE and _fits(record, chain[0]):
            return record
    why = NotProven(NO_MATCH, "the certificate fits none of the domain's TLSA records")
    path = _path(chain)
    for record in records:
        if record.usage != DANE_EE and (trusted := _anchored(path, record)):
            try:
                _check(trusted, names, now)
            except NotProven as error:
                why = error
            else:
                return record
    raise why


def names_in(certificate: x509.Certificate) -> list[str]:
    """The host names that a certificate is for; its common name where it has no others (RFC 7672 §3.2.3)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, *UNREADABLE):
        names = []
    if names:
        return names
    try:
        return [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except UNREADABLE:
        return []


def _path(chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """From the server's own certificate from issuer to issuer, as far as what was sent goes."""
    path, others = [chain[0]], list(chain[1:])
    while issuer := next((one for one in others if _issued(path[-1], one)), None):
        path.append(issuer)
        others.remove(issuer)
    return path


def _anchored(path: list[x509.Certificate], record: TlsaRecord) -> list[x509.Certificate]:
    """The part of the path that ends with (or, where DNS itself holds it, below) the record's authority."""
    for index, certificate in enumerate(path):
        if index and _fits(record, certificate):
            return path[: index + 1]
    if record.matching == FULL:
        for index, certificate in enumerate(path):
            if _signed_by(certificate, record):
                return path[: index + 1]
    return []


def _check(path: list[x509.Certificate], names: Sequence[str], now: datetime) -> None:
    for index, certificate in enumerate(path):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            whose = "the certificate" if index == 0 else "an authority's certificate"
            raise NotProven(EXPIRED, f"{whose} is good only until {certificate.not_valid_after_utc:%Y-%m-%d}")
    for below, certificate in enumerate(path[1:]):
        if not _may_issue(certificate, below):
            raise NotProven(NOT_TRUSTED, "a certificate of the chain may not issue others")
    presented = names_in(path[0])
    if not covers(presented, names):
        raise NotProven(MISMATCH, f"the certificate is for {', '.join(presented) or 'no name'}, not for {names[0]}")


def _may_issue(certificate: x509.Certificate, below: int) -> bool:
    """`below` is how many authorities stand between it and the server's certificate (RFC 5280 §4.2.1.9)."""
    try:
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    return limits.ca and (limits.path_length is None or below <= limits.path_length)


def _fits(record: TlsaRecord, certificate: x509.Certificate) -> bool:
    if record.selector == CERT:
        return fits(record, certificate.public_bytes(Encoding.DER), b"")
    try:
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return False
    return fits(record, b"", key)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _signed_by(certificate: x509.Certificate, record: TlsaRecord) -> bool:
    """By the authority that the record itself holds (RFC 7671 §5.2.2, §5.2.3): a certificate, or a bare key."""
    try:
        if record.selector == SPKI:
            return _verifies(certificate, load_der_public_key(record.data))
        return _issued(certificate, x509.load_der_x509_certificate(record.data))
    except UNREADABLE:
        return False


def _verifies(certificate: x509.Certificate, key: object) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    try:
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        parameters, algorithm = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None and not isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters, algorithm)  # type: ignore[arg-type]
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        else:
            return False
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
