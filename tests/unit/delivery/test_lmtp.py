"""LMTP as a client (RFC 2033): LHLO, and one answer for each recipient that was accepted."""

from __future__ import annotations

import pytest

from postroad.delivery.agent import AttemptRequest
from postroad.delivery.mx import Hosts
from postroad.delivery.pool import Pool
from postroad.delivery.target import Craft
from postroad.ports.net import Endpoint
from postroad.queue.lanes import Lane
from postroad.routing.rules import read_way
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.network import MemoryNetwork
from postroad.testing.remote import DEFAULTS, Remote
from postroad.testing.sending import CONTENT, CountingIds, MemoryZone, SeededRandom, make_delivery, make_message


class Basket:
    def __init__(self, *requests):
        self.requests, self.outcomes = list(requests), []

    def next(self):
        return self.requests.pop(0) if self.requests else None

    def done(self, outcome):
        self.outcomes.append(outcome)

    def nothing(self, *_):
        pass

    began = dot_out = untried = idle = ended = nothing


def request(number, *paths):
    message = make_message(number)
    deliveries = [make_delivery(number * 10 + at, message, path) for at, path in enumerate(paths)]
    return AttemptRequest("lmtp:x", message, deliveries, CONTENT)


async def carry(remote, basket, way="lmtp://192.0.2.5:24"):
    clock = JumpingClock()
    network = MemoryNetwork(timers=clock)
    endpoint = Endpoint("/run/x", 0) if way.startswith("lmtp:/run") else Endpoint("192.0.2.5", 24)
    network.listen(endpoint, remote.factory)
    craft = Craft("mail.ours.test", clock, CountingIds(), 100, 10.0)
    pool = Pool(network, Hosts(MemoryZone(), SeededRandom(), ()), craft, connect_timeout=30)
    failure = await pool.open(read_way(way), basket)
    await settle(100)
    assert network.bugs == []
    return failure


@pytest.mark.parametrize("way", ["lmtp://192.0.2.5:24", "lmtp:/run/x"])
async def test_each_recipient_has_an_answer_of_its_own(way):
    remote = Remote({"LHLO": DEFAULTS["EHLO"],
                     "RCPT TO:<gone@b.test>": "550 5.1.1 nobody"})  # fmt: skip
    basket = Basket(request(1, "a@b.test", "gone@b.test", "c@b.test", "d@b.test"), request(2, "e@b.test"))
    answers = ["250 2.0.0 five", "250 2.0.0 one\n452 4.2.2 full\n250 2.0.0 three"]
    remote.answers["."] = lambda _: answers.pop()
    assert await carry(remote, basket, way) is None
    assert remote.commands[0] == "LHLO mail.ours.test"
    codes = [[status.reply_code for _, status in outcome.statuses] for outcome in basket.outcomes]
    assert codes == [[250, 550, 452, 250], [250]]


async def test_a_server_that_knows_no_lhlo_is_none():
    remote = Remote({"LHLO": "500 5.5.1 what?"})
    failure = await carry(remote, Basket(request(1, "a@b.test")))
    assert failure is not None
    assert "HELO mail.ours.test" not in remote.commands


def test_a_lane_is_a_feed_of_any_conversation():
    assert {"began", "next", "dot_out", "done", "untried", "idle", "ended"} <= set(dir(Lane))
