"""The services that manage sending projects and administrators, over a real store, with a clock that jumps.

Passwords are hashed by a stand-in that tells how often it ran: Argon2 itself is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from postroad.accounts.administration import Administration
from postroad.accounts.admins import Admins
from postroad.accounts.apppasswords import AppPasswords
from postroad.accounts.audit import AuditLog
from postroad.accounts.credentials import Credentials
from postroad.accounts.logins import Throttle
from postroad.accounts.sending import Sending
from postroad.accounts.tokens import Tokens
from postroad.adapters.random import SystemRandomness
from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.sql.database import Database
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource

T = TypeVar("T")


class CountingWorkers:
    """Runs what it is given at once, and counts."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        self.runs += 1
        return self._run(function)

    async def _run(self, function: Callable[[], T]) -> T:
        return function()


class Tenancy:
    """All of them, as `app.services` puts them together."""

    def __init__(self, store: Database, clock: Clock, ids: IdSource) -> None:
        self.store = store
        self.clock = clock
        self.ids = ids
        self.signals = LocalSignals()
        self.workers = CountingWorkers()
        random = self.random = SystemRandomness()
        self.credentials = Credentials(store, self.workers, clock, random, self.signals, at_once=2)
        self.throttle = Throttle(store, clock)
        self.app_passwords = AppPasswords(
            store, self.credentials, clock=clock, ids=ids, signals=self.signals, random=random
        )
        self.administration = Administration(store, self.credentials, clock, ids, self.signals)
        self.sending = Sending(store, clock, ids, self.signals, random)
        self.tokens = Tokens(store, clock, self.signals)
        self.audit = AuditLog(store)
        self.admins = Admins(
            store, self.credentials, self.throttle, clock=clock, ids=ids, signals=self.signals, random=random
        )

    async def told(self, limit: int = 50) -> list[tuple[str, str, str]]:
        """(actor, action, target) of the audit log, oldest first."""
        rows = await self.audit.page(limit=limit)
        return [(row.actor, row.action, row.target) for row in reversed(rows)]

    async def close(self) -> None:
        await self.admins.close()
        await self.tokens.close()
        await self.app_passwords.close()
