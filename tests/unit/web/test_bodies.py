"""Room for large bodies: turns are kept, and nothing is lost when somebody leaves while he waits."""

from __future__ import annotations

import asyncio

import pytest

from postroad.web.bodies import BodyRoom, Busy
from postroad.web.wire import ClientGone, read_body


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_comes_first_goes_first() -> None:
    room, order = BodyRoom(100), list[int]()

    async def take(octets: int) -> None:
        await room.take(octets)
        order.append(octets)

    await room.take(60)
    waiting = [asyncio.create_task(take(octets)) for octets in (90, 20)]
    await settle()
    assert order == []
    room.give_back(60)
    await settle()
    assert order == [90], "the small one does not overtake the large one for ever"
    room.give_back(90)
    await asyncio.gather(*waiting)
    assert order == [90, 20]


async def test_a_body_larger_than_all_the_room_has_it_alone() -> None:
    room = BodyRoom(100)
    assert await room.take(1000) == 100


async def test_who_waits_too_long_is_told() -> None:
    room = BodyRoom(100, patience=0.001)
    await room.take(100)
    with pytest.raises(Busy):
        await room.take(1)
    room.give_back(100)
    assert await room.take(100) == 100


async def test_who_leaves_while_waiting_holds_up_nobody() -> None:
    room = BodyRoom(100)
    await room.take(60)
    large = asyncio.create_task(room.take(90))
    small = asyncio.create_task(room.take(40))
    await settle()
    large.cancel()
    await settle()
    assert small.done()


async def test_who_leaves_in_the_moment_of_his_turn_gives_it_back() -> None:
    room = BodyRoom(100)
    await room.take(100)
    waiting = asyncio.create_task(room.take(100))
    await settle()
    room.give_back(100)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await room.take(100) == 100


async def test_a_client_that_leaves_in_the_middle() -> None:
    messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, object]:
        return next(messages)

    with pytest.raises(ClientGone):
        await read_body(receive)
