"""The queue at work on a network in memory: what is dialled when, and what becomes of each delivery."""

from __future__ import annotations

import asyncio

import pytest

from postroad.config.schema import DeliverySettings
from postroad.delivery.mx import Hosts
from postroad.delivery.pool import Pool
from postroad.delivery.target import Craft
from postroad.events.model import EventKind
from postroad.mail.status import status
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState, StoreUnavailable, Wish
from postroad.queue.bounces import Bounces, Manner
from postroad.queue.results import Results
from postroad.queue.runner import Caps, Runner
from postroad.queue.schedule import Schedule
from postroad.routing.routes import RouteSettings, transport
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.network import MemoryNetwork
from postroad.testing.remote import CLOSE, SILENCE, Remote
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

QUEUED, HELD, DELIVERED = DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.DELIVERED
BOUNCED, EXPIRED, CANCELLED = DeliveryState.BOUNCED, DeliveryState.EXPIRED, DeliveryState.CANCELLED


class StoredBodies:
    """Bodies from the disk; each load is counted."""

    def __init__(self):
        self.loads, self.failing = 0, False

    async def load(self, requests):
        await asyncio.sleep(0)
        self.loads += 1
        if self.failing:
            raise OSError("the disk is in trouble")
        for request in requests:
            request.content = CONTENT

    async def read(self, message, length):
        return CONTENT[:length]


class World:
    def __init__(self, **caps):
        self.clock, self.ids, self.random = JumpingClock(), CountingIds(), SeededRandom()
        self.network, self.zone = MemoryNetwork(timers=self.clock), MemoryZone()
        self.remote = self.host("mx.test", "192.0.2.10")
        self.store, self.log, self.bodies = OutcomeStore(), MemoryStartLog(), StoredBodies()
        self.routes, self.reports = RouteSettings(), []
        self.report_answer = status(250, "2.0.0", f"queued as {id_text(77)}")
        settings = DeliverySettings()
        ports = {"clock": self.clock, "ids": self.ids, "random": self.random}
        craft = Craft("mail.ours.test", self.clock, self.ids, 100, 10.0)
        pool = Pool(self.network, Hosts(self.zone, self.random, ()), craft, connect_timeout=30)
        caps = Caps(**({"connections_per_destination": 10, "max_recipients": 100} | caps))
        self.runner = Runner(self.bodies, pool, self.route, self.log, caps=caps, **ports)
        manner = Manner("mail.ours.test", 65536)
        bounces = Bounces(self.store, self.submit, self.bodies.read, manner=manner, **ports)
        schedule = Schedule(settings.retry_waits, settings.expire_after)
        self.results = Results(self.store, bounces, schedule, finished=self.runner.finished, **ports)
        self.runner.write_to(self.results)
        self.number = 0

    def host(self, domain, address, **answers):
        self.zone.mx_records[domain] = [(10, f"one.{domain}")]
        self.zone.address_records[f"one.{domain}"] = [address]
        remote = Remote(answers)
        remote.listen(self.network, address)
        return remote

    def route(self, message, delivery, at=""):
        return transport(delivery.forward_path.rpartition("@")[2], None, self.routes)

    async def submit(self, reverse_path, recipients, content, *, bounce_of=None):
        self.reports.append((reverse_path, list(recipients), content, bounce_of))
        return self.report_answer

    def take(self, *paths, content=CONTENT, tries=1, **more):
        """One message just accepted; ids of its deliveries."""
        self.number += 1
        message = make_message(self.number, **more)
        deliveries = [make_delivery(self.number * 1000 + i, message, p, tries=tries) for i, p in enumerate(paths)]
        self.runner.take(message, deliveries, content)
        return [delivery.id for delivery in deliveries]

    async def settle(self, turns=150):
        await settle(turns)
        assert self.network.bugs == []

    async def tick(self, seconds=1):
        for _ in range(seconds):
            await self.clock.advance(1)
            self.runner.tick()
            await self.settle(60)

    def state(self, delivery):
        return self.store.results[delivery].state


@pytest.fixture
async def world():
    return World()


async def test_a_message_just_accepted_is_delivered(world):
    (one,) = world.take("b@mx.test")
    await world.settle()
    result = world.store.results[one]
    assert (result.state, result.tries, result.owner, result.epoch) == (DELIVERED, 1, 1, 1)
    assert result.finished is not None
    assert world.store.events(one) == ["delivered"]
    assert world.store.written[0].attempt.host == "one.mx.test"
    assert world.log.open == {}
    assert not world.runner.knows(one)


async def test_recipients_of_one_destination_go_in_one_transaction(world):
    ids = world.take("b@mx.test", "c@mx.test", "d@mx.test")
    await world.settle()
    assert [taken.recipients for taken in world.remote.taken] == [["b@mx.test", "c@mx.test", "d@mx.test"]]
    assert len(world.store.written) == 1
    assert [world.state(one) for one in ids] == [DELIVERED] * 3


async def test_no_more_recipients_than_allowed_in_one_transaction():
    world = World(max_recipients=2)
    world.take(*(f"r{number}@mx.test" for number in range(5)))
    await world.settle()
    assert sorted(len(taken.recipients) for taken in world.remote.taken) == [1, 2, 2]


async def test_recipients_that_were_too_many_go_at_once_in_another_transaction(world):
    world.remote.answers["RCPT TO:<c@mx.test>"] = lambda _: "452 4.5.3 too many" if not world.remote.taken else "250 ok"
    ids = world.take("b@mx.test", "c@mx.test")
    await world.settle()
    assert [taken.recipients for taken in world.remote.taken] == [["b@mx.test"], ["c@mx.test"]]
    assert [world.state(one) for one in ids] == [DELIVERED, DELIVERED]
    assert world.log.open == {}


async def test_many_messages_share_few_connections(world):
    ids = [world.take("b@mx.test")[0] for _ in range(200)]
    await world.settle(1500)
    assert all(world.state(one) is DELIVERED for one in ids)
    assert len(world.remote.taken) == 200
    assert world.remote.connections <= 12  # ten at once; one that carried a hundred messages is replaced
    assert world.runner._shelf.octets == 0
    assert not world.runner._known


async def test_a_quick_server_gets_message_after_message_on_the_connection_that_is_busy(world):
    world.take("b@mx.test")
    await world.settle()
    next(iter(world.runner._lanes.values())).group.pace.took = 0.0001
    world.take("b@mx.test")
    world.take("b@mx.test")
    world.take("b@mx.test")
    await world.settle()
    assert (len(world.remote.taken), world.remote.connections) == (4, 1)


async def test_messages_left_to_a_connection_that_falls_silent_go_on_another_one(world):
    world.take("b@mx.test")
    await world.settle()
    next(iter(world.runner._lanes.values())).group.pace.took = 0.0001
    world.remote.answers["."] = lambda _: SILENCE if world.remote.connections == 1 else "250 ok"
    world.take("b@mx.test")
    await world.settle()
    (late,) = world.take("b@mx.test")
    await world.settle()
    assert not world.store.results.get(late)
    await world.tick(2)
    assert world.state(late) is DELIVERED


async def test_destinations_do_not_wait_for_one_another(world):
    slow = world.host("slow.test", "192.0.2.20", **{".": SILENCE})
    for _ in range(5):
        world.take("x@slow.test")
    (one,) = world.take("b@mx.test")
    await world.settle()
    assert world.state(one) is DELIVERED
    assert slow.taken == []


async def test_a_silent_server_gets_another_connection_after_a_while(world):
    world.remote.answers["."] = lambda _: (
        SILENCE if not world.remote.taken and world.remote.connections == 1 else "250 ok"
    )
    world.take("b@mx.test")
    await world.settle()
    (two,) = world.take("b@mx.test")
    await world.tick(2)
    assert world.state(two) is DELIVERED
    assert world.remote.connections == 2


async def test_connections_in_all_are_limited_and_shared_out_in_turn():
    world = World(connections=2)
    hosts = [world.host(f"d{number}.test", f"192.0.2.{30 + number}") for number in range(6)]
    ids = [world.take(f"b@d{number % 6}.test")[0] for number in range(60)]
    for _ in range(40):
        await world.tick()
        assert world.runner._dials.connections <= 2
    assert all(one in world.store.results and world.state(one) is DELIVERED for one in ids)
    assert all(len(host.taken) == 10 for host in hosts)


async def test_a_temporary_refusal_defers_with_the_next_due_time(world):
    world.remote.answers["RCPT"] = "450 4.2.0 greylisted"
    (one,) = world.take("b@mx.test")
    await world.settle()
    result = world.store.results[one]
    assert (result.state, result.keep_owner, result.tries) == (QUEUED, False, 1)
    assert 300 <= (result.due - world.clock.now()).total_seconds() <= 330
    assert world.store.events(one) == ["deferred"]
    assert world.reports == []


async def test_a_refusal_for_good_is_told_to_the_sender(world):
    world.remote.answers["RCPT TO:<x@mx.test>"] = "550 5.1.1 who?"
    good, bad = world.take("b@mx.test", "x@mx.test")
    await world.settle()
    assert (world.state(good), world.state(bad)) == (DELIVERED, BOUNCED)
    assert world.store.events(bad) == ["bounced", "report-sent"]
    ((reverse_path, recipients, content, bounce_of),) = world.reports
    assert (reverse_path, recipients, bounce_of) == ("", ["a@ours.test"], 1)
    assert b"550 5.1.1 who?" in content
    assert b"x@mx.test" in content
    assert b"b@mx.test" not in content
    event = next(e for o in world.store.written for e in o.events if e.kind is EventKind.REPORT_SENT)
    assert event.detail == {"report": id_text(77), "to": "a@ours.test"}


@pytest.mark.parametrize(
    ("more", "why"), [({"reverse_path": ""}, "null"), ({"account": None}, "unproven")], ids=["null", "stranger"]
)
async def test_no_report_where_it_would_be_a_loop_or_backscatter(world, more, why):
    world.remote.answers["RCPT"] = "550 5.1.1 who?"
    (one,) = world.take("x@mx.test", **more)
    await world.settle()
    assert world.state(one) is BOUNCED
    assert world.store.events(one) == ["bounced", "report-withheld"]
    assert why in world.store.written[0].events[1].detail["why"]
    assert world.reports == []


async def test_a_report_waits_for_the_store_and_then_goes_out(world):
    world.remote.answers["RCPT"] = "550 5.1.1 who?"
    answer, world.report_answer = world.report_answer, status(451, "4.3.0", "later")
    (one,) = world.take("x@mx.test")
    await world.settle()
    assert one not in world.store.results  # the final state goes with its report
    world.report_answer = answer
    await world.clock.advance(6)
    assert world.store.events(one) == ["bounced", "report-sent"]


async def test_a_report_that_cannot_be_taken_in_is_given_up(world):
    world.remote.answers["RCPT"] = "550 5.1.1 who?"
    world.report_answer = status(451, "4.3.5", "a broken alias")
    (one,) = world.take("x@mx.test")
    await world.settle()
    await world.clock.advance(300)
    assert world.store.events(one) == ["bounced", "report-withheld"]


async def test_a_report_that_fails_for_a_bug_of_ours_leaves_the_outcome(world):
    world.remote.answers["RCPT"] = "550 5.1.1 who?"
    world.report_answer = None
    (one,) = world.take("x@mx.test")
    await world.settle()
    assert world.store.events(one) == ["bounced", "report-withheld"]


async def test_what_was_tried_long_enough_expires(world):
    world.remote.answers["RCPT"] = "450 4.2.0 later"
    (one,) = world.take("b@mx.test", tries=30)
    (young,) = world.take("c@mx.test", tries=1)
    world.clock._elapsed += 6 * 86400
    await world.settle()
    assert world.state(one) is EXPIRED
    assert world.store.events(one) == ["expired", "report-sent"]
    assert world.state(young) is QUEUED  # tried once only: the clock may be wrong
    assert b"I kept trying" in world.reports[0][2]


async def test_a_dead_host_is_not_dialled_for_each_message(world):
    world.zone.mx_records["dead.test"] = [(10, "one.dead.test")]
    world.zone.address_records["one.dead.test"] = ["192.0.2.66"]
    dials = []
    connect = world.network.connect

    async def counting(endpoint, *args, **more):
        dials.append(endpoint.host)
        return await connect(endpoint, *args, **more)

    world.network.connect = counting
    ids = [world.take("b@dead.test")[0] for _ in range(1000)]
    await world.settle(200)
    assert len(dials) <= 10
    assert all(world.state(one) is QUEUED for one in ids)
    assert world.store.events(ids[-1]) == ["deferred"]
    assert world.store.results[ids[0]].status.text == "one.dead.test cannot be reached"
    made = [outcomes for outcomes in world.store.written if outcomes.attempt]
    assert len(made) <= 10
    before = len(dials)
    (late,) = world.take("b@dead.test")
    await world.settle()
    assert world.state(late) is QUEUED
    assert len(dials) == before  # it rests
    await world.clock.advance(60)
    world.take("b@dead.test")
    await world.settle()
    assert len(dials) == before + 1


async def test_a_domain_that_does_not_exist_bounces_each_with_its_record(world):
    ids = [world.take("b@nowhere.test")[0] for _ in range(3)]
    await world.settle()
    assert all(world.state(one) is BOUNCED for one in ids)
    assert [outcomes.attempt is not None for outcomes in world.store.written] == [True] * 3
    assert len(world.reports) == 3


async def test_a_server_that_keeps_breaking_off_is_left_alone(world):
    world.remote.answers["DATA"] = CLOSE
    ids = [world.take("b@mx.test")[0] for _ in range(100)]
    await world.settle(600)
    assert world.remote.connections < 15
    assert all(world.state(one) is QUEUED for one in ids)


async def test_a_server_that_takes_few_connections_gets_few(world):
    world.remote.answers[""] = lambda _: "220 hi" if world.remote.connections <= 2 else "421 4.7.0 too many connections"
    ids = [world.take("b@mx.test")[0] for _ in range(100)]
    await world.settle(1500)
    assert all(world.state(one) is DELIVERED for one in ids)


async def test_a_tired_connection_costs_no_message():
    """421 to MAIL after some messages: the next goes on another connection, and nobody is told of a failure."""
    world = World(connections_per_destination=1)
    count = [0]

    def mail(_):
        count[0] += 1
        return "421 4.7.0 enough" if count[0] % 3 == 0 else "250 ok"

    world.remote.answers["MAIL"] = mail
    ids = [world.take("b@mx.test")[0] for _ in range(20)]
    await world.tick(10)
    assert all(world.state(one) is DELIVERED for one in ids)
    assert all(world.store.events(one) == ["delivered"] for one in ids)
    assert world.log.open == {}


async def test_the_route_is_asked_at_each_attempt(world):
    """A smarthost set meanwhile: what was born for the domain's own host goes there."""
    world.routes = RouteSettings(smarthost="smtp://192.0.2.50:25")
    smart = Remote()
    smart.listen(world.network, "192.0.2.50")
    (one,) = world.take("b@mx.test")
    await world.settle()
    assert world.state(one) is DELIVERED
    assert len(smart.taken) == 1
    assert world.remote.connections == 0
    assert world.runner._shelf.octets == 0
    assert world.store.results[one].dest == "host:[192.0.2.50]:25"


async def test_a_body_not_in_memory_is_read_when_its_turn_comes(world):
    (one,) = world.take("b@mx.test", content=None)
    await world.settle()
    assert world.state(one) is DELIVERED
    assert world.remote.taken[0].content == CONTENT
    assert world.bodies.loads == 1
    assert world.runner._shelf.octets == 0


async def test_a_body_that_cannot_be_read_defers_its_message_alone(world):
    world.bodies.failing = True
    (lost,) = world.take("b@mx.test", content=None)
    (fine,) = world.take("c@mx.test")
    await world.settle()
    assert world.state(lost) is QUEUED
    assert world.state(fine) is DELIVERED


async def test_outcomes_that_cannot_be_stored_are_kept_and_nothing_is_begun(world):
    world.store.failing = StoreUnavailable("disk full", no_space=True)
    (one,) = world.take("b@mx.test")
    await world.settle()
    assert len(world.remote.taken) == 1
    assert world.results.is_stuck
    (two,) = world.take("c@mx.test")
    await world.tick(5)
    assert len(world.remote.taken) == 1
    assert world.log.open  # the start record stays until the outcome is committed
    world.store.failing = None
    await world.tick(3)
    assert world.state(one) is DELIVERED
    assert world.state(two) is DELIVERED
    assert world.log.open == {}


async def test_start_records_tell_when_the_dot_is_out(world):
    world.remote.answers["."] = SILENCE
    (one,) = world.take("b@mx.test")
    await world.settle()
    assert list(world.log.open.values()) == [(one, True)]


@pytest.mark.parametrize(
    ("wish", "state", "events"),
    [
        (Wish.HOLD, HELD, ["held"]),
        (Wish.CANCEL, CANCELLED, ["cancelled"]),
        (Wish.BOUNCE, BOUNCED, ["bounced", "report-sent"]),
    ],
)
async def test_a_wish_for_what_waits_is_applied_at_once(world, wish, state, events):
    one, two = world.take("b@mx.test", "c@mx.test")
    world.runner.wish(one, wish)
    await world.settle()
    assert world.state(one) is state
    assert world.store.events(one) == events
    assert world.state(two) is DELIVERED
    assert world.remote.taken[0].recipients == ["c@mx.test"]
    assert world.runner._shelf.octets == 0


@pytest.mark.parametrize(
    ("answer", "wish", "state"),
    [
        ("451 later", Wish.HOLD, HELD),
        ("451 later", Wish.CANCEL, CANCELLED),
        ("451 later", Wish.BOUNCE, BOUNCED),
        ("451 later", Wish.RETRY, QUEUED),
        ("250 taken", Wish.CANCEL, DELIVERED),
        ("550 no", Wish.HOLD, BOUNCED),
    ],
)
async def test_an_outcome_wins_over_a_wish_and_a_wish_over_a_deferral(world, answer, wish, state):
    held_back = []
    world.remote.answers["."] = lambda _: held_back.append(1) or SILENCE
    (one,) = world.take("b@mx.test")
    await world.settle()
    assert held_back
    world.runner.wish(one, wish)
    far = world.network.pairs[0][1]
    far.write(answer.encode() + b"\r\n")
    await world.settle()
    assert world.state(one) is state
    if wish is Wish.RETRY:
        assert world.store.results[one].due == world.clock.now()


class Frozen:
    """Stands for accounts.freezes."""

    def __init__(self):
        self.senders = set()

    @property
    def any(self):
        return bool(self.senders)

    def why(self, message):
        return "frozen" if message.account in self.senders else ""


async def test_a_frozen_sender_leaves_memory_at_once_and_others_stay():
    world = World(connections_per_destination=1)
    freezes = world.runner.freezes = Frozen()
    world.results.frozen = freezes.why
    world.remote.answers["."] = SILENCE  # the first message is under way and hangs there
    (under_way,) = world.take("a@mx.test", account=1)
    await world.settle()
    waiting = [world.take(f"w{n}@mx.test", account=1)[0] for n in range(250)]
    (unread,) = world.take("u@mx.test", account=1, content=None)
    (other,) = world.take("o@mx.test", account=2)
    freezes.senders = {1}
    before = world.clock.monotonic()
    world.runner.hold_frozen()
    (new,) = world.take("n@mx.test", account=1)
    await world.settle()
    assert world.clock.monotonic() - before < 1
    for one in (*waiting, unread, new):
        result = world.store.results[one]
        assert (result.state, result.held_for, result.tries) == (HELD, "frozen", 0)
        assert not world.runner.knows(one)
    assert world.runner.knows(other)
    assert under_way not in world.store.results
    world.remote.answers["."] = "250 ok"
    await world.tick(1300)
    assert world.state(other) == DELIVERED
    result = world.store.results[under_way]
    assert (result.state, result.held_for) == (HELD, "frozen"), "it broke off, and is not tried again"
    assert [taken.recipients for taken in world.remote.taken] == [["o@mx.test"]]


async def test_stopping_gives_back_what_waits_and_finishes_what_is_under_way(world):
    world.remote.answers["."] = SILENCE
    (flying,) = world.take("b@mx.test")
    await world.settle()
    (waiting,) = world.take("c@mx.test")
    stopping = asyncio.ensure_future(world.runner.stop(30))
    await world.settle()
    result = world.store.results[waiting]
    assert (result.state, result.tries, result.due) == (QUEUED, 0, world.clock.now())
    world.network.pairs[0][1].write(b"250 taken\r\n")
    await world.settle()
    await stopping
    assert world.state(flying) is DELIVERED
    (late,) = world.take("d@mx.test")
    await world.settle()
    assert world.state(late) is QUEUED


async def test_stopping_does_not_wait_for_ever(world):
    world.remote.answers["."] = SILENCE
    (flying,) = world.take("b@mx.test")
    await world.settle()
    stopping = asyncio.ensure_future(world.runner.stop(30))
    await world.clock.advance(31)
    await stopping
    await asyncio.wait_for(world.results.drain(), 5)
    assert world.state(flying) is QUEUED
    assert "may have arrived" in world.store.results[flying].status.cause


async def test_a_node_without_its_lease_begins_nothing(world):
    world.runner.pause()
    (one,) = world.take("b@mx.test")
    await world.tick(2)
    assert world.remote.connections == 0
    assert world.runner.room == 0
    world.runner.resume()
    await world.settle()
    assert world.state(one) is DELIVERED


async def test_no_more_than_so_many_are_held_in_memory(world, monkeypatch):
    monkeypatch.setattr("postroad.queue.runner.MAX_READY", 3)
    world.remote.answers["."] = SILENCE
    ids = [world.take("b@mx.test")[0] for _ in range(5)]
    await world.settle()
    back = [one for one in ids if one in world.store.results]
    assert back == ids[3:]
    assert all(world.store.results[one].tries == 0 for one in back)


async def test_forgotten_destinations_leave_nothing_behind(world):
    world.take("b@mx.test")
    await world.settle()
    await world.tick(15)
    assert world.runner._lanes == {}
    assert world.runner._dials.connections == 0
