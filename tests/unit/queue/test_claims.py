"""Claims, actions and the view, on the real rows: who works on what, and what people do about it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.sql.database import open_database
from postroad.config.schema import DeliverySettings, Limits, Storage
from postroad.events.recorder import Recorder
from postroad.mail.status import status
from postroad.ports.attempts import OpenAttempt
from postroad.ports.store import Acceptance, DeliveryState, QueueFilter, Refused, Wish
from postroad.queue import view
from postroad.queue.actions import Actions, Done
from postroad.queue.claims import POISON_AT, SUSPECT_WAIT
from postroad.queue.sender import Outside, Sender
from postroad.routing.routes import RouteSettings, transport
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.network import MemoryNetwork
from postroad.testing.remote import CLOSE, SILENCE, Remote
from postroad.testing.sending import (
    CONTENT,
    CountingIds,
    MemoryStartLog,
    MemoryZone,
    SeededRandom,
    make_delivery,
    make_message,
)

QUEUED, HELD, DELIVERED = DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.DELIVERED


class World:
    """A node's way out on a store; `start` is what the process does, `die` what SIGKILL does."""

    def __init__(self, path):
        self.path, self.clock, self.ids = path, JumpingClock(), CountingIds(10**6)
        self.network, self.zone, self.remote = MemoryNetwork(timers=self.clock), MemoryZone(), Remote()
        self.zone.mx_records["mx.test"] = [(10, "one.mx.test")]
        self.zone.address_records["one.mx.test"] = ["192.0.2.10"]
        self.remote.listen(self.network, "192.0.2.10")
        self.signals, self.log, self.lost = LocalSignals(), MemoryStartLog(), []
        self.recorder = Recorder(self.ids)

    async def __aenter__(self):
        self.store = open_database(Storage(), self.path, self.clock, Limits(min_free=0), ballast=0)
        await self.store.start()
        self.actions = Actions(self.store, clock=self.clock, ids=self.ids, signals=self.signals)
        self.make_sender()
        return self

    async def __aexit__(self, *error):
        await self.store.close()

    def make_sender(self, node="here", way=None, **more):
        outside = Outside(
            self.store,
            self.store.blobs,
            self.network,
            self.zone,
            self.log,
            self.clock,
            self.ids,
            SeededRandom(),
            self.signals,
        )
        self.sender = Sender(
            outside,
            DeliverySettings(),
            hostname="mail.ours.test",
            node=node,
            route=way or (lambda domain: transport(domain, None, RouteSettings())),
            submit=self.submit,
            lost=lambda: self.lost.append(1),
            **more,
        )

    async def submit(self, *_, **__):
        return status(250, "2.0.0", "queued as 0000000000001")

    async def join(self):
        self.owner = await self.sender.join()
        return self.owner

    async def accept(self, number, *paths, owner=None, take=False, due=None):
        """Rows of one message; unowned and due now unless `owner` says otherwise."""
        message = make_message(number, created=self.clock.now())
        deliveries = [make_delivery(number * 1000 + i, message, path) for i, path in enumerate(paths)]
        if owner is None:
            change = {"owner": None, "epoch": 0, "tries": 0, "due": due or self.clock.now()}
        else:
            change = {"owner": owner.node, "epoch": owner.epoch}
        deliveries = [replace(delivery, **change) for delivery in deliveries]
        events = [self.recorder.received(message, len(deliveries))]
        await self.store.accept(Acceptance(message, CONTENT, None, b"", deliveries, events))
        if take:
            self.sender.runner.take(message, deliveries, CONTENT)
        return [delivery.id for delivery in deliveries]

    async def claim(self):
        while await self.sender.claims.claim():
            pass

    async def get(self, delivery):
        return await self.store.read(lambda tx: tx.deliveries.get(delivery))

    async def until(self, condition, turns=400):
        """Real threads write the rows: wait for them, turn by turn."""
        for _ in range(turns):
            if await condition():
                return
            await asyncio.sleep(0.001)
        raise AssertionError("it did not come about")

    async def dot_is_out(self):
        return bool(self.log.open) and all(out for _, out in self.log.open.values())

    async def until_state(self, delivery, state):
        async def reached():
            return (await self.get(delivery)).state is state

        await self.until(reached)


@pytest.fixture
async def world(tmp_path):
    async with World(tmp_path) as made:
        yield made


async def test_unowned_rows_that_are_due_are_claimed_and_delivered(world):
    await world.join()
    one, two = await world.accept(1, "b@mx.test", "c@mx.test")
    (later,) = await world.accept(2, "d@mx.test", due=world.clock.now() + timedelta(hours=1))
    await world.claim()
    await world.until_state(one, DELIVERED)
    await world.until_state(two, DELIVERED)
    assert [taken.recipients for taken in world.remote.taken] == [["b@mx.test", "c@mx.test"]]
    assert world.remote.taken[0].content == CONTENT
    row = await world.get(one)
    assert (row.tries, row.owner) == (1, None)
    assert (await world.get(later)).owner is None
    found = await view.show(world.store, one)
    assert found.attempts[0][0].host == "one.mx.test"
    assert [event.kind for event in found.events][-1] == "delivered"


async def test_recipients_of_a_transaction_that_broke_off_go_one_by_one(world):
    """One of them may be what breaks it, each time."""
    world.remote.answers["."] = lambda _: CLOSE if "RCPT TO:<drop@mx.test>" in world.remote.commands[-4:] else "250 ok"
    await world.join()
    good, drop = await world.accept(1, "good@mx.test", "drop@mx.test")
    await world.claim()

    async def deferred():
        return (await world.get(good)).last_status is not None

    await world.until(deferred)
    assert (await world.get(good)).state is QUEUED
    world.clock._elapsed += 3600
    await world.claim()
    await world.until_state(good, DELIVERED)
    assert (await world.get(drop)).state is QUEUED
    assert [taken.recipients for taken in world.remote.taken] == [["good@mx.test"]]


async def test_a_large_body_is_streamed_from_its_file(world):
    content = b"Subject: big\r\n\r\n" + (b"x" * 998 + b"\r\n") * 400
    await world.join()
    message = make_message(1, size=len(content))
    writer = world.store.blobs.create(message.blob, b"")
    for start in range(0, len(content), 65536):
        await writer.write(content[start : start + 65536])
    delivery = replace(make_delivery(1, message, "b@mx.test"), owner=None, tries=0, due=world.clock.now())
    events = [world.recorder.received(message, 1)]
    await world.store.accept(Acceptance(message, None, await writer.finish(), b"", [delivery], events))
    await world.claim()
    await world.until_state(delivery.id, DELIVERED)
    assert world.remote.taken[0].content == content


async def test_a_message_without_its_content_waits(world):
    await world.join()
    (one,) = await world.accept(1, "b@mx.test")
    world.sender.claims._store.blobs.read_many = None  # the disk is in trouble
    await world.claim()

    async def deferred():
        return (await world.get(one)).last_status is not None

    await world.until(deferred)
    row = await world.get(one)
    assert (row.state, row.last_status.text) == (QUEUED, "the message cannot be read from the disk now")


async def test_a_claim_is_written_before_the_attempt(world):
    world.remote.answers["."] = SILENCE
    await world.join()
    (one,) = await world.accept(1, "b@mx.test")
    await world.claim()
    row = await world.get(one)
    assert (row.owner, row.tries) == (world.owner.node, 1)
    assert row.due == world.clock.now() + timedelta(hours=1)


async def test_after_a_death_our_own_rows_are_taken_back(world):
    first = await world.join()
    (one,) = await world.accept(1, "b@mx.test", owner=first)
    world.log = MemoryStartLog([OpenAttempt(one, True, 1)])
    world.make_sender()
    second = await world.join()
    assert (second.node, second.epoch) != (first.node, first.epoch)
    assert "possibly sent twice" in (await world.get(one)).last_status.text
    await world.claim()
    await world.until_state(one, DELIVERED)
    assert (await world.get(one)).tries == 2


async def test_what_killed_us_three_times_in_a_row_is_held(world):
    first = await world.join()
    poison, twice, fine = await world.accept(1, "p@mx.test", "t@mx.test", "f@mx.test", owner=first)
    world.log = MemoryStartLog([OpenAttempt(poison, False, POISON_AT), OpenAttempt(twice, False, POISON_AT - 1)])
    world.make_sender()
    await world.join()
    await world.claim()
    await world.until_state(poison, HELD)
    await world.until_state(fine, DELIVERED)
    assert (await world.get(poison)).held_for.startswith("poison")
    assert (await world.get(twice)).state is QUEUED  # it waits a little, in case restarts are merely quick
    await world.clock.advance(SUSPECT_WAIT + 1)
    await world.until_state(twice, DELIVERED)
    assert world.log.settled == [poison]


async def test_rows_of_a_dead_node_fall_due_for_others(world):
    dead = await world.join()
    (one,) = await world.accept(1, "b@mx.test", owner=dead)
    world.clock._elapsed += 120
    world.make_sender(node="other")
    await world.join()
    await world.sender.claims.renew()
    await world.claim()
    await world.until_state(one, DELIVERED)


async def test_who_lost_its_name_stops(world):
    await world.join()
    other = world.sender
    world.make_sender()
    await world.join()  # a second process with the same name
    await other.claims.renew()
    assert world.lost == [1]
    assert other.runner.room == 0
    await world.sender.claims.renew()
    assert world.lost == [1]


async def test_a_forgotten_hand_over_is_found_at_the_second_look(world):
    owner = await world.join()
    (one,) = await world.accept(1, "b@mx.test", owner=owner)
    await world.sender.claims.sweep()
    assert not world.sender.runner.knows(one)  # it may be on its way from the commit
    await world.sender.claims.sweep()
    await world.until_state(one, DELIVERED)


async def test_the_whole_loop_by_signal(world):
    await world.join()
    running = asyncio.ensure_future(world.sender.run())
    await asyncio.sleep(0.01)
    (one,) = await world.accept(1, "b@mx.test")
    world.signals.publish("queue")
    await world.until_state(one, DELIVERED)
    await world.sender.stop(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# --- by hand ---


async def test_hold_release_and_cancel_unowned_rows(world):
    (one,) = await world.accept(1, "b@mx.test")
    where = QueueFilter(delivery=one)
    assert await world.actions.hold(where, "anna", dry_run=True) == Done(1, 0)
    assert (await world.get(one)).state is QUEUED
    assert await world.actions.hold(where, "anna") == Done(1, 0)
    assert (await world.get(one)).state is HELD
    assert await world.actions.hold(where, "anna") == Done()
    assert await world.actions.retry(where, "anna") == Done()  # what is held wants a release
    assert await world.actions.release(where, "anna") == Done(1, 0)
    assert (await world.get(one)).due == world.clock.now()
    assert await world.actions.cancel(where, "anna") == Done(1, 0)
    found = await view.show(world.store, 1)
    assert found.deliveries[0].state is DeliveryState.CANCELLED
    assert [(event.kind, event.detail.get("by")) for event in found.events[1:]] == [
        ("held", None),
        ("released", "anna"),
        ("cancelled", "anna"),
    ]


async def test_retry_makes_a_deferred_row_due_now(world):
    (one,) = await world.accept(1, "b@mx.test", due=world.clock.now() + timedelta(hours=3))
    assert await world.actions.retry(QueueFilter(domain="mx.test"), "anna") == Done(1, 0)
    await world.join()
    await world.claim()
    await world.until_state(one, DELIVERED)


async def test_an_owned_row_gets_a_wish_that_its_owner_applies(world):
    world.remote.answers["."] = SILENCE
    owner = await world.join()
    (flying,) = await world.accept(1, "b@mx.test", owner=owner, take=True)
    assert await world.actions.hold(QueueFilter(delivery=flying), "anna") == Done(0, 1)
    assert (await world.get(flying)).wish is Wish.HOLD
    await world.until(world.dot_is_out)
    await world.sender.claims._apply_wishes()
    world.network.pairs[0][1].write(b"451 4.3.0 later\r\n")
    await world.until_state(flying, HELD)


async def test_many_rows_go_in_slices(world, monkeypatch):
    monkeypatch.setattr("postroad.queue.actions.SLICE", 3)
    ids = await world.accept(1, *(f"r{number}@mx.test" for number in range(10)))
    assert await world.actions.cancel(QueueFilter(message=1), "anna") == Done(10, 0)
    assert {(await world.get(one)).state for one in ids} == {DeliveryState.CANCELLED}


async def test_list_and_summary(world):
    await world.accept(1, "b@mx.test", "c@other.test")
    entries = await view.list_queue(world.store, QueueFilter(domain="mx.test"))
    assert [entry.delivery.forward_path for entry in entries] == ["b@mx.test"]
    assert {line.dest: line.queued for line in await view.summary(world.store)} == {"mx:mx.test": 1, "mx:other.test": 1}
    assert await view.show(world.store, 999) is None
    assert (await view.show(world.store, entries[0].delivery.id)).message.id == 1


async def test_a_stale_owner_changes_no_row(world):
    world.remote.answers["."] = SILENCE
    owner = await world.join()
    (one,) = await world.accept(1, "b@mx.test", owner=owner, take=True)
    await world.until(world.dot_is_out)
    world.make_sender()
    new = await world.join()
    lease = timedelta(hours=1)
    await world.store.write(
        lambda tx: tx.deliveries.take_back(new.node, new.epoch, now=world.clock.now(), limit=10, lease=lease)
    )
    world.network.pairs[0][1].write(b"250 taken\r\n")

    async def told():
        return not world.log.open

    await world.until(told)
    row = await world.get(one)
    assert (row.state, row.owner, row.epoch) == (QUEUED, new.node, new.epoch)


class TestByHand:
    async def test_what_is_returned_goes_back_with_a_report(self, world):
        await world.join()
        waiting, held = await world.accept(1, "b@mx.test", "c@mx.test", due=world.clock.now() + timedelta(hours=1))
        await world.actions.hold(QueueFilter(delivery=held), "carol")
        done = await world.actions.act("bounce", QueueFilter(), "carol")
        assert done == Done(changed=2)
        await world.claim()
        await world.until_state(waiting, DeliveryState.BOUNCED)
        await world.until_state(held, DeliveryState.BOUNCED)
        assert world.remote.taken == []

    async def test_another_way_by_hand(self, world):
        other = Remote()
        other.listen(world.network, "192.0.2.77", 2525)
        await world.join()
        (waiting,) = await world.accept(1, "b@mx.test")
        done = await world.actions.act("reroute", QueueFilter(domain="mx.test"), "carol", to="192.0.2.77:2525")
        assert done == Done(changed=1)
        assert (await world.get(waiting)).dest == "to:192.0.2.77:2525"
        await world.claim()
        await world.until_state(waiting, DELIVERED)
        assert (len(other.taken), len(world.remote.taken)) == (1, 0)

    async def test_what_waits_in_memory_is_let_go_for_another_way(self, world):
        world.remote.answers["RCPT"] = SILENCE
        other = Remote()
        other.listen(world.network, "192.0.2.77", 2525)
        owner = await world.join()
        await world.accept(1, "b@mx.test", owner=owner, take=True)
        (second,) = await world.accept(2, "c@mx.test", owner=owner, take=True)
        await settle(50)
        done = await world.actions.act("reroute", QueueFilter(delivery=second), "carol", to="192.0.2.77:2525")
        assert done == Done(asked=1)
        await world.sender.claims._apply_wishes()
        await world.sender.results.drain()
        await world.claim()
        await world.until_state(second, DELIVERED)
        assert [taken.recipients for taken in other.taken] == [["c@mx.test"]]

    @pytest.mark.parametrize("way", ["", "nonsense here", "smtp://user:secret@relay.test"])
    async def test_no_way_at_all_is_refused(self, world, way):
        with pytest.raises(Refused):
            await world.actions.act("reroute", QueueFilter(), "carol", to=way)
