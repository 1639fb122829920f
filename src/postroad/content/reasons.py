"""The reasons why a message did not arrive, and what each means: whose fault, for good or for now, what to do.

The names are here, what they mean stands in `data/reasons.toml`; a test holds the two together.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

import msgspec
from msgspec import Struct

from postroad.data import table


class Reason(StrEnum):
    """Stored with attempts and events: a name is never given another meaning."""

    NO_SUCH_MAILBOX = "no_such_mailbox"
    BAD_ADDRESS = "bad_address"
    NO_SUCH_DOMAIN = "no_such_domain"
    MOVED = "moved"
    TAKES_NO_MAIL = "takes_no_mail"
    MAILBOX_FULL = "mailbox_full"
    MAILBOX_DISABLED = "mailbox_disabled"
    RECIPIENT_FILTER = "recipient_filter"
    TOO_LARGE = "too_large"
    SPAM_CONTENT = "spam_content"
    VIRUS = "virus"
    CONTENT_REFUSED = "content_refused"
    MALFORMED = "malformed"
    BAD_REPUTATION = "bad_reputation"
    BLOCKLISTED = "blocklisted"
    NO_REVERSE_DNS = "no_reverse_dns"
    UNAUTHENTICATED = "unauthenticated"
    DMARC_POLICY = "dmarc_policy"
    SENDER_REFUSED = "sender_refused"
    POLICY = "policy"
    RELAY_DENIED = "relay_denied"
    ACCESS_DENIED = "access_denied"
    TLS_REQUIRED = "tls_required"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    GREYLISTED = "greylisted"
    NO_CONNECTION = "no_connection"
    DNS_FAILURE = "dns_failure"
    MAIL_LOOP = "mail_loop"
    EXPIRED = "expired"
    RECEIVER_TROUBLE = "receiver_trouble"
    RECEIVER_FULL = "receiver_full"
    PROGRAM_FAILED = "program_failed"
    PROTOCOL_ERROR = "protocol_error"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"
    OUR_TROUBLE = "our_trouble"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    CHALLENGE = "challenge"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"


class Fault(StrEnum):
    """Whose it is."""

    RECIPIENT = "recipient"  # the address, the mailbox or its owner's wish
    CONTENT = "content"  # what the message says or is made of
    REPUTATION = "reputation"  # what the other side thinks of our address or domain
    POLICY = "policy"  # a rule of the other side
    NETWORK = "network"  # on the way, DNS included
    RECEIVER = "receiver"  # a fault of the receiving server
    OURS = "ours"  # our own set-up
    NOBODY = "nobody"


class Move(StrEnum):
    """Whose move it is."""

    YOU = "you"
    YOUR_ADMIN = "your_admin"
    RECIPIENT = "recipient"
    THEIR_ADMIN = "their_admin"
    NOBODY = "nobody"


class Pace(StrEnum):
    """When to try again after a temporary refusal, by the names of retry schedules."""

    USUAL = "usual"
    SOON = "soon"  # it is over in minutes
    GREYLIST = "greylist"  # when the window opens
    SLOW = "slow"  # it is over in hours
    FULL = "full"  # it takes a person
    NEVER = "never"


class Meaning(Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file."""

    title: str
    fault: Fault
    hard: bool
    bounce: str
    schedule: Pace
    move: Move
    happened: str
    next: str


@cache
def meanings() -> dict[Reason, Meaning]:
    """All of them, read once."""
    return msgspec.convert(table("reasons"), dict[Reason, Meaning])


def meaning(reason: Reason) -> Meaning:
    return meanings()[reason]
