"""How it went with TLS on one connection: for the record of its attempts, and for what is counted by day."""

from __future__ import annotations

from msgspec import Struct

from postroad.mail.envelope import TlsInfo
from postroad.ports.net import PeerTls


class TlsEnd(Struct, frozen=True):
    """`kind` is a result type of RFC 8460 §4.3, empty where it went well."""

    kind: str
    reason: str
    source: str  # our address


def tls_text(info: TlsInfo) -> str:
    """As the record of an attempt has it."""
    words = f"{info.version} {info.cipher}"
    if not isinstance(info, PeerTls):
        return words
    if info.fault:
        return f"{words}, not proven: {info.fault}"
    return f"{words}, proven by {info.proof}" if info.proof else words
