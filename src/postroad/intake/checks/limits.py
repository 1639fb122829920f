"""Sizes and numbers: what fits the settings and the disk."""

from __future__ import annotations

from postroad.intake.checks import Policy
from postroad.intake.transaction import MailTransaction
from postroad.mail.header import Header
from postroad.mail.status import Status, status
from postroad.routing.aliases import Resolution

MAX_DELIVERIES = 10_000  # that the recipients of one transaction become

_TOO_LARGE = status(552, "5.3.4", "message size exceeds fixed limit")  # RFC 1870 §6.1
_NO_ROOM = status(452, "4.3.1", "insufficient system storage, try again later", "free space would fall below min_free")
_TOO_MANY = status(452, "4.5.3", "too many recipients")  # RFC 5321 §4.5.3.1.10
HEADER_TOO_LARGE = status(552, "5.3.4", "the header block is too large")


def size_fits(policy: Policy, transaction: MailTransaction) -> Status | None:
    return _TOO_LARGE if transaction.size and transaction.size > policy.max_message_size else None


def disk_has_room(policy: Policy, transaction: MailTransaction) -> Status | None:
    return None if policy.has_room(transaction.size or 0) else _NO_ROOM


def recipients_are_few(policy: Policy, transaction: MailTransaction, resolution: Resolution) -> Status | None:
    if len(transaction.recipients) >= policy.max_recipients:
        return _TOO_MANY
    if len(transaction.planned) + len(resolution.targets) > MAX_DELIVERIES:
        return _TOO_MANY.because(f"the recipients so far become {len(transaction.planned)} deliveries")
    return None


def message_fits(policy: Policy, transaction: MailTransaction, header: Header) -> Status | None:  # noqa: ARG001
    return HEADER_TOO_LARGE if len(header.raw) > policy.max_header_size else None
