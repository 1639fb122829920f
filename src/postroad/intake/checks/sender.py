"""Who may use which listener."""

from __future__ import annotations

from postroad.intake.checks import Policy
from postroad.intake.transaction import MailTransaction
from postroad.mail.header import Header
from postroad.mail.status import Status, status

_LOGIN_NEEDED = status(530, "5.7.0", "Authentication required")


def submitter_is_known(policy: Policy, transaction: MailTransaction) -> Status | None:  # noqa: ARG001
    """A submission listener takes mail from those alone who have logged in (RFC 6409 §4.3)."""
    return _LOGIN_NEEDED if transaction.is_submission and not transaction.origin.account else None


def program_asks_well(policy: Policy, transaction: MailTransaction, header: Header) -> Status | None:  # noqa: ARG001
    """What a program's header fields ask for has to be there: its stream, a readable From."""
    return transaction.asked.fault if transaction.asked is not None else None
