"""How TLS sessions went, by day and domain (RFC 8460): counted in memory, written in slices.

One count for each connection, none for a message. The domain's owner may have asked for reports of it; ours to look at
it is in any case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.store import Lane, Store, StoreUnavailable
from postroad.ports.tls import TlsResult, TlsResultKey

FLUSH_EVERY = 60.0  # seconds
SLICE = 200  # rows in one transaction
MAX_KEYS = 20_000  # kinds of sessions in memory; what is new beyond them is not counted
MAX_REASON = 200  # characters

_log = log.get("tls-results")


class TlsResults:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock, *, keep: timedelta = timedelta(days=45)) -> None:
        self._store = store
        self._clock = clock
        self._keep = keep
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._day = clock.now().date()

    def count(
        self,
        domain: str,
        applied: tuple[str, str],
        result: str = "",
        *,
        host: str,
        address: str = "",
        source: str = "",
        reason: str = "",
    ) -> None:
        """One session. `applied` is the kind of policy and its text; `result` is empty where it went well."""
        key = (
            self._clock.now().date().isoformat(),
            domain,
            *applied,
            result,
            host,
            address,
            source,
            reason[:MAX_REASON],
        )
        if key in self._counts or len(self._counts) < MAX_KEYS:
            self._counts[key] += 1

    async def run(self) -> None:
        """Write now and then, until cancelled; call `flush` afterwards."""
        while True:
            await self._clock.sleep(FLUSH_EVERY)
            await self.flush()
            await self.forget()

    async def flush(self) -> None:
        """Write what was counted. What cannot be written now is kept."""
        for part in self._taken():
            try:
                await self._store.write(lambda tx, part=part: tx.tls.count(part), lane=Lane.LOW)  # type: ignore[misc]
            except StoreUnavailable as error:
                for result in part:
                    self._counts[_texts(result.key)] += result.sessions
                _log.warning("results of TLS sessions cannot be written", cause=str(error))
                return

    def _taken(self) -> Iterator[list[TlsResult]]:
        """Slices of what was counted, each gone from the counts once it is asked for."""
        while self._counts:
            keys = list(self._counts)[:SLICE]
            yield [TlsResult(_key(key), self._counts.pop(key)) for key in keys]

    async def forget(self) -> None:
        """Once a day, what is too old."""
        today = self._clock.now().date()
        if today == self._day:
            return
        self._day = today
        try:
            while await self._store.write(lambda tx: tx.tls.forget_results(today - self._keep), lane=Lane.LOW):
                pass
        except StoreUnavailable as error:
            _log.warning("old results of TLS sessions cannot be deleted", cause=str(error))


def _key(texts: tuple[str, ...]) -> TlsResultKey:
    return TlsResultKey(date.fromisoformat(texts[0]), *texts[1:])


def _texts(key: TlsResultKey) -> tuple[str, ...]:
    return (
        key.day.isoformat(), key.domain, key.policy, key.policy_text, key.result, key.host, key.address, key.source,
        key.reason,
    )  # fmt: skip
