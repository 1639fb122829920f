"""A queue longer than what is held in memory, half of whose destinations fail: the small form of `bench queue`."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from msgspec.structs import replace

from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.sql.database import open_database
from postroad.config.schema import DeliverySettings, Limits, Storage
from postroad.events.recorder import Recorder
from postroad.mail.status import status
from postroad.ports.store import Acceptance
from postroad.queue.sender import Outside, Sender
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

DESTINATIONS, EACH = 40, 30
IN_MEMORY, RESERVED = 120, 20


class World:
    """Every second destination fails: it is gone, or it refuses for now."""

    def __init__(self, store, clock):
        self.store, self.clock, self.ids = store, clock, CountingIds(10**6)
        self.network, self.zone = MemoryNetwork(timers=clock), MemoryZone()
        self.takes, self.refuses = Remote(), Remote({"RCPT": "451 4.3.0 later"})
        self.takes.listen(self.network, "192.0.2.10")
        self.refuses.listen(self.network, "192.0.2.11")
        for number in range(DESTINATIONS):
            address = "192.0.2.10" if number % 2 == 0 else "192.0.2.11" if number % 4 == 1 else "192.0.2.12"
            self.zone.mx_records[f"d{number}.test"] = [(10, f"mx.d{number}.test")]
            self.zone.address_records[f"mx.d{number}.test"] = [address]
        outside = Outside(
            store, store.blobs, self.network, self.zone, MemoryStartLog(), clock, self.ids, SeededRandom(),
            LocalSignals(),
        )  # fmt: skip
        self.sender = Sender(
            outside, DeliverySettings(), hostname="mail.ours.test", node="here",
            route=lambda domain, direct=False: transport(domain, None, RouteSettings(), direct=direct),
            submit=self.submit, lost=lambda: None,
        )  # fmt: skip
        self.recorder, self.number = Recorder(self.ids), 0

    async def submit(self, *_, **__):
        return status(250, "2.0.0", "queued as 0000000000001")

    async def accept(self, paths, **change):
        self.number += 1
        message = make_message(self.number, created=self.clock.now())
        deliveries = [
            replace(make_delivery(self.number * 1000 + at, message, path), **change) for at, path in enumerate(paths)
        ]
        events = [self.recorder.received(message, len(deliveries))]
        await self.store.accept(Acceptance(message, CONTENT, None, b"", deliveries, events))
        return message, deliveries

    async def work(self, turns):
        for _ in range(turns):
            await self.clock.advance(1)
            await asyncio.sleep(0.0005)  # rows are read and written by threads
            await settle(10)


@pytest.fixture
async def world(tmp_path, monkeypatch):
    monkeypatch.setattr("postroad.queue.runner.MAX_READY", IN_MEMORY)
    monkeypatch.setattr("postroad.queue.runner.RESERVED", RESERVED)
    monkeypatch.setattr("postroad.queue.runner.SHARE", 4)
    clock = JumpingClock()
    store = open_database(Storage(), tmp_path, clock, Limits(min_free=0), ballast=0)
    await store.start()
    yield World(store, clock)
    await store.close()


async def test_what_fails_holds_up_nothing_and_memory_stays_bounded(world):
    for number in range(EACH):
        paths = [f"u{number}@d{domain}.test" for domain in range(DESTINATIONS)]
        await world.accept(paths, owner=None, epoch=0, tries=0, due=world.clock.now())
    owner = await world.sender.join()
    running = asyncio.ensure_future(world.sender.run())
    most, waits = 0, []
    try:
        for second in range(60):
            most = max(most, len(world.sender.runner._known))
            if second % 6 == 3:
                before = len(world.takes.taken)
                fresh = f"fresh{second}@d0.test"
                message, deliveries = await world.accept([fresh], owner=owner.node, epoch=owner.epoch)
                world.sender.runner.take(message, deliveries, CONTENT)
                await settle(40)
                waits.append(any(fresh in one.recipients for one in world.takes.taken[before:]))
            await world.work(1)
        for _ in range(60):
            await world.work(2)
            if sum(len(one.recipients) for one in world.takes.taken) >= DESTINATIONS // 2 * EACH + len(waits):
                break
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await world.sender.stop(0)
    assert most <= IN_MEMORY
    assert all(waits), "a new message to a healthy destination goes at once, without a tick of the clock"
    taken = Counter(path.partition("@")[2] for one in world.takes.taken for path in one.recipients)
    assert {taken[f"d{number}.test"] for number in range(2, DESTINATIONS, 2)} == {EACH}
    summary = await world.store.read(lambda tx: tx.deliveries.summary())
    assert {part.dest for part in summary} == {f"mx:d{number}.test" for number in range(1, DESTINATIONS, 2)}
    assert {part.queued for part in summary} == {EACH}
