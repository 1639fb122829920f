"""The test kit's clock."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from postroad.testing.clock import START, JumpingClock


async def test_sleepers_wake_in_order_and_at_their_time():
    clock, woken = JumpingClock(), []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic(), clock.now()))

    tasks = [asyncio.ensure_future(sleeper(seconds)) for seconds in (3600, 60, 0)]
    await clock.advance(61)
    assert [entry[:2] for entry in woken] == [(0, 0), (60, 60)]
    await clock.advance(3600)
    assert woken[-1] == (3600, 3600, START + timedelta(hours=1))
    await asyncio.gather(*tasks)
    assert clock.next_due is None


async def test_what_a_timer_sets_off_comes_before_the_next_one():
    clock, order = JumpingClock(), []

    async def chain() -> None:
        await clock.sleep(10)
        order.append("first")
        await clock.sleep(5)
        order.append("second")

    task = asyncio.ensure_future(chain())
    clock.call_later(20, order.append, "third")
    await clock.advance(30)
    assert order == ["first", "second", "third"]
    await task


async def test_cancelled_timers_and_sleepers_leave_nothing():
    clock = JumpingClock()
    clock.call_later(5, lambda: 1 // 0).cancel()
    task = asyncio.ensure_future(clock.sleep(5))
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(10)
    assert task.cancelled()
    assert clock.next_due is None
