"""How TLS with other servers went, over the API: added up, failures first."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from postroad.ports.tls import TlsResult, TlsResultKey
from postroad.testing.api import Api


async def test_sessions_are_added_up_failures_first(api: Api) -> None:
    today = api.services.clock.now().date()
    good = TlsResultKey(today, "far.test", "sts", "mode: enforce", "", "mx.far.test", "192.0.2.1", "192.0.2.9")
    bad = replace(good, result="certificate-expired", reason="in May")
    rows = [
        TlsResult(good, 5),
        TlsResult(replace(good, address="192.0.2.2"), 2),
        TlsResult(replace(good, day=today - timedelta(days=7)), 100),
        TlsResult(bad, 1),
        TlsResult(replace(good, domain="near.test", policy="no-policy-found"), 9),
    ]
    await api.services.store.write(lambda tx: tx.tls.count(rows))
    told = (await api.get("/tls-results"))["results"]
    assert [(row["domain"], row["result"], row["sessions"]) for row in told] == [
        ("far.test", "certificate-expired", 1),
        ("near.test", "", 9),
        ("far.test", "", 7),
    ]
    assert told[0]["reason"] == "in May"
    told = (await api.get("/tls-results", days="8", domain="FAR.test"))["results"]
    assert [row["sessions"] for row in told] == [1, 107]
