"""No open relay, by construction: mail for elsewhere comes from our own people alone.

`[limits] exempt` plays no part here: it spares clients limits, it never lets them relay.
"""

from __future__ import annotations

from postroad.intake.checks import Policy
from postroad.intake.transaction import MailTransaction
from postroad.mail.status import Status, status
from postroad.routing.aliases import Resolution

_DENIED = status(550, "5.7.1", "relay access denied", "the recipient is not of a domain of ours, the client not ours")


_BOUNCES_ONLY = status(550, "5.7.1", "this address takes bounces alone", "it stands for a sender elsewhere")
_ONE_SENDER = status(452, "4.5.3", "a bounce is for one sender")


def may_relay(policy: Policy, transaction: MailTransaction, resolution: Resolution) -> Status | None:  # noqa: ARG001
    return None if resolution.is_ours or transaction.is_trusted else _DENIED


def is_a_bounce(policy: Policy, transaction: MailTransaction, resolution: Resolution) -> Status | None:  # noqa: ARG001
    """A rewritten sender passes on what comes back, nothing else: else whoever has seen one could send through us."""
    if not resolution.bounces_only:
        return None
    if not transaction.reverse_path.null:
        return _BOUNCES_ONLY
    return _ONE_SENDER if transaction.recipients else None
