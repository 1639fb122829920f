"""A wall clock that is set a year ahead, an hour back, or runs wrong, in the middle of a full queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.sql.database import open_database
from postroad.config.schema import DeliverySettings, Limits, Storage
from postroad.events.recorder import Recorder
from postroad.mail.status import status
from postroad.ports.store import Acceptance, QueueFilter
from postroad.queue.actions import Actions
from postroad.queue.sender import Outside, Sender
from postroad.queue.steady import SteadyClock
from postroad.routing.routes import RouteSettings, transport
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.network import MemoryNetwork
from postroad.testing.remote import Remote
from postroad.testing.sending import (
    CONTENT,
    CountingIds,
    MemoryStartLog,
    MemoryZone,
    SeededRandom,
    make_delivery,
    make_message,
)

MESSAGES, DOMAINS = 30, 3
YEAR = timedelta(days=365)


class WrongClock(JumpingClock):
    def __init__(self):
        super().__init__()
        self.off, self.drift, self._since = timedelta(), 0.0, 0.0

    def now(self):
        return super().now() + self.off + timedelta(seconds=(self.monotonic() - self._since) * self.drift)

    def run_wrong(self, drift):
        self.drift, self._since = drift, self.monotonic()


class World:
    """A node's way out with a queue that nobody takes; `step` is some time in which it works."""

    def __init__(self, store, clock):
        self.store, self.clock, self.ids = store, clock, CountingIds(10**6)
        self.network, zone, self.remote = MemoryNetwork(timers=clock), MemoryZone(), Remote({"RCPT": "451 4.3.0 later"})
        for number in range(DOMAINS):
            zone.mx_records[f"d{number}.test"] = [(10, "mx.hoster.test")]
        zone.address_records["mx.hoster.test"] = ["192.0.2.10"]
        self.remote.listen(self.network, "192.0.2.10")
        self.steady, self.rings, self.reports = SteadyClock(clock), [], []
        self.steady.rang = self.rings.append
        random, signals = SeededRandom(), LocalSignals()
        self.actions = Actions(store, clock=self.steady, ids=self.ids, signals=signals)
        outside = Outside(
            store, store.blobs, self.network, zone, MemoryStartLog(), clock, self.ids, random, signals
        )  # fmt: skip
        self.sender = Sender(
            outside, DeliverySettings(warn_after=86400.0), hostname="mail.ours.test", node="here",
            route=lambda domain, direct=False: transport(domain, None, RouteSettings(), direct=direct),
            submit=self.submit, lost=lambda: None, steady=self.steady,
        )  # fmt: skip

    async def submit(self, *report, **_):
        self.reports.append(report)
        return status(250, "2.0.0", "queued as 0000000000001")

    async def fill(self):
        owner, recorder = await self.sender.join(), Recorder(self.ids)
        for number in range(1, MESSAGES + 1):
            message = make_message(number, created=self.clock.now())
            delivery = make_delivery(number * 1000, message, f"b@d{number % DOMAINS}.test")
            delivery = replace(delivery, owner=owner.node, epoch=owner.epoch)
            await self.store.accept(
                Acceptance(message, CONTENT, None, b"", [delivery], [recorder.received(message, 1)])
            )
            self.sender.runner.take(message, [delivery], CONTENT)

    async def work(self, hours):
        for _ in range(int(hours * 6)):
            await self.clock.advance(600)
            for _ in range(8):
                await asyncio.sleep(0.0005)  # rows are read and written by threads
                await settle(20)

    async def states(self):
        entries = await self.store.read(lambda tx: tx.deliveries.queue(QueueFilter(), limit=1000))
        return Counter(str(entry.delivery.state) for entry in entries), [entry.delivery for entry in entries]


@pytest.fixture
async def world(tmp_path):
    clock = WrongClock()
    store = open_database(Storage(), tmp_path, clock, Limits(min_free=0), ballast=0)
    await store.start()
    world = World(store, clock)
    await world.fill()
    running = asyncio.ensure_future(world.sender.run())
    try:
        await world.work(0.5)
        yield world
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await world.sender.stop(0)
        await store.close()


def a_year_ahead(clock):
    clock.off = YEAR


def an_hour_back(clock):
    clock.off = -timedelta(hours=1)


def drifting(clock):
    clock.run_wrong(0.5)


@pytest.mark.parametrize("wrong", [a_year_ahead, an_hour_back, drifting])
async def test_nothing_expires_nothing_bounces_and_the_alarm_rings(world, wrong):
    wrong(world.clock)
    await world.work(1.5)
    states, deliveries = await world.states()
    assert states == {"queued": MESSAGES}
    assert world.reports == []
    assert len(world.rings) == 1
    assert max(delivery.tries for delivery in deliveries) > 3, "it goes on trying meanwhile"
    world.clock.off, world.clock.drift = timedelta(), 0.0
    world.remote.answers.clear()
    await world.actions.retry(QueueFilter(), "carol")
    await world.work(0.34)
    assert (await world.states())[0] == {}
    assert sum(len(taken.recipients) for taken in world.remote.taken) == MESSAGES
    assert world.steady.jump is None


async def test_a_restart_with_a_wrong_clock_gives_nothing_up(world):
    """What time it was is on the disk; a clock that is far from that is not believed."""
    await world.work(0.5)
    world.clock.off = YEAR
    world.sender.claims._taking_back = True
    again = World(world.store, world.clock)
    await again.sender.join()
    again.steady.now()
    assert len(again.rings) == 1
    assert again.steady.now() - world.steady.now() < timedelta(minutes=11)
