"""The live overview: one snapshot a second for all who watch, none while nobody does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import pytest

from postroad.adapters.sql.database import Database
from postroad.ports.store import DeliveryState, StoreUnavailable
from postroad.reports.live import SHARE, Live, Overview, _Part
from postroad.reports.search import Search
from postroad.reports.statistics import Span, Statistics, StatKind
from postroad.testing.clock import JumpingClock
from postroad.testing.stores import Mail, open_store


@dataclass
class Scene:
    store: Database
    clock: JumpingClock
    mail: Mail
    live: Live
    reads: list[int]

    async def advance(self, seconds: float = 1.0) -> None:
        await self.clock.advance(seconds)


@pytest.fixture
async def scene(tmp_path, monkeypatch) -> AsyncIterator[Scene]:
    clock = JumpingClock()
    async with open_store(tmp_path, clock=clock) as store:
        figures = Statistics(store, clock)
        live = Live(store, Search(store, clock), figures, clock)
        reads: list[int] = []
        plain = figures.all_series

        async def counted():
            reads.append(1)
            return await plain()

        live._series._read = counted
        yield Scene(store, clock, Mail(clock), live, reads)
        await live.close()


async def next_after(scene: Scene, watching: AsyncIterator[Overview], seconds: float = 1.0) -> Overview:
    """What comes a second later."""
    coming = asyncio.ensure_future(anext(watching))
    await scene.advance(seconds)
    return await asyncio.wait_for(coming, 20)


async def test_an_overview_tells_of_now(scene: Scene) -> None:
    acceptance = scene.mail.remote("bob@far.test", "carol@far.test", dest="mx:far.test")
    await scene.store.accept(acceptance)
    first, second = acceptance.deliveries
    await scene.store.outcomes(scene.mail.outcome(first))
    due = timedelta(minutes=5)
    await scene.store.outcomes(scene.mail.outcome(second, DeliveryState.QUEUED, due=due))
    await scene.advance(30)
    overview = await scene.live.now()
    assert overview.totals[Span.HOUR] == {
        StatKind.IN: 1, StatKind.OUT: 2, StatKind.DELIVERED: 1, StatKind.DEFERRED: 1, StatKind.BOUNCED: 0,
    }  # fmt: skip
    assert (overview.queued, overview.oldest_age) == (1, timedelta(seconds=30))
    assert [(one.dest, one.queued) for one in overview.troubles] == [("mx:far.test", 1)]
    assert [row.message.id for row in overview.recent] == [acceptance.message.id]


async def test_an_empty_server_has_an_overview(scene: Scene) -> None:
    overview = await scene.live.now()
    assert (overview.queued, overview.oldest_age, overview.troubles, overview.recent) == (0, None, (), ())
    assert set(overview.totals) == set(Span)


async def test_who_watches_sees_mail_a_second_later(scene: Scene) -> None:
    async with aclosing(scene.live.watch()) as watching:
        assert (await anext(watching)).totals[Span.DAY][StatKind.IN] == 0
        await scene.store.accept(scene.mail.remote("bob@far.test"))
        seen = await next_after(scene, watching)
        assert seen.totals[Span.DAY][StatKind.IN] == 1
        assert seen.queued == 1
        assert await scene.live.now() is seen, "no other look while somebody watches"


async def test_ten_watchers_cost_as_much_as_one(scene: Scene) -> None:
    crowd = [scene.live.watch() for _ in range(10)]
    first = await asyncio.gather(*(anext(one) for one in crowd))
    assert len({id(one) for one in first}) == 1
    looks = len(scene.reads)
    coming = [asyncio.ensure_future(anext(one)) for one in crowd]
    await scene.advance()
    second = await asyncio.wait_for(asyncio.gather(*coming), 20)
    assert len({id(one) for one in second}) == 1
    assert second[0] is not first[0]
    assert len(scene.reads) == looks + 1
    for one in crowd:
        await one.aclose()


async def test_nothing_is_read_while_nobody_watches(scene: Scene) -> None:
    await scene.advance(10)
    assert not scene.reads
    async with aclosing(scene.live.watch()) as one, aclosing(scene.live.watch()) as other:
        await anext(one)
        await anext(other)
        await one.aclose()
        await next_after(scene, other)
    looks = len(scene.reads)
    await scene.advance(10)
    assert len(scene.reads) == looks
    assert scene.clock.next_due is None
    async with aclosing(scene.live.watch()) as again:
        await anext(again)
    assert len(scene.reads) == looks + 1


async def test_closing_ends_whoever_watches(scene: Scene) -> None:
    watching = scene.live.watch()
    await anext(watching)
    coming = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    await scene.live.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(coming, 20)
    with pytest.raises(StopAsyncIteration):
        await anext(scene.live.watch())


async def test_a_store_out_of_reach_is_waited_for(scene: Scene, monkeypatch) -> None:
    plain = scene.live._depth._read
    async with aclosing(scene.live.watch()) as watching:
        first = await anext(watching)

        async def fails():
            raise StoreUnavailable("gone")

        scene.live._depth._read = fails
        coming = asyncio.ensure_future(anext(watching))
        for _ in range(3):
            await scene.advance()
        assert not coming.done()
        scene.live._depth._read = plain
        while not coming.done():
            await scene.advance()
            await asyncio.sleep(0.001)
        assert (await coming).at > first.at


async def test_what_is_dear_is_read_seldom() -> None:
    clock, reads = JumpingClock(), []

    async def read() -> int:
        reads.append(clock.monotonic())
        clock._elapsed += 0.5
        return len(reads)

    part = _Part(clock, read)
    for _ in range(400):
        await part.value()
        clock._elapsed += 1.0
    assert len(reads) == 4
    assert (reads[1] - reads[0]) * SHARE >= 0.5
