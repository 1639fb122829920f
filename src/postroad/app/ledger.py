"""The proof of promise 2 for a command: rows against rows, and with `deep` rows against content."""

from __future__ import annotations

from msgspec.structs import replace

from postroad.app.access import reading
from postroad.config.schema import Settings
from postroad.reports.ledger import LedgerReport, judge


async def prove(settings: Settings, *, deep: bool) -> LedgerReport:
    """Read the rows, beside a running server or without one, and judge them; with `deep`, all content too."""
    async with reading(settings) as store:
        totals = await store.read(lambda tx: tx.ledger.totals())
        if deep:
            totals = replace(totals, findings=(*totals.findings, *await store.deep_check()))
        return judge(totals)
