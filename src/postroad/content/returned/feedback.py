"""Complaints (RFC 5965): who complained, about what."""

from __future__ import annotations

from postroad.content.returned.fields import bare, typed
from postroad.content.returned.model import ReturnedRecipient
from postroad.content.returned.parts import pairs_of
from postroad.mail.dsn import Action

MAX_RECIPIENTS = 1000
_RECIPIENTS = ("original-rcpt-to", "removal-recipient", "redacted-rcpt-to")


def read_feedback(text: str) -> tuple[str, str, list[str], str]:
    """The type, the reporter, the recipients and the envelope id that the report names."""
    kind, reporter, envelope_id = "", "", ""
    recipients: list[str] = []
    for name, value in pairs_of(text):
        if name == "feedback-type":
            kind = kind or value.strip().lower()
        elif name == "reporting-mta":
            reporter = typed(value)
        elif name == "original-envelope-id":
            envelope_id = value.strip()
        elif name in _RECIPIENTS and value.strip() and len(recipients) < MAX_RECIPIENTS:
            recipients += [bare(typed(each)) for each in value.split(",")[:MAX_RECIPIENTS]]
    return kind, reporter, list(dict.fromkeys(filter(None, recipients))), envelope_id


def complainer(address: str) -> ReturnedRecipient:
    """Whoever complains has got the message."""
    return ReturnedRecipient(address=address, action=Action.DELIVERED)
