"""The writer's queue: what makes a group, and its bounds."""

import asyncio

import pytest

from postroad.adapters.sql import units
from postroad.adapters.sql.units import AcceptUnit, GroupQueue, OutcomeUnit, WorkUnit
from postroad.ports.store import Lane
from postroad.testing.stores import Mail


@pytest.fixture
async def queue():
    return GroupQueue(asyncio.get_running_loop())


def work(queue, lane=Lane.NORMAL):
    unit = WorkUnit(lambda tx: None, None)
    queue.put(unit, lane)
    return unit


async def turn():
    """The writer is woken at the end of the loop's turn."""
    await asyncio.sleep(0)


async def test_a_group_is_all_that_waits(queue):
    waiting = [work(queue) for _ in range(3)]
    await turn()
    assert len(queue) == 3
    assert queue.take(None) == waiting
    assert len(queue) == 3  # still in hand
    queue.done(3)
    assert len(queue) == 0
    assert queue.take(0) == []


async def test_a_group_is_bounded_by_number(queue, monkeypatch):
    monkeypatch.setattr(units, "MAX_UNITS", 4)
    for _ in range(10):
        work(queue)
    await turn()
    assert [len(queue.take(None)) for _ in range(3)] == [4, 4, 2]


async def test_a_group_is_bounded_by_size(queue, monkeypatch):
    monkeypatch.setattr(units, "MAX_OCTETS", 250)
    mail = Mail()
    for _ in range(5):
        queue.put(AcceptUnit(mail.remote(content=b"x" * 100), None))
    await turn()
    assert [len(queue.take(None)) for _ in range(2)] == [3, 2]


async def test_bulk_slices_go_alone(queue):
    slices = [work(queue, Lane.LOW) for _ in range(2)]
    mail = work(queue)
    await turn()
    assert [queue.take(None) for _ in range(3)] == [[mail], [slices[0]], [slices[1]]]


async def test_a_closed_queue_is_drained_first(queue):
    unit = work(queue)
    queue.close()
    assert queue.take(None) == [unit]
    assert queue.take(None) is None


async def test_a_waiting_writer_is_woken_once_for_all_of_a_turn(queue):
    taking = asyncio.ensure_future(asyncio.to_thread(queue.take, 10))
    while not queue._changed._waiters:
        await asyncio.sleep(0)
    waiting = [work(queue) for _ in range(5)]
    assert await taking == waiting


class SlowLoop:
    """Keeps what is to be called, with its delay."""

    def __init__(self):
        self.calls = []

    def time(self):
        return 0.0

    def call_soon(self, function):
        self.calls.append((0.0, function))

    def call_later(self, seconds, function):
        self.calls.append((seconds, function))
        return self

    def cancel(self):
        """A timer that has fired, mostly."""

    def run(self):
        calls, self.calls = self.calls, []
        for _, function in calls:
            function()


def delays(loop):
    return [delay for delay, _ in loop.calls]


def answer(queue, units):
    assert len(queue.take(0)) == units
    queue.answered()
    queue.done(units)


def test_who_comes_alone_never_waits():
    loop = SlowLoop()
    queue = GroupQueue(loop)
    for _ in range(3):
        work(queue)
        assert delays(loop) == [0.0]
        loop.run()
        answer(queue, 1)


def test_where_several_came_as_many_are_waited_for():
    loop = SlowLoop()
    queue = GroupQueue(loop)
    for _ in range(3):
        work(queue)
    loop.run()
    answer(queue, 3)
    work(queue)
    work(queue)
    assert delays(loop) == [units.GATHER]
    assert queue.take(0) == []
    work(queue)
    assert delays(loop) == [units.GATHER, 0.0]


def test_fewer_that_come_are_not_waited_for_again():
    loop = SlowLoop()
    queue = GroupQueue(loop)
    for expected in (3, 1):
        for _ in range(expected):
            work(queue)
        loop.run()  # the time is up
        answer(queue, expected)
    work(queue)
    assert delays(loop) == [0.0]


def test_who_comes_meanwhile_is_another():
    loop = SlowLoop()
    queue = GroupQueue(loop)
    work(queue)
    loop.run()
    assert len(queue.take(0)) == 1
    work(queue)
    work(queue)
    assert delays(loop) == [units.GATHER]  # the first is about to be answered, and may come again
    queue.answered()  # a moment before the writer is done
    work(queue)
    queue.done(1)
    assert delays(loop) == [units.GATHER, 0.0]
    loop.run()
    answer(queue, 3)


def test_nobody_waits_on_account_of_bulk_work():
    loop = SlowLoop()
    queue = GroupQueue(loop)
    work(queue, Lane.LOW)
    loop.run()
    assert len(queue.take(0)) == 1
    work(queue)
    assert delays(loop) == [0.0]
    queue.done(1)
    loop.run()
    answer(queue, 1)


def test_outcomes_ride_or_go_by_themselves():
    loop = SlowLoop()
    queue = GroupQueue(loop)
    queue.put(OutcomeUnit(None, None))
    assert delays(loop) == [units.OUTCOME_WAIT]
    work(queue)
    assert delays(loop) == [units.OUTCOME_WAIT, 0.0]
    loop.run()
    assert len(queue.take(0)) == 2
