"""No open relay, by construction: mail for elsewhere comes from our own people alone.

`[limits] exempt` plays no part here: it spares clients limits, it never lets them relay.
"""

from __future__ import annotations

from postroad.intake.checks import Policy
from postroad.intake.transaction import MailTransaction
from postroad.mail.status import Status, status
from postroad.routing.aliases import Resolution

_DENIED = status(550, "5.7.1", "relay access denied", "the recipient is not of a domain of ours, the client not ours")


def may_relay(policy: Policy, transaction: MailTransaction, resolution: Resolution) -> Status | None:  # noqa: ARG001
    return None if resolution.is_ours or transaction.is_trusted else _DENIED
