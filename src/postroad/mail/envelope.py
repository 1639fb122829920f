"""The envelope: who a message is from and for, how it came, and facts of its content (RFC 5321 §2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag

from msgspec import Struct

from postroad.mail.address import ReversePath


class BodyFlag(IntFlag):
    """Facts about the content, computed once at acceptance so that a sender need not scan again."""

    NONE = 0
    DOT_LINES = 1  # some line begins with a dot: sending needs dot-stuffing
    EIGHT_BIT = 2  # some octet is above 127
    NUL = 4  # some octet is zero
    LONG_LINES = 8  # some line is longer than 998 octets (RFC 5322 §2.1.1)
    BINARY = 16  # a CR or LF stands alone, or NULs hide a lone dot: never sent by DATA (RFC 3030 §3)
    UTF8 = 32  # header fields beyond ASCII, declared: it goes by SMTPUTF8 alone (RFC 6531 §3.2)


class Notify(IntFlag):
    """What a sender wants to hear of one recipient (NOTIFY, RFC 3461 §4.1)."""

    UNSAID = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


class TlsInfo(Struct, frozen=True, gc=False):
    """What a TLS handshake agreed on."""

    version: str  # "TLSv1.3"
    cipher: str  # "TLS_AES_256_GCM_SHA384"
    server_name: str = ""  # SNI
    verified: bool = False  # the peer's certificate was checked and fits its name
    peer_subject: str = ""


class Origin(Struct, frozen=True, gc=False):
    """How and from whom a message came."""

    service: str  # listener: mx, submission, submissions, lmtp, api; or local (sendmail, bounces)
    connection: str  # the id that the log knows this connection by
    client: str = ""  # IP address of the peer, empty for local
    client_port: int = 0
    helo: str = ""
    account: str = ""  # address of the authenticated submitter
    esmtp: bool = True
    tls: TlsInfo | None = None

    @property
    def protocol(self) -> str:
        """The `with` word of Received (RFC 3848)."""
        if self.service == "local":
            return "local"
        if self.service == "api":
            return "HTTP"
        base = "LMTP" if self.service == "lmtp" else "ESMTP" if self.esmtp else "SMTP"
        if base == "SMTP":
            return base
        return base + ("S" if self.tls else "") + ("A" if self.account else "")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One accepted transaction's envelope."""

    reverse_path: ReversePath
    recipients: tuple[str, ...]
    origin: Origin
    received: datetime
