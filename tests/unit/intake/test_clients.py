import asyncio

import pytest

from postroad.intake import clients as module
from postroad.intake.clients import KEPT_SECONDS, UNSURE_SECONDS, Clients
from postroad.intake.verdicts import noted, passed
from postroad.testing.clock import JumpingClock, settle

ADDRESS = "192.0.2.7"


class Looks:
    """Two look-ups; each waits for its gate, where it has one."""

    def __init__(self):
        self.said = {"one": noted("one", "bad", 2.0), "two": None}
        self.gates = {}
        self.asked = []

    async def one(self, address):
        return await self._look("one", address)

    async def two(self, address):
        return await self._look("two", address)

    async def _look(self, name, address):
        self.asked.append((name, address))
        if name in self.gates:
            await self.gates[name].wait()
        if isinstance(self.said[name], Exception):
            raise self.said[name]
        return self.said[name]


@pytest.fixture
def clock():
    return JumpingClock()


@pytest.fixture
def looks():
    return Looks()


@pytest.fixture
async def clients(clock, looks):
    made = make(clock, looks.one, looks.two)
    yield made
    await made.close()


def make(clock, *looks, size=100, exempt=("127.0.0.0/8", "10.0.0.0/24", "::1/128")):
    return Clients(clock, looks, exempt=exempt, size=size, wait=3.0)


async def known(clients, address=ADDRESS):
    client = clients.arrive(address)
    await clients.settle(client)
    return client


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.200", "::1", "", "/run/lmtp"])
async def test_who_is_exempt_is_never_looked_up(clients, looks, address):
    client = clients.arrive(address)
    assert client.is_spared
    assert client.task is None
    assert looks.asked == []


async def test_look_ups_begin_with_the_connection_and_run_side_by_side(clients, looks):
    gate = looks.gates["one"] = asyncio.Event()
    client = clients.arrive(ADDRESS)
    assert not clients.is_settled(client)
    await settle()
    assert looks.asked == [("one", ADDRESS), ("two", ADDRESS)]
    gate.set()
    await clients.settle(client)
    assert client.verdicts == (looks.said["one"],)
    assert clients.is_settled(client)
    assert client.network == "192.0.2.0/24"


async def test_what_was_found_is_kept_for_a_while(clients, looks, clock):
    first = await known(clients)
    await clock.advance(KEPT_SECONDS - 1)
    assert await known(clients) is first
    assert len(looks.asked) == 2
    looks.said["one"] = None
    await clock.advance(1)
    assert (await known(clients)).verdicts == ()
    assert len(looks.asked) == 4


async def test_what_could_not_be_found_out_is_asked_again_soon(clients, looks, clock):
    looks.said["two"] = noted("two", "no answer", 0.0)
    await known(clients)
    await clock.advance(UNSURE_SECONDS)
    await known(clients)
    assert len(looks.asked) == 4


async def test_nobody_waits_for_long(clients, looks, clock):
    looks.gates["two"] = gate = asyncio.Event()
    looks.said["two"] = passed("two", "late")
    client = clients.arrive(ADDRESS)
    waiting = asyncio.ensure_future(clients.settle(client))
    await clock.advance(2.9)
    assert not waiting.done()
    assert client.verdicts == (looks.said["one"],), "what is known is known at once"
    await clock.advance(0.2)
    assert waiting.done()
    assert clients.is_settled(client)
    await clients.settle(client)
    before = client.revision
    gate.set()
    await settle()
    assert set(client.verdicts) == {looks.said["one"], looks.said["two"]}
    assert client.revision > before


async def test_a_bug_in_a_look_up_says_nothing(clients, looks):
    looks.said["one"] = RuntimeError("a bug")
    looks.said["two"] = passed("two", "good")
    assert (await known(clients)).verdicts == (looks.said["two"],)


async def test_a_crowd_is_judged_without_look_ups(clients, looks, monkeypatch):
    monkeypatch.setattr(module, "MAX_LOOKING", 2)
    looks.gates["one"] = gate = asyncio.Event()
    crowd = [clients.arrive(f"192.0.2.{n}") for n in range(5)]
    await settle()
    assert len(looks.asked) == 4
    assert crowd[4].verdicts[0].is_unsure
    assert clients.is_settled(crowd[4])
    gate.set()
    await settle()
    await known(clients, "192.0.2.4")
    assert crowd[4].verdicts == (looks.said["one"],)


async def test_without_look_ups_there_is_nothing_to_wait_for(clock):
    clients = make(clock)
    client = clients.arrive(ADDRESS)
    assert client.task is None
    await clients.settle(client)
    assert client.verdicts == ()


async def test_memory_is_bounded(clock, looks):
    clients = make(clock, size=100)
    for number in range(1000):
        clients.arrive(f"10.1.{number // 256}.{number % 256}")
    assert len(clients) <= 100


async def test_a_change_of_lists_voids_what_was_found(clients, looks):
    first = await known(clients)
    clients.forget()
    assert await known(clients) is not first
    assert len(looks.asked) == 4


async def test_closing_gives_up_what_is_being_looked_up(clock, looks):
    looks.gates["one"] = asyncio.Event()
    clients = make(clock, looks.one, looks.two)
    client = clients.arrive(ADDRESS)
    await settle()
    await clients.close()
    assert client.task is None
