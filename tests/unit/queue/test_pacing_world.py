"""Providers with limits that nobody told us of, on a network in memory and a clock that jumps."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from postroad.config.schema import DeliverySettings, ProviderSettings
from postroad.delivery.mx import Hosts
from postroad.delivery.pool import Pool
from postroad.delivery.providers import load_providers
from postroad.delivery.target import Craft
from postroad.lab.profiles.accepting import Accepting
from postroad.lab.profiles.greylisting import Greylisting
from postroad.lab.profiles.provider import Provider
from postroad.lab.receivers import Mailbag, Receiver
from postroad.lab.temper import GO, Move, refuse
from postroad.mail.status import status
from postroad.ports.net import Endpoint
from postroad.ports.store import DeliveryState
from postroad.queue.advice import Advice
from postroad.queue.bounces import Bounces, Manner
from postroad.queue.groups import Groups
from postroad.queue.results import Results
from postroad.queue.runner import Caps, Runner
from postroad.queue.schedule import Schedules, usual_schedule
from postroad.routing.routes import RouteSettings, transport
from postroad.testing.clock import JumpingClock
from postroad.testing.network import MemoryNetwork
from postroad.testing.sending import (
    CONTENT,
    CountingIds,
    MemoryStartLog,
    MemoryZone,
    OutcomeStore,
    SeededRandom,
    make_delivery,
    make_message,
)


class World:
    """A node's way out towards receivers with tempers; what was put off is taken up again when it is due."""

    def __init__(self):
        self.clock, self.ids, self.random = JumpingClock(), CountingIds(), SeededRandom()
        self.network, self.zone, self.store = MemoryNetwork(timers=self.clock), MemoryZone(), OutcomeStore()
        self.bag = Mailbag(keep_contents=False)
        settings = DeliverySettings()
        ports = {"clock": self.clock, "ids": self.ids, "random": self.random}
        craft = Craft("mail.ours.test", self.clock, self.ids, settings.messages_per_connection, settings.idle_timeout)
        pool = Pool(self.network, Hosts(self.zone, self.random, ()), craft, connect_timeout=30)
        self.runner = Runner(self, pool, self.route, MemoryStartLog(), caps=Caps(10, 100), **ports)
        bounces = Bounces(self.store, self.submit, self.read, manner=Manner("mail.ours.test", 65536), **ports)
        usual = usual_schedule(settings)
        self.results = Results(self.store, bounces, usual, finished=self.finished, **ports)
        self.results.advice = Advice(Schedules(usual), self.runner.groups)
        self.runner.write_to(self.results)
        self.rows, self.delivered_at, self.number = {}, {}, 0

    def host(self, domain, host, address, temper):
        self.zone.mx_records[domain] = [(10, host)]
        self.zone.address_records[host] = [address]
        receiver = Receiver(host, temper, bag=self.bag, clock=self.clock, starttls=False)
        self.network.listen(Endpoint(address, 25), receiver.make)
        return temper

    def route(self, message, delivery, at=""):
        return transport(delivery.forward_path.rpartition("@")[2], None, RouteSettings())

    async def load(self, requests):
        for request in requests:
            request.content = CONTENT

    async def read(self, message, length):
        return CONTENT[:length]

    async def submit(self, *_, **__):
        return status(250, "2.0.0", "queued")

    def send(self, path, stream=""):
        self.number += 1
        message = make_message(self.number, created=self.clock.now())
        message = replace(message, stream=stream)
        delivery = make_delivery(self.number, message, path)
        self.rows[delivery.id] = (message, delivery)
        self.runner.take(message, [delivery], CONTENT)
        return delivery.id

    def finished(self, deliveries):
        self.runner.finished(deliveries)
        for number in deliveries:
            result = self.store.results[number]
            if result.state is DeliveryState.DELIVERED:
                self.delivered_at[number] = self.clock.monotonic()
            elif result.due is not None:
                wait = (result.due - self.clock.now()).total_seconds()
                self.clock.call_later(max(wait, 0), self.again, number, result)

    def again(self, number, result):
        message, delivery = self.rows[number]
        delivery = replace(delivery, tries=result.tries + 1, last_status=result.status)
        self.rows[number] = (message, delivery)
        self.runner.push(delivery.dest, message, [delivery], None)

    async def pass_time(self, seconds, step=1.0):
        for _ in range(int(seconds / step)):
            await self.clock.advance(step)
            self.runner.tick()
        assert self.network.bugs == []


@pytest.fixture
async def world():
    return World()


async def drive(world, count, others=20):
    """`count` messages to a provider with limits, a few to another; how many attempts the provider put off."""
    world.host("big.test", "mx1.provider.test", "192.0.2.10", temper := Provider())
    world.host("also.test", "mx1.provider.test", "192.0.2.10", temper)
    world.host("other.test", "mx.other.test", "192.0.2.20", Accepting())
    ids = [world.send(f"u{number}@{'big' if number % 2 else 'also'}.test") for number in range(count)]
    waits = []
    for _ in range(others):
        began = world.clock.monotonic()
        one = world.send("b@other.test")
        await world.pass_time(30)
        waits.append(world.delivered_at[one] - began)
    while len(world.delivered_at) < count + others:
        await world.pass_time(60)
        assert world.clock.monotonic() < count * 4 + 7200
    assert all(one in world.delivered_at for one in ids)
    return temper, waits


async def test_a_limit_that_nobody_told_us_of_costs_few_attempts(world):
    temper, waits = await drive(world, 400)
    assert temper.put_off <= 8, "less than 2 % of 400"
    assert temper.turned_away <= 3
    assert max(waits) < 1.0
    assert len(world.bag.letters) == 420


class Unhurried(Provider):
    """Takes its time for each message, so that connections matter."""

    def message(self, visit):
        return Move(delay=0.3)


async def test_connections_too_many_are_not_asked_for_again_and_again(world):
    temper = world.host("big.test", "mx1.provider.test", "192.0.2.10", Unhurried(messages=10**6))
    for number in range(600):
        world.send(f"u{number}@big.test")
    await world.pass_time(120)
    assert len(world.delivered_at) == 600
    assert temper.turned_away <= 4
    assert temper.put_off == 0


async def test_domains_of_one_provider_share_its_connections(world):
    temper = Unhurried(messages=10**6, connections=100)
    for number in range(30):
        world.host(f"d{number}.test", "mx1.provider.test", "192.0.2.10", temper)
    for number in range(300):
        world.send(f"b@d{number % 30}.test")
    most = 0
    for _ in range(60):
        await world.pass_time(1)
        most = max(most, temper.open["192.0.2.1"] or sum(temper.open.values()))
    assert len(world.delivered_at) == 300
    assert most == 10
    assert world.bag.connections <= 20, "domains take over one another's connections"


async def test_a_bulk_mailing_does_not_delay_a_password_reset(world):
    world.host("big.test", "mx1.provider.test", "192.0.2.10", Unhurried(messages=10**6))
    for number in range(1000):
        world.send(f"u{number}@big.test", stream="broadcast")
    await world.pass_time(10)
    began, reset = world.clock.monotonic(), world.send("carol@big.test", stream="outbound")
    await world.pass_time(2)
    assert world.delivered_at[reset] - began < 1.0


async def test_a_rate_that_the_settings_name_is_kept_from_the_start(world):
    providers = load_providers([ProviderSettings("ours", mx=("*.provider.test",), per_minute=40)])
    world.runner.groups = Groups(providers, 10)
    temper = world.host("big.test", "mx1.provider.test", "192.0.2.10", Provider())
    for number in range(120):
        world.send(f"u{number}@big.test")
    await world.pass_time(190)
    assert len(world.delivered_at) == 120
    assert temper.put_off == 0


async def test_a_greylist_is_waited_for_as_long_as_it_took_before(world):
    world.host("grey.test", "mx.grey.test", "192.0.2.10", Silent(200.0))
    first = world.send("b@grey.test")
    await world.pass_time(600)
    assert world.delivered_at[first] > 300
    began, second = world.clock.monotonic(), world.send("c@grey.test")
    await world.pass_time(600)
    assert world.rows[second][1].tries == 2, "one try to be known, one when the door is open"
    assert 200 <= world.delivered_at[second] - began < 420


class Silent(Greylisting):
    """It does not say how long."""

    def rcpt(self, visit, address):
        return GO if super().rcpt(visit, address) is GO else refuse(451, "4.7.1", "Greylisted, come again")
