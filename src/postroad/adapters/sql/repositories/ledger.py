"""The proof of promise 2, by set queries: the database does the joining, and only what is wrong comes here."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Callable

from postroad.adapters.sql.connection import Connection, Row
from postroad.events.model import FINAL_KIND
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState, LedgerFinding, LedgerTotals

MAX_FINDINGS = 1000  # of one kind

_KIND = "CASE d.state " + " ".join(f"WHEN '{state}' THEN '{kind}'" for state, kind in FINAL_KIND.items()) + " END"
_KINDS = "(" + ", ".join(f"'{kind}'" for kind in FINAL_KIND.values()) + ")"
_STATES = "(" + ", ".join(f"'{state}'" for state in DeliveryState) + ")"
_OWN_EVENT = f"SELECT COUNT(*) FROM event e WHERE e.message = d.message AND e.delivery = d.id AND e.kind = {_KIND}"
_ANY_FINAL = f"SELECT COUNT(*) FROM event e WHERE e.message = d.message AND e.delivery = d.id AND e.kind IN {_KINDS}"
_FINAL = "d.state NOT IN ('queued', 'held')"


def _about_delivery(problem: str) -> Callable[[Row], LedgerFinding]:
    return lambda row: LedgerFinding(row[0], row[1], problem.format(*row[2:]))


def _about_mailbox(row: Row) -> LedgerFinding:
    mailbox, total, rows, unseen, unseen_rows, size, size_rows = row
    counted = f"counts {total} messages, {unseen} unseen, {size} octets"
    return LedgerFinding(
        None, None, f"mailbox {id_text(mailbox)} {counted}; its rows say {rows}, {unseen_rows}, {size_rows}"
    )


# A query for (message, delivery, ...) that break a rule, and the finding in words.
_CHECKS: list[tuple[str, Callable[[Row], LedgerFinding]]] = [
    (
        f"SELECT d.message, d.id, d.state FROM delivery d WHERE d.state NOT IN {_STATES}",
        _about_delivery("the state {0!r} is none of the six"),
    ),
    (
        f"SELECT d.message, d.id, d.state, ({_OWN_EVENT}), ({_ANY_FINAL}) FROM delivery d WHERE {_FINAL}"
        f" AND (({_OWN_EVENT}) <> 1 OR ({_ANY_FINAL}) <> 1)",
        _about_delivery("it is {0}, with {1} such event(s) and {2} final event(s); one of each is right"),
    ),
    (
        f"SELECT d.message, d.id, d.state FROM delivery d WHERE NOT {_FINAL} AND ({_ANY_FINAL}) > 0",
        _about_delivery("it is {0}, but has a final event"),
    ),
    (
        "SELECT d.message, d.id FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = d.message)",
        _about_delivery("its message is not there"),
    ),
    (
        "SELECT m.id, NULL FROM message m WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message = m.id)",
        _about_delivery("it has no recipient"),
    ),
    (
        "SELECT m.id, NULL FROM message m"
        " WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.message = m.id AND e.kind = 'received')",
        _about_delivery("it has no event of its acceptance"),
    ),
    (
        "SELECT m.id, NULL FROM message m WHERE NOT EXISTS (SELECT 1 FROM blob b WHERE b.id = m.blob)",
        _about_delivery("nothing says where its content lies"),
    ),
    (
        "SELECT mm.message, NULL, mm.mailbox, mm.uid FROM mailbox_message mm"
        " WHERE NOT EXISTS (SELECT 1 FROM blob b WHERE b.id = mm.blob)",
        _about_delivery("nothing says where the content of UID {1} in mailbox {0} lies"),
    ),
    (
        "SELECT b.id, b.total, COALESCE(r.n, 0), b.unseen, COALESCE(r.unseen, 0), b.size, COALESCE(r.size, 0)"
        " FROM mailbox b LEFT JOIN (SELECT mailbox, COUNT(*) AS n, SUM(size) AS size,"
        " SUM(CASE WHEN flags % 2 = 0 THEN 1 ELSE 0 END) AS unseen FROM mailbox_message GROUP BY mailbox) r"
        " ON r.mailbox = b.id WHERE b.deleted = 0 AND (b.total <> COALESCE(r.n, 0)"
        " OR b.unseen <> COALESCE(r.unseen, 0) OR b.size <> COALESCE(r.size, 0))",
        _about_mailbox,
    ),
    (
        "SELECT a.id, a.used_bytes, COALESCE(SUM(b.size), 0) FROM account a"
        " LEFT JOIN mailbox b ON b.account = a.id AND b.deleted = 0"
        " GROUP BY a.id, a.used_bytes HAVING a.used_bytes <> COALESCE(SUM(b.size), 0)",
        lambda row: LedgerFinding(
            None, None, f"account {id_text(row[0])} counts {row[1]} octets; its mailboxes say {row[2]}"
        ),
    ),
]


class LedgerRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def totals(self) -> LedgerTotals:
        by_state = {
            state: int(count)
            for state, count in self._connection.rows("SELECT state, COUNT(*) FROM delivery GROUP BY state")
        }
        messages = int(self._connection.rows("SELECT COUNT(*) FROM message")[0][0])
        findings = [
            finding(row) for sql, finding in _CHECKS for row in self._connection.rows(f"{sql} LIMIT {MAX_FINDINGS}")
        ]
        return LedgerTotals(messages, sum(by_state.values()), by_state, tuple(findings))
