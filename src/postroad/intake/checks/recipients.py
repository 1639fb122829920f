"""Whether a recipient exists here and has room."""

from __future__ import annotations

from postroad.intake.checks import Policy
from postroad.intake.transaction import MailTransaction
from postroad.mail.status import Status, status
from postroad.routing.aliases import Resolution, Target

MAILBOX_FULL = (4, 2, 2)  # RFC 3463 §3.3: the one temporary refusal that is about the recipient alone
_FULL = status(452, "4.2.2", "the mailbox is full")


def is_known(policy: Policy, transaction: MailTransaction, resolution: Resolution) -> Status | None:  # noqa: ARG001
    """`550 5.1.1` at RCPT for a name that nobody has here: never accepted, so never bounced."""
    return resolution.refusal


def has_room(policy: Policy, transaction: MailTransaction, resolution: Resolution) -> Status | None:  # noqa: ARG001
    """A full mailbox refuses for now (RFC 3463 §3.3, X.2.2), behind an alias too: the sender's server tries again.

    Our own reports get in: they are few and small, and a sender has to learn that a message failed.
    """
    if transaction.is_report:
        return None
    for target in resolution.targets:
        if is_full(target, max(transaction.size or 0, 1)):
            return _full(target)
    return None


def is_full(target: Target, size: int) -> bool:
    return 0 < target.quota_bytes < target.used_bytes + size


def _full(target: Target) -> Status:
    return _FULL.because(f"{target.forward_path} uses {target.used_bytes} of {target.quota_bytes} octets")


def without_room(transaction: MailTransaction, size: int) -> dict[str, Status]:
    """LMTP, once the message has come: who of the accepted recipients has no room for it after all."""
    return {
        name: _full(planned.target)
        for planned in transaction.planned.values()
        if planned.end is None and is_full(planned.target, size)
        for name in planned.recipients
    }
