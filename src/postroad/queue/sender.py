"""The way out as one thing: runner, claims, results, bounces and the delivery agents, put together and run.

`app.build` gives it the ports; whoever runs it calls `join`, then `run` in a task, then `stop`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from postroad.accounts.freezes import TOPIC as FREEZES
from postroad.config.schema import DeliverySettings, PoolSettings, ProviderSettings, RetrySettings, RouteRule
from postroad.delivery.feedback import Feedback
from postroad.delivery.mailbox import MailboxAgent
from postroad.delivery.mx import Hosts
from postroad.delivery.names import unnamed
from postroad.delivery.policy import Policies
from postroad.delivery.pool import Pool
from postroad.delivery.providers import load_providers
from postroad.delivery.rewriting import Rewriter
from postroad.delivery.sources import Sources
from postroad.delivery.target import Craft
from postroad.delivery.tlsresults import TlsResults
from postroad.observe import log
from postroad.ports.attempts import StartLog
from postroad.ports.blobs import BlobStore
from postroad.ports.clock import Clock
from postroad.ports.dns import Resolver
from postroad.ports.handoff import Ownership
from postroad.ports.ids import IdSource
from postroad.ports.net import Dialer, Endpoint
from postroad.ports.random import Random
from postroad.ports.senders import Holding
from postroad.ports.signals import Signals
from postroad.ports.store import Store
from postroad.ports.workers import Workers
from postroad.queue.advice import Advice
from postroad.queue.bodies import Bodies
from postroad.queue.bounces import Bounces, Manner, Submit
from postroad.queue.claims import Claims
from postroad.queue.history import History
from postroad.queue.results import Results
from postroad.queue.runner import Caps, Runner
from postroad.queue.schedule import Schedules, usual_schedule
from postroad.queue.steady import SteadyClock
from postroad.routing.returns import ReturnAddresses
from postroad.routing.rules import ByDomain, Router

_log = log.get("queue")

GRACE = 10.0  # seconds that attempts under way get when we stop
WRITE_GRACE = 5.0  # seconds that their outcomes get


@dataclass(frozen=True, slots=True)
class Outside:
    """The ports that sending needs."""

    store: Store
    blobs: BlobStore
    dialer: Dialer
    resolver: Resolver
    start_log: StartLog
    clock: Clock
    ids: IdSource
    random: Random
    signals: Signals
    workers: Workers | None = None  # none: large messages are rewritten on the loop


@dataclass(frozen=True, slots=True)
class Ways:
    """What the settings say beside `[delivery]`."""

    routes: tuple[RouteRule, ...] = ()
    providers: tuple[ProviderSettings, ...] = ()
    retries: tuple[RetrySettings, ...] = ()
    pools: tuple[PoolSettings, ...] = ()
    addresses: tuple[str, ...] = ()  # of this machine, that the system chooses where no pool says


USUAL_WAYS = Ways()


class Sender:
    """One for a process that has the role `sender`. `runner` is the Handoff for what is accepted here."""

    def __init__(
        self,
        outside: Outside,
        settings: DeliverySettings,
        *,
        hostname: str,
        node: str,
        route: ByDomain,
        submit: Submit,
        lost: Callable[[], None],
        own_names: Sequence[str] = (),
        freezes: Holding | None = None,
        policies: Policies | None = None,
        tls_results: TlsResults | None = None,
        is_own: Callable[[Endpoint], bool] = lambda _: False,
        returns: ReturnAddresses | None = None,
        feedback: Feedback | None = None,
        suppressed: Callable[[], None] = lambda: None,
        ways: Ways = USUAL_WAYS,
        steady: Clock | None = None,
    ) -> None:
        """`route` is routing.directory.Directory.route, `ways` what the settings say about routes, providers and
        retries, `steady` the clock of the queue (queue.steady); `submit` intake.pipeline.Intake.submit_local.
        `returns` makes our return addresses, `feedback` reads what comes to them, `suppressed` hears of who gets
        nothing more."""
        clock, ids, random = outside.clock, outside.ids, outside.random
        craft = Craft(
            hostname,
            clock,
            ids,
            settings.messages_per_connection,
            settings.idle_timeout,
            settings.eight_bit == "convert",
            Rewriter(settings.convert_limit, outside.workers),
            returns.sender if returns is not None else None,
        )
        self._resolver, self._addresses = outside.resolver, ways.addresses
        self._hosts = Hosts(outside.resolver, random, (hostname, *own_names), is_own)
        self._sources = Sources.read(ways.pools, settings.source_address)
        pool = Pool(
            outside.dialer,
            self._hosts,
            craft,
            connect_timeout=settings.connect_timeout,
            source=settings.source_address,
            policies=policies,
            results=tls_results,
        )
        bodies = Bodies(outside.store, outside.blobs)
        caps = Caps(settings.connections, settings.max_recipients, settings.max_connections)
        router = Router(route, ways.routes, settings.smarthost, self._waiting)
        steady = steady or SteadyClock(clock)
        mailboxes = MailboxAgent(outside.store, outside.blobs, clock, outside.signals, outside.workers)
        self.runner = Runner(
            bodies,
            pool,
            router.route,
            outside.start_log,
            clock=clock,
            ids=ids,
            random=random,
            caps=caps,
            mailboxes=mailboxes,
            providers=load_providers(ways.providers),
            sources=self._sources,
        )
        self.runner.reroutes = bool(ways.routes)
        self.bounces = Bounces(
            outside.store,
            submit,
            bodies.read,
            clock=clock,
            ids=ids,
            random=random,
            manner=Manner(hostname, settings.dsn_header_only_over, settings.dsn_to_strangers, settings.dsn_per_hour),
        )
        usual = usual_schedule(settings)
        self.results = Results(
            outside.store,
            self.bounces,
            usual,
            clock=clock,
            ids=ids,
            random=random,
            finished=self.runner.finished,
            steady=steady,
        )
        self.results.advice = Advice(Schedules(usual, ways.retries), self.runner.groups, router.other_way)
        self.runner.write_to(self.results)
        self.runner.freezes = freezes
        self.runner.feedback = feedback
        self.results.suppressed = suppressed
        if freezes is not None:
            self.results.frozen = freezes.why
        outside.signals.listen(FREEZES, self.runner.hold_frozen)
        self.claims = Claims(
            outside.store,
            self.runner,
            self.results,
            outside.start_log,
            clock=steady,
            signals=outside.signals,
            node=node,
            lost=lost,
        )
        self.history = History(outside.store, self.runner.groups, steady)
        self._clock = clock

    def _waiting(self, dest: str) -> int:
        return self.runner.waiting(dest)

    async def join(self) -> Ownership:
        """Become a node that sends: then `intake.hand_to(sender.runner, ownership)`."""
        ownership = await self.claims.join()
        await self.claims.recover()
        return ownership

    async def run(self) -> None:
        """Until cancelled; call `stop` afterwards."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.runner.run())
            group.create_task(self.claims.run())
            group.create_task(self.history.run())
            await self._look_at_names()

    async def _look_at_names(self) -> None:
        """Addresses of ours that have no name in DNS are not used where there are others."""
        for address in await unnamed(self._resolver, [*self._sources.addresses, *self._addresses]):
            _log.warning("an address to send from has no name (PTR), and is not used", address=address)
            self._sources.forget(address)
            if address in self._addresses and ":" in address:
                self._hosts.avoids_v6 = True

    async def stop(self, grace: float = GRACE) -> None:
        """Finish or give back what is in flight, then write all outcomes. The store must still be there."""
        await self.runner.stop(grace)
        late = asyncio.ensure_future(self._clock.sleep(WRITE_GRACE))
        drained = asyncio.ensure_future(self._drain())
        await asyncio.wait((late, drained), return_when=asyncio.FIRST_COMPLETED)
        late.cancel()
        drained.cancel()
        await self.results.close()
        await self.bounces.close()

    async def _drain(self) -> None:
        await self.results.drain()
        await self.bounces.drain()
