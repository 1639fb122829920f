"""An authority of the laboratory's own: certificates for its hosts, good ones and those with a fault.

P-256, made in memory in well under a millisecond. Nobody outside has a reason to trust it: whoever is to believe its
certificates is given `pem`, and DANE records come from `tlsa`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=90)


class Issued(NamedTuple):
    """A certificate with its key and the chain behind it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """As PEM files: certificate with chain, and key."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        pems = [one.public_bytes(Encoding.PEM) for one in (self.certificate, *self.chain)]
        paths[0].write_bytes(b"".join(pems))
        paths[1].touch(mode=0o600)
        paths[1].write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths


class LabAuthority:
    """A root, and what it issues."""

    def __init__(self, name: str = "Postroad laboratory", *, now: datetime | None = None) -> None:
        self._now = now or datetime.now(UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, self._key, subject, timedelta(days=-1), VALID)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, *names: str, expired: bool = False, with_root: bool = False) -> Issued:
        """For these names; `expired` since yesterday. `with_root` sends the root along, as DANE-TA wants it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        begin, end = (timedelta(days=-30), timedelta(days=-1)) if expired else (timedelta(hours=-1), VALID)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        certificate = (
            self._builder(subject, key, self.certificate.subject, begin, end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(certificate, key, (self.certificate,) if with_root else ())

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, begin: timedelta, end: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now + begin)
            .not_valid_after(self._now + end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )


def spki(certificate: x509.Certificate) -> bytes:
    """The DER of its public key."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def tlsa(certificate: x509.Certificate, usage: int = 3) -> str:
    """A TLSA record for its key, by SHA-256: for the server itself (3), or for an authority (2)."""
    return f"{usage} 1 1 {sha256(spki(certificate)).hexdigest()}"
