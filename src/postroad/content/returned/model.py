"""What a message tells that came back: records only.

`read` makes a `Returned` of any message; `content.classify` says what a recipient's status means.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from postroad.mail.dsn import Action
from postroad.mail.status import EnhancedCode


class Kind(StrEnum):
    """What sort of message it is."""

    BOUNCE = "bounce"  # at least one recipient will not get the original
    DELAY = "delay"  # it is late; somebody goes on trying
    DELIVERED = "delivered"  # a report of success
    FEEDBACK = "feedback"  # a recipient complained (RFC 5965)
    AUTO_REPLY = "auto-reply"  # an absence notice or another robot's answer (RFC 3834)
    CHALLENGE = "challenge"  # a filter asks the sender to prove to be a person
    NONE = "none"  # a message like any other


class Stage(StrEnum):
    """Where in the dialogue with the next server a reply was given."""

    CONNECT = "connect"
    HELO = "helo"
    AUTH = "auth"
    TLS = "tls"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # the command, or the final dot
    UNKNOWN = ""


class ReturnedRecipient(Struct, frozen=True, gc=False):
    """One recipient of the original, and what became of it."""

    address: str  # as the report names it; empty where a complaint leaves it out
    action: Action = Action.FAILED
    reply_code: int = 0  # of the SMTP reply that is repeated; 0: none is
    enhanced: EnhancedCode | None = None
    diagnostic: str = ""  # the reporter's or the remote server's words, on one line
    remote: str = ""  # the server that said so, where another than the reporter did
    original: str = ""  # the recipient as the sender named it, where that differs (ORCPT)
    stage: Stage = Stage.UNKNOWN
    context: str = ""  # what the report says besides: to be looked at where `diagnostic` does not tell enough


class Original(Struct, frozen=True):
    """What the report gives back of the message that it is about."""

    message_id: str = ""  # without angle brackets
    envelope_id: str = ""  # ENVID, decoded
    sender: str = ""  # the address of its From field
    recipients: tuple[str, ...] = ()  # the addresses of its To field
    subject: str = ""
    header: bytes = b""  # its header block as far as it came back, lines ended by LF


class Returned(Struct, frozen=True):
    """One message, read. The recipient of an AUTO_REPLY or a CHALLENGE is who answered: to them it was delivered."""

    kind: Kind = Kind.NONE
    recipients: tuple[ReturnedRecipient, ...] = ()
    original: Original | None = None
    reporter: str = ""  # the server that made the report (Reporting-MTA), where it says
    feedback_type: str = ""  # abuse, fraud, not-spam ... (RFC 5965 §3.5)
    standard: bool = False  # in a form that a standard defines
