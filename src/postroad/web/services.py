"""What the HTTP front ends work with: one record, made by `app`, handed to each sub-application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from postroad.accounts.administration import Administration
from postroad.accounts.admins import Admins
from postroad.accounts.apppasswords import AppPasswords
from postroad.accounts.audit import AuditLog
from postroad.accounts.credentials import Credentials
from postroad.accounts.guesses import Guesses
from postroad.accounts.logins import Throttle
from postroad.accounts.sending import Sending
from postroad.accounts.tokens import Tokens
from postroad.config.schema import Settings
from postroad.intake.pipeline import Intake
from postroad.observe.metrics import Gauge
from postroad.ports.blobs import BlobStore
from postroad.ports.clock import Clock
from postroad.ports.dns import Resolver
from postroad.ports.ids import IdSource
from postroad.ports.random import Random
from postroad.ports.signals import Signals
from postroad.ports.store import Store
from postroad.ports.workers import Workers
from postroad.queue.actions import Actions
from postroad.queue.census import Census
from postroad.queue.senders import Senders
from postroad.reports.live import Live
from postroad.reports.search import Search
from postroad.reports.statistics import Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """One for a process."""

    settings: Settings
    store: Store
    blobs: BlobStore
    intake: Intake
    resolver: Resolver
    credentials: Credentials
    administration: Administration
    sending: Sending
    tokens: Tokens
    app_passwords: AppPasswords
    admins: Admins
    throttle: Throttle
    audit: AuditLog
    actions: Actions
    senders: Senders
    guesses: Guesses
    census: Census
    search: Search
    statistics: Statistics
    live: Live
    clock: Clock
    ids: IdSource
    random: Random
    workers: Workers
    signals: Signals
    not_ready: Callable[[], Awaitable[str]]  # why the node is not ready, or an empty text
    gauges: Callable[[], Awaitable[Sequence[Gauge]]]

    @property
    def hostname(self) -> str:
        return self.settings.hostname
