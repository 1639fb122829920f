"""Policies of MTA-STS as a sender keeps them: found, fetched once, kept over failures and restarts, renewed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from postroad.delivery import sts
from postroad.delivery.sts import StsFound, StsPolicies
from postroad.lab.policies import policy
from postroad.mailauth.mtasts import StsMode
from postroad.ports.dns import DnsAnswer, DnsOutcome
from postroad.ports.http import HttpAnswer, HttpFailed
from postroad.ports.store import StoreUnavailable
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.sending import MemoryZone
from postroad.testing.stores import open_store

PLAIN = {"content-type": "text/plain"}
POLICY = policy("enforce", "mx.far.test").encode()


class Web:
    """ports.http.HttpClient that gives what it was told to, or raises it."""

    def __init__(self):
        self.answer = HttpAnswer(200, PLAIN, POLICY)
        self.asked = []
        self.gate = None

    async def request(self, method, url, **limits):
        self.asked.append(url)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    def __init__(self, store, clock):
        self.store, self.clock, self.zone, self.web = store, clock, MemoryZone(), Web()
        self.announce("a1")
        self.restart()

    def restart(self):
        self.policies = StsPolicies(self.zone, self.web, self.store, self.clock)

    def announce(self, identity):
        text = (f"v=STSv1; id={identity};",) if identity else ()
        self.zone.others["TXT", "_mta-sts.far.test"] = DnsAnswer(DnsOutcome.FOUND, text)

    async def mode(self):
        found = await self.policies.find("far.test")
        return found.policy.mode if found is not None and found.policy is not None else found


@pytest.fixture
async def world(tmp_path):
    clock = JumpingClock()
    async with open_store(tmp_path, clock=clock) as store:
        world = World(store, clock)
        yield world
        await world.policies.close()


async def test_fetched_once_and_kept_over_a_restart(world):
    assert await asyncio.gather(world.mode(), world.mode(), world.mode()) == [StsMode.ENFORCE] * 3
    assert world.web.asked == ["https://mta-sts.far.test/.well-known/mta-sts.txt"]
    world.restart()
    world.announce("")
    world.web.answer = HttpFailed("gone")
    assert await world.mode() is StsMode.ENFORCE
    assert len(world.web.asked) == 1


async def test_a_policy_that_cannot_be_read_now_is_not_forgotten(world, monkeypatch):
    await world.mode()
    world.restart()
    world.announce("")

    async def failing(_):
        raise StoreUnavailable("the disk is slow")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "read", failing)
        with pytest.raises(StoreUnavailable):
            await world.mode()
    assert await world.mode() is StsMode.ENFORCE


async def test_nobody_gets_by_while_it_is_being_fetched(world):
    world.web.gate = asyncio.Event()
    asking = [asyncio.create_task(world.mode())]
    await settle(20)
    asking += [asyncio.create_task(world.mode()) for _ in range(3)]
    await settle(20)
    assert not any(task.done() for task in asking)
    world.web.gate.set()
    assert await asyncio.gather(*asking) == [StsMode.ENFORCE] * 4


async def test_without_a_record_nothing_is_fetched(world):
    world.announce("")
    assert await world.mode() is None
    assert await world.mode() is None
    assert world.web.asked == []


async def test_a_policy_of_none_asks_for_nothing(world):
    world.web.answer = HttpAnswer(200, PLAIN, policy("none").encode())
    assert await world.mode() is None


WRONG = [
    (HttpAnswer(404, PLAIN, POLICY), "sts-policy-fetch-error"),
    (HttpAnswer(302, PLAIN, POLICY), "sts-policy-fetch-error"),
    (HttpFailed("certificate verify failed"), "sts-webpki-invalid"),
    (HttpAnswer(200, {"content-type": "text/html"}, POLICY), "sts-policy-invalid"),
    (HttpAnswer(200, {}, POLICY), "sts-policy-invalid"),
    (HttpAnswer(200, PLAIN, b"\xff"), "sts-policy-invalid"),
    (HttpAnswer(200, PLAIN, b"version: STSv1"), "sts-policy-invalid"),
]


@pytest.mark.parametrize(("answer", "kind"), WRONG, ids=range(len(WRONG)))
async def test_what_cannot_be_had_is_left_alone_for_a_while(world, answer, kind):
    world.web.answer = answer
    for _ in range(3):
        found = await world.policies.find("far.test")
        assert isinstance(found, StsFound)
        assert (found.policy, found.kind) == (None, kind)
    assert len(world.web.asked) == 1
    world.web.answer = HttpAnswer(200, PLAIN, POLICY)
    await world.clock.advance(sts.REST + 1)
    assert await world.mode() is StsMode.ENFORCE


async def test_another_id_is_another_try(world):
    world.web.answer = HttpFailed("not yet")
    await world.mode()
    world.web.answer = HttpAnswer(200, PLAIN, POLICY)
    world.announce("a2")
    assert await world.mode() is StsMode.ENFORCE


async def test_a_newer_one_is_fetched_beside_the_mail(world):
    assert await world.mode() is StsMode.ENFORCE
    world.announce("a2")
    world.web.answer = HttpAnswer(200, PLAIN, policy("testing", "mx.far.test").encode())
    await world.clock.advance(sts.LOOK_EVERY + 1)
    assert await world.mode() is StsMode.ENFORCE, "this mail goes by the one that is there"
    await settle(50)
    assert await world.mode() is StsMode.TESTING


async def test_one_that_has_ended_holds_nobody(world):
    assert await world.mode() is StsMode.ENFORCE
    world.announce("")
    await world.clock.advance(86400 + 1)
    assert await world.mode() is None


async def test_renewed_about_daily_and_forgotten_when_it_has_ended(world):
    world.web.answer = HttpAnswer(200, PLAIN, policy("enforce", "mx.far.test", max_age=10 * 86400).encode())
    await world.mode()
    await world.policies.renew()
    assert len(world.web.asked) == 1
    await world.clock.advance(sts.FRESH.total_seconds() + 1)
    await world.policies.renew()
    assert len(world.web.asked) == 2
    (record,) = await world.store.read(lambda tx: tx.tls.policies())
    assert record.expires == world.clock.now() + timedelta(days=10)
    world.web.answer = HttpFailed("gone")
    world.announce("")
    await world.clock.advance(11 * 86400)
    await world.policies.renew()
    assert await world.store.read(lambda tx: tx.tls.policies()) == []
