"""Clients that talk before it is their turn: before the banner, behind EHLO or DATA, or ahead of replies without
having been told that they may (RFC 2920 §3.1).

Programs that send to millions do not wait for anyone's words; mail servers do.
"""

from __future__ import annotations

from postroad.intake.verdicts import Verdict, noted, refused
from postroad.mail.status import status

STEP = "early"
REFUSED = status(550, "5.5.1", "you talk before it is your turn: wait for our replies (RFC 5321 section 4.3.1)")


class EarlyTalkers:
    def __init__(self, *, weight: float, refuses: bool, wait: float) -> None:
        self._weight = weight
        self._refuses = refuses
        self.wait = wait  # seconds before the banner, for strangers

    def judge(self, before: str) -> Verdict:
        """`before` says what it should have waited for."""
        reason = f"it talked before {before}"
        return refused(STEP, reason, REFUSED) if self._refuses else noted(STEP, reason, self._weight, reason)
