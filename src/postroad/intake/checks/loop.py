"""Mail that goes round in circles (RFC 5321 §6.3)."""

from __future__ import annotations

from postroad.intake.checks import Policy
from postroad.intake.transaction import MailTransaction
from postroad.mail.header import Header
from postroad.mail.status import Status, status
from postroad.mail.trace import delivered_before, received_by, received_count

_LOOP = status(554, "5.4.6", "mail loop detected")


def hops_are_few(policy: Policy, transaction: MailTransaction, header: Header) -> Status | None:  # noqa: ARG001
    """Few in all, and fewer of our own: a circle of two servers is found before it has gone round five times as often.

    Only those who have many are looked at closely.
    """
    hops = received_count(header)
    if hops > policy.max_received_fields:
        return _LOOP.because(f"{hops} Received fields")
    if hops <= policy.max_own_received_fields:
        return None
    ours = received_by(header, policy.hostname)
    return _LOOP.because(f"{ours} Received fields of our own") if ours > policy.max_own_received_fields else None


def not_delivered_before(policy: Policy, transaction: MailTransaction, header: Header) -> Status | None:  # noqa: ARG001
    """Our Delivered-To for the same mailbox: it came back from where it was forwarded.

    Our own people may send a message on that they found in their mailbox, field and all, so they are not asked.
    """
    if transaction.is_trusted:
        return None
    mailboxes = [key for key, planned in transaction.planned.items() if planned.target.is_local]
    again = delivered_before(header, mailboxes)
    return _LOOP.because(f"it was delivered to {again} before") if again else None
