from postroad.ports.ids import DeliveryId, MessageId, id_text
from postroad.ports.store import LedgerFinding, LedgerTotals
from postroad.reports.ledger import describe, judge, prove

CLEAN = LedgerTotals(2, 3, {"delivered": 2, "queued": 1}, ())


def test_a_clean_ledger():
    report = judge(CLEAN)
    assert report.is_clean
    assert report.summary == (
        "2 messages, 3 recipients: 1 queued, 0 held, 2 delivered, 0 bounced, 0 expired, 0 cancelled. Ledger clean."
    )


def test_findings_are_told_in_words():
    finding = LedgerFinding(MessageId(1), DeliveryId(2), "no final event")
    report = judge(LedgerTotals(1, 1, {"delivered": 1}, (finding,)))
    assert not report.is_clean
    assert report.problems == (f"message {id_text(1)}, recipient {id_text(2)}: no final event",)
    assert report.summary.endswith("Ledger 1 problem(s).")
    assert describe(LedgerFinding(None, None, "counters differ")) == "counters differ"


def test_states_have_to_add_up():
    report = judge(LedgerTotals(1, 2, {"delivered": 1, "lost": 2}, ()))
    assert len(report.problems) == 2


async def test_prove_reads_the_store():
    class Ledger:
        def totals(self):
            return CLEAN

    class Tx:
        ledger = Ledger()

    class Store:
        async def read(self, function):
            return function(Tx())

    assert (await prove(Store())).totals is CLEAN
