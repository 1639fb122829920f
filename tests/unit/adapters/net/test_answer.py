"""Waiting answers: run at once, carried on by futures, cancelled with what they wait for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable

import pytest

from postroad.adapters.net.answer import Answer


def started(awaitable: Awaitable[None]) -> tuple[Answer, list[Answer]]:
    ended: list[Answer] = []
    answer = Answer(awaitable, ended.append)
    answer.run()
    return answer, ended


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_need_not_wait_is_through_at_once() -> None:
    async def nothing() -> None: ...

    answer, ended = started(nothing())
    assert (ended, answer.done, answer.error) == ([answer], True, None)


async def test_it_goes_on_from_future_to_future() -> None:
    one, two = (asyncio.get_running_loop().create_future() for _ in range(2))
    heard: list[int] = []

    async def both() -> None:
        heard.append(await one)
        await asyncio.sleep(0)
        heard.append(await two)

    answer, ended = started(both())
    one.set_result(1)
    await turns()
    assert (heard, answer.done) == ([1], False)
    two.set_result(2)
    await turns()
    assert (heard, ended) == ([1, 2], [answer])


async def test_a_bare_future_will_do() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer, ended = started(future)
    assert not answer.done
    future.set_result(None)
    await turns()
    assert ended == [answer]


async def test_a_bug_is_told_and_not_raised() -> None:
    async def bug() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    answer, ended = started(bug())
    await turns()
    assert ended == [answer]
    assert isinstance(answer.error, KeyError)


@pytest.mark.parametrize("between", [False, True], ids=["while it waits", "before its next step"])
async def test_cancelling_is_seen_inside(between: bool) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def waits() -> None:
        try:
            await future
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    answer, ended = started(waits())
    if between:
        future.set_result(None)
    answer.cancel()
    await turns()
    assert (seen, ended) == (["cancelled"], [answer])
    assert isinstance(answer.error, asyncio.CancelledError)


async def test_nothing_is_left_to_the_collector() -> None:
    async def sleeps() -> None:
        await asyncio.sleep(0)

    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            Answer(sleeps(), lambda _: None).run()
        await turns()
        assert gc.collect() < 50
    finally:
        gc.enable()
