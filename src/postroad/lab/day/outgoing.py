"""Deliveries of the day: what is due is claimed, attempted and recorded, one conversation after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from postroad.config.schema import DeliverySettings
from postroad.delivery.agent import AttemptOutcome, AttemptRequest, Carrier
from postroad.delivery.mx import Hosts
from postroad.delivery.pool import Pool
from postroad.delivery.target import Craft
from postroad.lab.day.ground import Ground
from postroad.lab.day.neighbours import Neighbourhood
from postroad.lab.day.wire import MemoryNetwork
from postroad.ports.handoff import Ownership
from postroad.ports.store import Delivery, Message, QueueEntry
from postroad.queue.bodies import Bodies
from postroad.queue.bounces import Bounces, Manner, Submit
from postroad.queue.results import Results
from postroad.queue.schedule import Schedule
from postroad.routing.directory import Directory
from postroad.routing.routes import Transport

OUR_ADDRESS = "203.0.113.25"
PATIENCE = 30.0  # seconds for a connection
EXPIRE_AFTER = 12 * 3600.0  # so that a day sees messages run out of time
LEASE = timedelta(hours=1)
PAGE = 200


class Round:
    """One destination's requests for one connection. Implements delivery.agent.Feed."""

    def __init__(self, requests: Sequence[AttemptRequest], results: Results) -> None:
        self.waiting = list(requests)
        self._results = results

    def began(self, carrier: Carrier) -> None:
        """The connection stands; it asks by itself."""

    def next(self) -> AttemptRequest | None:
        return self.waiting.pop(0) if self.waiting else None

    def dot_out(self, request: AttemptRequest) -> None:
        """No crash is looked for in the past."""

    def done(self, outcome: AttemptOutcome) -> None:
        request = outcome.request
        self._results.record(request.message, outcome.statuses, outcome.attempt, request.dest)
        if outcome.again:
            self.waiting.insert(0, replace_deliveries(request, outcome.again))

    def untried(self, request: AttemptRequest) -> None:
        self.waiting.insert(0, request)

    def idle(self, carrier: Carrier) -> None:
        carrier.finish()

    def ended(self, carrier: Carrier) -> None:
        """What is left goes on another connection."""


def replace_deliveries(request: AttemptRequest, deliveries: Sequence[Delivery]) -> AttemptRequest:
    return AttemptRequest(request.dest, request.message, list(deliveries), request.content)


class Outgoing:
    """The way out. Implements ports.handoff.Handoff: what is accepted waits in here until `carry`."""

    def __init__(
        self, ground: Ground, neighbourhood: Neighbourhood, network: MemoryNetwork, directory: Directory, submit: Submit
    ) -> None:
        base = ground.base
        settings = day_settings(base.settings.delivery)
        self._ground = ground
        self._network = network
        self._directory = directory
        self._bodies = Bodies(base.store, base.blobs)
        self._handed: list[AttemptRequest] = []
        self.ownership: Ownership  # set by `join`
        self._pool = Pool(
            network,
            Hosts(neighbourhood, ground.random, (base.settings.hostname,)),
            Craft(base.settings.hostname, ground.clock, ground.ids, settings.messages_per_connection, 0.0),
            connect_timeout=PATIENCE,
            source=OUR_ADDRESS,
        )
        self._results = Results(
            base.store,
            Bounces(
                base.store,
                submit,
                self._bodies.read,
                clock=ground.clock,
                ids=ground.ids,
                random=ground.random,
                manner=Manner(base.settings.hostname, settings.dsn_header_only_over),
            ),
            Schedule(settings.retry_waits, settings.expire_after),
            clock=ground.clock,
            ids=ground.ids,
            random=ground.random,
            finished=lambda _: None,
        )

    async def join(self, node: str) -> Ownership:
        """The node that owns what is on its way: the same that will run here later, in an earlier epoch."""
        now = self._ground.clock.now()
        store = self._ground.base.store
        self.ownership = Ownership(*await store.write(lambda tx: tx.nodes.join(node, now=now, lease=LEASE)))
        return self.ownership

    def take(self, message: Message, deliveries: Sequence[Delivery], content: bytes | None) -> None:
        ordered = sorted(deliveries, key=lambda delivery: delivery.dest)
        for dest, group in groupby(ordered, key=lambda delivery: delivery.dest):
            self._handed.append(AttemptRequest(dest, message, list(group), content))

    async def carry(self) -> None:
        """Attempt what was handed over, and what that brings in its turn (reports, for instance)."""
        while self._handed:
            dest = self._handed[0].dest
            requests = [request for request in self._handed if request.dest == dest]
            self._handed = [request for request in self._handed if request.dest != dest]
            await self._attempt(requests)

    async def go_on_until(self, end: datetime) -> None:
        """Attempt what comes due until then, each at its time."""
        past, store, clock = self._ground.past, self._ground.base.store, self._ground.clock
        while True:
            while await self._claim():
                await self.carry()
            due = await store.read(lambda tx: tx.deliveries.next_due(after=clock.now()))
            if due is None or due > end:
                break
            past.reach(due)
        past.reach(end)

    async def _claim(self) -> bool:
        owner, now = self.ownership, self._ground.clock.now()
        entries: list[QueueEntry] = await self._ground.base.store.write(
            lambda tx: tx.deliveries.claim_due(owner.node, owner.epoch, now=now, limit=PAGE, lease=LEASE)
        )
        requests = []
        ordered = sorted(entries, key=lambda entry: (entry.delivery.dest, entry.message.id, entry.delivery.id))
        for (dest, _), group in groupby(ordered, key=lambda entry: (entry.delivery.dest, entry.message.id)):
            members = list(group)
            requests.append(AttemptRequest(dest, members[0].message, [entry.delivery for entry in members]))
        await self._bodies.load(requests)
        self._handed += requests
        return bool(requests)

    async def _attempt(self, requests: list[AttemptRequest]) -> None:
        """All that goes to one destination now."""
        transport = await self._route(requests[0].deliveries[0].forward_path)
        feed = Round(requests, self._results)
        while feed.waiting:
            began = self._ground.clock.now()
            failure = await self._pool.open(transport, feed)
            if failure is not None:
                self._results.unreached(feed.waiting, failure, began)
                feed.waiting.clear()
            await self._network.quiet()
            await self._results.drain()

    async def _route(self, address: str) -> Transport:
        routed = self._directory.route(address.rpartition("@")[2])
        return routed if isinstance(routed, Transport) else await routed


def day_settings(settings: DeliverySettings) -> DeliverySettings:
    """A server's usual patience, whatever the demo is set to."""
    return replace(settings, retry_waits=DeliverySettings().retry_waits, expire_after=EXPIRE_AFTER)
