"""DANE for SMTP (RFC 7672, with RFC 6698 and 7671): which records can be used, and whether one fits a certificate.

Pure: octets of certificates and keys come in, an answer goes out. Chains are judged in `chain`, what follows for a
delivery in `delivery.policy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256, sha512

from postroad.ports.dns import TlsaRecord

DANE_TA, DANE_EE = 2, 3  # RFC 7672 §3.1: the public authorities' usages (0 and 1) are not for SMTP
CERT, SPKI = 0, 1  # selectors
FULL = 0  # matching type: the thing itself
_DIGESTS = {1: sha256, 2: sha512}
_SIZES = {1: 32, 2: 64}
_SEQUENCE = 0x30  # what DER of a certificate or a key begins with


def base_name(host: str, port: int) -> str:
    """Where a server's records are (RFC 7672 §2.2.3)."""
    return f"_{port}._tcp.{host}"


def usable(records: Iterable[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """Those that can be used here (RFC 7672 §3.1); of digests of one kind only the strongest (RFC 7671 §9)."""
    good = [record for record in dict.fromkeys(records) if is_usable(record)]
    best: dict[tuple[int, int], int] = {}
    for record in good:
        key = record.usage, record.selector
        best[key] = max(best.get(key, FULL), record.matching)
    return tuple(r for r in good if r.matching in (FULL, best[r.usage, r.selector]))


def is_usable(record: TlsaRecord) -> bool:
    if record.usage not in (DANE_TA, DANE_EE) or record.selector not in (CERT, SPKI):
        return False
    if record.matching == FULL:
        return _is_der(record.data)
    return len(record.data) == _SIZES.get(record.matching, -1)


def fits(record: TlsaRecord, certificate: bytes, key: bytes) -> bool:
    """Whether a record is about this certificate, of which the DER and that of its public key are given."""
    chosen = key if record.selector == SPKI else certificate
    digest = _DIGESTS.get(record.matching)
    return (digest(chosen).digest() if digest else chosen) == record.data


def matches_name(presented: str, name: str) -> bool:
    """Whether a certificate's name covers `name`: a `*` stands for the whole first label (RFC 9525 §6.3)."""
    presented, name = presented.lower().rstrip("."), name.lower().rstrip(".")
    if presented == name:
        return True
    star, _, parent = presented.partition(".")
    return star == "*" and "." in parent and name.partition(".")[2] == parent


def covers(presented: Sequence[str], names: Iterable[str]) -> str:
    """The first of `names` that one of the presented names covers, or an empty text."""
    return next((name for name in names if any(matches_name(one, name) for one in presented)), "")


def _is_der(data: bytes) -> bool:
    """Whether it is one whole sequence, as certificates and keys are (X.690 §8.1.3)."""
    if len(data) < 4 or data[0] != _SEQUENCE:
        return False
    first = data[1]
    if first < 0x80:
        return len(data) == 2 + first
    count = first & 0x7F
    return 0 < count <= 4 and len(data) == 2 + count + int.from_bytes(data[2 : 2 + count])
