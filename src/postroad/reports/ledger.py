"""The proof of promise 2: every accepted recipient is in exactly one state, every final one has its one event.

The rows are judged by the store (`LedgerRows.totals`); this says in words what they came to.
"""

from __future__ import annotations

from dataclasses import dataclass

from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState, LedgerFinding, LedgerTotals, Store


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """The totals, and what is wrong with them."""

    totals: LedgerTotals
    problems: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not self.problems

    @property
    def summary(self) -> str:
        """One line for people."""
        states = ", ".join(f"{self.totals.by_state.get(state, 0)} {state}" for state in DeliveryState)
        verdict = "clean" if self.is_clean else f"{len(self.problems)} problem(s)"
        return f"{self.totals.messages} messages, {self.totals.deliveries} recipients: {states}. Ledger {verdict}."


async def prove(store: Store) -> LedgerReport:
    """Read the rows and judge them."""
    return judge(await store.read(lambda tx: tx.ledger.totals()))


def judge(totals: LedgerTotals) -> LedgerReport:
    """What the totals come to: the store's findings, and whether the states add up."""
    problems = [describe(finding) for finding in totals.findings]
    counted = sum(totals.by_state.values())
    if counted != totals.deliveries:
        problems.append(f"{totals.deliveries} recipients were accepted, but the states add up to {counted}")
    strange = sorted(set(totals.by_state) - {str(state) for state in DeliveryState})
    if strange:
        problems.append(f"unknown states: {', '.join(strange)}")
    return LedgerReport(totals, tuple(problems))


def describe(finding: LedgerFinding) -> str:
    """`message 01h…, recipient 01h…: no final event`."""
    named = []
    if finding.message is not None:
        named.append(f"message {id_text(finding.message)}")
    if finding.delivery is not None:
        named.append(f"recipient {id_text(finding.delivery)}")
    return f"{', '.join(named)}: {finding.problem}" if named else finding.problem
