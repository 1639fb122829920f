"""How long a certificate still lasts."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path


def seconds_left(certificate: Path, now: datetime) -> float:
    """Negative once it has run out; 0 for a file that cannot be read."""
    try:
        ends = _ends(certificate, certificate.stat().st_mtime_ns)
    except (OSError, ValueError):
        return 0.0
    return (ends - now).total_seconds()


@lru_cache(maxsize=4)
def _ends(certificate: Path, _changed: int) -> datetime:
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
