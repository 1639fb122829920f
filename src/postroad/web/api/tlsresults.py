"""How TLS with other servers went, by domain."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from postroad.reports.tlssessions import TlsSessions, tls_sessions
from postroad.web.api.routes import Call, Route
from postroad.web.api.values import Text


class Days(Struct, forbid_unknown_fields=True):
    """How far back, and whose."""

    days: Annotated[int, Meta(ge=1, le=366, description="Today and those before it.")] = 7
    domain: Annotated[Text, Meta(description="Only this domain; empty: all.")] = ""


class TlsResults(Struct):
    """Failures first. `result` is a result type of RFC 8460, empty where all went well; `policy` is `tlsa`, `sts` or
    `no-policy-found`."""

    results: list[TlsSessions]


async def get_tls_results(call: Call, *, query: Days) -> TlsResults:
    """TLS sessions with the servers that mail went to, counted by domain, host and outcome."""
    now = call.services.clock.now()
    read = call.services.store.read
    return TlsResults(await read(lambda tx: tls_sessions(tx, now=now, days=query.days, domain=query.domain)))


ROUTES = (Route("GET", "/tls-results", "statistics:read", get_tls_results),)
