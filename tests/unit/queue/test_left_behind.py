"""What must not stop the queue, nor be passed over by it: rare moments between claims, rules and results."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs
from tests.unit.queue.test_claims import World
from tests.unit.queue.test_runner import World as RunnerWorld

from postroad.adapters.sql.repositories.deliveries import Deliveries
from postroad.config.schema import RouteRule
from postroad.delivery.agent import AttemptRequest, OpenFailure
from postroad.delivery.providers import Providers
from postroad.mail.status import status
from postroad.mail.terms import Terms
from postroad.ports.store import DeliveryState, QueueFilter, StoreUnavailable
from postroad.queue import claims, groups, runner
from postroad.queue.fair import Ready
from postroad.queue.groups import Groups
from postroad.queue.pacing import Rest
from postroad.queue.sender import Ways
from postroad.routing.routes import RouteSettings, Transport, TransportKind, transport
from postroad.testing.clock import settle
from postroad.testing.remote import SILENCE
from postroad.testing.sending import make_delivery, make_message

QUEUED = DeliveryState.QUEUED
ROUTED = Ways(routes=(RouteRule(via=("192.0.2.10:25",)),))


@pytest.fixture
async def world(tmp_path):
    async with World(tmp_path) as made:
        yield made


async def test_a_store_that_fails_while_the_time_is_noted_ends_nothing(world, monkeypatch):
    await world.join()
    write, calls = world.store.write, []

    async def failing(work, **more):
        calls.append(1)
        if len(calls) == 3:  # lease, rows of the dead, and then the time
            raise StoreUnavailable("the disk is full")
        return await write(work, **more)

    monkeypatch.setattr(world.store, "write", failing)
    await world.sender.claims.renew()
    assert len(calls) == 3
    await world.sender.claims.renew()
    assert len(calls) == 6  # noted as soon as that goes


def test_an_unreadable_one_of_high_rank_leaves_the_others():
    ready = Ready()
    requests = []
    for number, terms in enumerate((None, Terms(priority=5)), 1):
        message = structs.replace(make_message(number), terms=terms)
        requests.append(AttemptRequest("mx:b.test", message, [make_delivery(number, message, "x@b.test")]))
        ready.append(requests[-1])
    ready.remove(requests[1])
    assert ready[0] is requests[0]
    assert ready.popleft() is requests[0]
    assert len(ready) == 0


async def test_a_full_next_hop_is_not_claimed_for_again_and_again(world, monkeypatch):
    monkeypatch.setattr(runner, "MAX_READY", 40)
    monkeypatch.setattr(runner, "RESERVED", 4)
    monkeypatch.setattr(runner, "SHARE", 1)
    monkeypatch.setattr(claims, "PAGE", 10)
    world.remote.answers["RCPT"] = SILENCE
    world.make_sender(ways=ROUTED)
    await world.join()
    for number in range(1, 50):
        await world.accept(number, f"b@domain{number}.test")
    pages = 0
    while await world.sender.claims.claim():
        await world.sender.results.drain()
        pages += 1
        assert pages < 30, "what was given back is claimed again without an end"
    assert len(world.sender.runner._known) > 20


async def test_another_way_by_hand_outlives_what_is_under_way(world):
    world.remote.answers["RCPT"] = SILENCE
    world.make_sender(ways=ROUTED)
    owner = await world.join()
    (one,) = await world.accept(1, "b@mx.test", owner=owner, take=True)
    await settle(60)
    await world.actions.act("reroute", QueueFilter(delivery=one), "carol", to="192.0.2.77:2525")
    await world.sender.claims._apply_wishes()
    await world.clock.advance(3600)

    async def deferred():
        return (await world.get(one)).last_status is not None

    await world.until(deferred)
    row = await world.get(one)
    assert (row.state, row.dest) == (QUEUED, "to:192.0.2.77:2525")
    assert row.due <= world.clock.now() + timedelta(seconds=1)


async def test_a_row_that_was_locked_while_others_were_taken_back_is_not_passed_over(world, monkeypatch):
    """PostgreSQL skips what another transaction has locked."""
    world.remote.answers["RCPT"] = SILENCE
    owner = await world.join()
    first, second = await world.accept(1, "b@mx.test", "c@mx.test", owner=owner)
    world.make_sender()
    again = await world.join()
    take_back, passes = Deliveries.take_back, []

    def skipping(self, *owner, after=None, **more):
        passes.append(after)
        return take_back(self, *owner, after=max(after or 0, first) if len(passes) == 1 else after, **more)

    monkeypatch.setattr(Deliveries, "take_back", skipping)
    await world.claim()
    for delivery in (first, second):
        assert (await world.get(delivery)).epoch == again.epoch


class TestNoWay:
    def send_by(self, world, error):
        def route(domain, direct=False):
            if domain == "bad.test":
                raise error
            return transport(domain, None, RouteSettings(), direct=direct)

        world.make_sender(ways=Ways(routes=(RouteRule(domain="other.test", via=("mx",)),)), way=route)

    async def let_go(self, world, delivery):
        async def unowned():
            return (await world.get(delivery)).owner is None

        await world.until(unowned)
        return await world.get(delivery)

    async def test_one_that_none_is_found_for_stops_no_other(self, world):
        self.send_by(world, ValueError("no such thing"))
        await world.join()
        (bad,) = await world.accept(1, "b@bad.test")
        (good,) = await world.accept(2, "b@mx.test")
        await world.claim()
        await world.until_state(good, DeliveryState.DELIVERED)
        row = await self.let_go(world, bad)
        assert (row.state, row.last_status.reply_code, row.dest) == (QUEUED, 451, "mx:bad.test")

    @pytest.mark.parametrize("error", [ValueError("no such thing"), StoreUnavailable("gone")])
    async def test_what_was_just_accepted_is_let_go(self, world, error):
        self.send_by(world, error)
        (bad,) = await world.accept(1, "b@bad.test", owner=await world.join(), take=True)
        assert (await self.let_go(world, bad)).state is QUEUED


@pytest.mark.parametrize("wish", ["", "!requiretls"])
@pytest.mark.parametrize(("dest", "kind"), [("mx:a.test", TransportKind.MX), ("host:a.test:25", TransportKind.HOST)])
def test_a_pooled_group_is_found_again(dest, kind, wish):
    known = Groups(Providers(()), 10)
    hop = Transport(kind, f"{dest}#bulk{wish}", "a.test", 25, pool="bulk")
    assert known.find(hop.dest) is None
    assert known.of(hop, ["mx.hoster.test"]) is known.find(hop.dest)


class TestRests:
    def test_those_with_the_same_hosts_rest_together_whatever_their_order(self):
        group = Groups(Providers(()), 10).of(transport("a.test", None, RouteSettings()), ["b.mx.test", "a.mx.test"])
        own = Rest()
        assert group.rest_of(("b.mx.test", "a.mx.test"), own) is own
        assert group.rest_of(("a.mx.test", "b.mx.test"), Rest()) is own

    def test_only_so_many_are_remembered(self):
        """Microsoft has a host of its own for each domain."""
        group = Groups(Providers(()), 10).of(transport("a.test", None, RouteSettings()), ["mx.hoster.test"])
        resting = Rest(1, 10.0, OpenFailure(status(451, "4.4.1", "gone")))
        group.rest_of(("resting.mx.test",), resting)
        for number in range(groups.RESTS_KEPT * 3):
            group.rest_of((f"d{number}.mx.test",), Rest())
        assert len(group.rests) <= groups.RESTS_KEPT
        assert group.rest_of(("resting.mx.test",), Rest()) is resting

    def test_nor_of_those_that_all_rest(self):
        group = Groups(Providers(()), 10).of(transport("a.test", None, RouteSettings()), ["mx.hoster.test"])
        for number in range(groups.RESTS_KEPT * 3):
            group.rest_of((f"d{number}.mx.test",), Rest(1, 10.0, OpenFailure(status(451, "4.4.1", "gone"))))
        assert len(group.rests) <= groups.RESTS_KEPT


class TestStubborn:
    @pytest.mark.parametrize("answers", [{"RCPT": "451 4.7.28 unusual rate of mail"}, {"": "421 4.7.0 too many"}])
    async def test_what_a_provider_never_takes_does_not_wait_in_memory_for_months(self, answers):
        world = RunnerWorld()
        world.remote.answers |= answers
        waiting = [delivery for _ in range(50) for delivery in world.take("b@mx.test")]
        for _ in range(20):
            await world.tick()
            await world.clock.advance(60)
        for _ in range(3):
            await world.tick()
        assert all(world.state(delivery) is QUEUED for delivery in waiting)
        assert world.runner.waiting("mx:mx.test") == 0
        assert not world.runner._known

    async def test_thousands_are_put_off_by_turns(self, monkeypatch):
        monkeypatch.setattr(runner, "SETTLE_AT_ONCE", 4)
        world = RunnerWorld()
        world.zone.address_records["one.mx.test"] = ["192.0.2.99"]
        waiting = [delivery for _ in range(11) for delivery in world.take("b@mx.test")]
        await world.settle()
        assert all(world.state(delivery) is QUEUED for delivery in waiting)
