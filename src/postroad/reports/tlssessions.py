"""How TLS sessions with other servers went, for people: what `delivery.tlsresults` counted, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct

from postroad.ports.store import Tx
from postroad.ports.tls import TlsResult

MAX_ROWS = 20_000  # that one answer adds up
MAX_DAYS = 366
PAGE = 500


class TlsSessions(Struct, frozen=True):
    """Sessions with one host that came to the same."""

    domain: str
    policy: str  # tlsa, sts or no-policy-found
    result: str  # a result type of RFC 8460 §4.3; empty: it went well
    host: str
    sessions: int
    reason: str = ""


def tls_sessions(tx: Tx, *, now: datetime, days: int = 7, domain: str = "") -> list[TlsSessions]:
    """Of the last days, today included: failures first, then by number."""
    last = now.date()
    first = last - timedelta(days=min(max(days, 1), MAX_DAYS) - 1)
    counts: Counter[tuple[str, str, str, str]] = Counter()
    reasons: dict[tuple[str, str, str, str], str] = {}
    for result in _rows(tx, first, last, domain.lower()):
        key = result.key.domain, result.key.policy, result.key.result, result.key.host
        counts[key] += result.sessions
        reasons[key] = result.key.reason or reasons.get(key, "")
    found = [TlsSessions(*key, sessions=count, reason=reasons[key]) for key, count in counts.items()]
    return sorted(found, key=lambda each: (not each.result, -each.sessions, each.domain))


def _rows(tx: Tx, first: date, last: date, domain: str) -> Iterator[TlsResult]:
    place, count = ("", ""), 0
    while count < MAX_ROWS:
        page: Sequence[tuple[tuple[str, str], TlsResult]] = tx.tls.results(
            first=first, last=last, domain=domain, after=place, limit=PAGE
        )
        yield from (result for _, result in page)
        if len(page) < PAGE:
            return
        place, count = page[-1][0], count + len(page)
