"""The node's certificates: what its listeners show, and how long each still lasts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from postroad.config.problems import ConfigError, Problem
from postroad.config.schema import Settings, Tls

if TYPE_CHECKING:
    from postroad.adapters.net.tls import ServerTls

_STRANGERS = ("mx", "lmtp")  # nobody logs in there, so nobody is asked for a certificate


class NodeTls:
    """What the listeners of mail share: for strangers, and for those who log in and may have a certificate."""

    def __init__(self, tls: Tls) -> None:
        """Raises OSError or ValueError when a certificate cannot be used."""
        from postroad.adapters.net.tls import ServerTls

        first, *others = pairs(tls)
        self._strangers = ServerTls(*first, others)
        self._logins = ServerTls(*first, others, client_ca=tls.client_ca)

    @classmethod
    def of(cls, settings: Settings) -> NodeTls | None:
        """None where there is no certificate. Raises ConfigError."""
        if settings.tls.certificate is None:
            return None
        try:
            return cls(settings.tls)
        except (OSError, ValueError) as error:
            raise ConfigError([Problem("tls", f"the certificate cannot be used: {error}")]) from error

    def of_service(self, service: str) -> ServerTls:
        return self._strangers if service in _STRANGERS else self._logins

    def reload(self, tls: Tls) -> None:
        """Raises OSError or ValueError, leaving what was."""
        fresh = NodeTls(tls)
        self._strangers.become(fresh._strangers)
        self._logins.become(fresh._logins)


def pairs(tls: Tls) -> Iterator[tuple[Path, Path]]:
    """Certificate and key of each name, the usual one first."""
    if tls.certificate is not None and tls.key is not None:
        yield tls.certificate, tls.key
        for pair in tls.certificates:
            yield pair.certificate, pair.key


def seconds_left(certificate: Path, now: datetime) -> float:
    """Negative once it has run out; 0 for a file that cannot be read."""
    try:
        ends = _ends(certificate, certificate.stat().st_mtime_ns)
    except (OSError, ValueError):
        return 0.0
    return (ends - now).total_seconds()


@lru_cache(maxsize=64)
def _ends(certificate: Path, _changed: int) -> datetime:
    from cryptography import x509

    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
