"""What a node has beneath its listeners: store, blobs, ids, tenants, queue actions; for a server and for a command.

`open_services` is for whoever holds the lock on `data_dir`; reading beside a running server is `app.rows`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postroad.accounts.administration import Administration
from postroad.accounts.admins import Admins
from postroad.accounts.apppasswords import AppPasswords
from postroad.accounts.audit import AuditLog
from postroad.accounts.authenticator import Authenticator
from postroad.accounts.counts import SenderCounts
from postroad.accounts.credentials import Credentials
from postroad.accounts.freezes import Freezes
from postroad.accounts.guesses import Guesses, GuessLimits
from postroad.accounts.logins import Curve, Throttle
from postroad.accounts.ownership import Grants
from postroad.accounts.passwords import SCRAM_MECHANISMS
from postroad.accounts.sending import Sending
from postroad.accounts.tokens import Tokens
from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.adapters.clock import SystemClock
from postroad.adapters.http import AioHttpClient
from postroad.adapters.ids import MAX_NODE, NodeIds
from postroad.adapters.random import SystemRandomness
from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.sql.database import Database, open_database
from postroad.adapters.workers import ThreadWorkers
from postroad.config.schema import Auth, LoginLimits, Settings
from postroad.ports.clock import Clock
from postroad.ports.ids import IdSource
from postroad.ports.random import Random
from postroad.ports.signals import Signals
from postroad.ports.store import StoreUnavailable
from postroad.ports.workers import Workers
from postroad.queue.actions import Actions
from postroad.queue.senders import Senders
from postroad.queue.steady import SteadyClock

if TYPE_CHECKING:
    from postroad.accounts.oauth import OAuth
    from postroad.intake.pipeline import Intake


@dataclass(slots=True)
class Services:
    """What changes are made with. `intake` is there where a server runs."""

    settings: Settings
    store: Database
    blobs: SegmentBlobs
    clock: Clock
    ids: IdSource
    random: Random
    workers: Workers
    signals: Signals
    credentials: Credentials
    administration: Administration
    sending: Sending
    tokens: Tokens
    admins: Admins
    throttle: Throttle
    app_passwords: AppPasswords
    guesses: Guesses
    authenticator: Authenticator
    audit: AuditLog
    actions: Actions
    grants: Grants
    freezes: Freezes
    counts: SenderCounts
    senders: Senders
    steady: SteadyClock  # the clock of the queue
    http: AioHttpClient
    intake: Intake | None = None


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open for writing, migrating the schema where needed. The caller holds the lock. Raises StoreUnavailable."""
    clock = SystemClock()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        store = open_database(settings.storage, settings.data_dir, clock, settings.limits)
        stack.push_async_callback(store.close)
        await store.start()
        number = await _node_number(store, settings, clock)
        store.blobs.node = number
        workers = ThreadWorkers()
        stack.callback(workers.close)
        services = _assemble(settings, store, clock=clock, ids=NodeIds(number), workers=workers)
        await services.freezes.load()
        stack.push_async_callback(services.http.close)
        stack.push_async_callback(services.senders.close)
        stack.push_async_callback(services.admins.close)
        stack.push_async_callback(services.tokens.close)
        stack.push_async_callback(services.app_passwords.close)
        stack.push_async_callback(services.credentials.close)
        yield services


def node_name(settings: Settings) -> str:
    return settings.node or settings.hostname


async def _node_number(store: Database, settings: Settings, clock: Clock) -> int:
    """The number that stands in this node's ids; no two names share one."""
    name = node_name(settings)
    number = await store.write(lambda tx: tx.nodes.number(name, now=clock.now()))
    if number > MAX_NODE:
        raise StoreUnavailable(f"more than {MAX_NODE} nodes have been here; give this one an old one's name (`node`)")
    return number


def _assemble(settings: Settings, store: Database, *, clock: Clock, ids: IdSource, workers: Workers) -> Services:
    random, signals = SystemRandomness(), LocalSignals()
    at_once = settings.limits.passwords_at_once
    wanted = settings.auth.mechanisms
    keys = tuple(mechanism for mechanism in wanted if mechanism.startswith("SCRAM")) or SCRAM_MECHANISMS
    credentials = Credentials(store, workers, clock, random, signals, at_once=at_once, mechanisms=keys)
    app_passwords = AppPasswords(store, credentials, clock=clock, ids=ids, signals=signals, random=random)
    guesses = Guesses(store, clock, ids, guess_limits(settings.logins), exempt=settings.limits.exempt)
    tokens = Tokens(store, clock, signals)
    oauth = make_oauth(settings.auth, clock)
    authenticator = Authenticator(
        store, credentials, guesses, clock, app_passwords=app_passwords, tokens=tokens, oauth=oauth
    )
    throttle = Throttle(store, clock)
    steady = SteadyClock(clock)
    actions = Actions(store, clock=steady, ids=ids, signals=signals)
    freezes = Freezes(store, clock, ids, signals)
    counts = SenderCounts(store, clock, node_name(settings))
    return Services(
        settings,
        store,
        store.blobs,
        clock,
        ids,
        random,
        workers,
        signals,
        credentials,
        Administration(store, credentials, clock, ids, signals),
        Sending(store, clock, ids, signals, random),
        tokens,
        Admins(store, credentials, throttle, clock=clock, ids=ids, signals=signals, random=random),
        throttle,
        app_passwords,
        guesses,
        authenticator,
        AuditLog(store),
        actions,
        Grants(store, clock, ids, signals),
        freezes,
        counts,
        Senders(store, freezes, counts, actions),
        steady,
        AioHttpClient(),
    )


def guess_limits(limits: LoginLimits) -> GuessLimits:
    """How waits grow, as the settings have it."""
    return GuessLimits(
        by_account=Curve(limits.free_by_account, limits.most_by_account),
        by_address=Curve(limits.free_by_address, limits.most_by_address, limits.ban_after, limits.ban),
    )


def make_oauth(auth: Auth, clock: Clock) -> OAuth | None:
    """Who looks into tokens, where there is an issuer."""
    if not auth.oauth_issuer:
        return None
    from postroad.accounts.oauth import OAuth, TokenRules
    from postroad.adapters.openid import OpenIdKeys

    rules = TokenRules(auth.oauth_issuer, auth.oauth_audience, auth.oauth_claim)
    return OAuth(rules, OpenIdKeys(auth.oauth_issuer, clock), clock)


async def postgres_durability(settings: Settings) -> dict[str, str]:
    """The settings of PostgreSQL that decide whether a commit survives a power cut. Raises OSError."""
    import asyncio

    import psycopg

    def ask() -> dict[str, str]:
        with psycopg.connect(settings.storage.database, connect_timeout=10) as connection:
            found = {}
            for name in ("fsync", "synchronous_commit"):
                row = connection.execute(f"SHOW {name}").fetchone()
                found[name] = str(row[0]) if row else ""
            return found

    try:
        return await asyncio.to_thread(ask)
    except psycopg.Error as error:
        raise OSError(str(error).strip()) from error
