"""What may be wrong with a receiver's STARTTLS: as old servers, careless ones and those in between have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from OpenSSL import SSL

from postroad.adapters.net.tls import OPPORTUNISTIC_CIPHERS, ServerTls
from postroad.proto.smtp.reply import Reply, reply


@dataclass(frozen=True, slots=True)
class TlsOddity:
    """`reply` in place of the 220; or `behind` it, in the same packet, and then a handshake, unless it `breaks`."""

    reply: Reply | None = None
    behind: bytes = b""
    breaks: bool = False


REFUSED = TlsOddity(reply(502, "5.5.1", "STARTTLS is not for you"))
NOT_NOW = TlsOddity(reply(454, "4.7.0", "TLS not available due to temporary reason"))  # RFC 3207 §4
NO_HANDSHAKE = TlsOddity(behind=b"what follows is no TLS\r\n", breaks=True)
SMUGGLING = TlsOddity(behind=b"250-injected.test\r\n250 REQUIRETLS\r\n")


class OldTls(ServerTls):
    """A server that has learned nothing since 1999: TLS 1.0 alone."""

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(certificate, key)
        self.context.set_min_proto_version(SSL.TLS1_VERSION)
        self.context.set_max_proto_version(SSL.TLS1_VERSION)
        self.context.set_cipher_list(OPPORTUNISTIC_CIPHERS)
