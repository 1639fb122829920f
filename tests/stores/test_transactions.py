"""Functions in transactions: all or nothing, each for itself, in order, bulk work behind the rest."""

import asyncio

import pytest

from postroad.adapters.sql.database import Database
from postroad.adapters.sql.units import LOW_AFTER
from postroad.ports.store import Accepted, Lane, Refused, StoreUnavailable
from postroad.testing.stores import Mail, open_store


class Oops(Exception):
    pass


def put(name, value="x"):
    return lambda tx: tx.meta.put(name, value)


def get(name):
    return lambda tx: tx.meta.get(name)


async def test_a_function_that_raises_leaves_nothing_and_hurts_nobody(store):
    def fails(tx):
        tx.meta.put("bad", "x")
        raise Oops

    results = await asyncio.gather(
        store.write(put("a")), store.write(fails), store.write(put("b")), return_exceptions=True
    )
    assert isinstance(results[1], Oops)
    assert [await store.read(get(name)) for name in ("a", "bad", "b")] == ["x", None, "x"]


async def test_a_function_sees_what_it_and_those_before_it_wrote(store):
    async def step(name, seen):
        return await store.write(lambda tx: (tx.meta.put(name, "x"), tx.meta.get(seen))[1])

    assert await asyncio.gather(step("a", "a"), step("b", "a")) == ["x", "x"]


async def test_a_constraint_that_breaks_is_a_refusal(store, mail):
    unit = mail.remote()
    await store.accept(unit)
    with pytest.raises(Refused):
        await store.write(lambda tx: tx.events.add(unit.events))


async def test_a_cancelled_waiter_leaves_the_commit_to_finish(store):
    task = asyncio.ensure_future(store.write(put("a")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.write(put("b"))
    assert await store.read(get("a")) == "x"


async def test_a_reader_cannot_write(store):
    with pytest.raises(Exception, match=r"read-?only"):
        await store.read(put("a"))


async def test_a_reader_sees_one_moment(store):
    entered, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def read(tx):
        before = tx.meta.get("a")
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        return before, tx.meta.get("a")

    reading = asyncio.ensure_future(store.read(read))
    await entered.wait()
    await store.write(put("a"))
    go_on.set()
    assert await reading == (None, None)
    assert await store.read(get("a")) == "x"


async def test_bulk_slices_wait_for_mail_but_not_for_ever(engine, tmp_path, clock):
    """By order, not by time: the writer is held while both lanes fill."""
    mail = Mail(clock)
    engine.writers = 1
    async with open_store(tmp_path, engine, clock=clock) as store:
        order = []
        loop = asyncio.get_running_loop()
        hold = asyncio.Event()

        def block(tx):
            asyncio.run_coroutine_threadsafe(hold.wait(), loop).result(10)

        def bulk(number):
            return lambda tx: order.append(f"bulk {number}")

        blocked = asyncio.ensure_future(store.write(block))
        while not store.backlog:
            await asyncio.sleep(0)
        slices = [asyncio.ensure_future(store.write(bulk(n), lane=Lane.LOW)) for n in range(3)]
        await asyncio.sleep(0)
        unit = asyncio.ensure_future(store.write(lambda tx: order.append("mail")))
        accepted = store.accept(mail.remote())
        await asyncio.sleep(0)
        hold.set()
        await asyncio.gather(blocked, unit, accepted, *slices)
        assert order == ["mail", "bulk 0", "bulk 1", "bulk 2"]


async def test_a_stream_of_mail_does_not_keep_bulk_work_out(engine, tmp_path, clock):
    engine.writers = 1
    async with open_store(tmp_path, engine, clock=clock) as store:
        order: list[str] = []
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def next_mail(number):
            """Each group of mail puts the next one into the queue before it ends: the lane is never empty."""

            def function(tx):
                order.append("mail")
                asked = asyncio.run_coroutine_threadsafe(queue_next(number), loop)
                asked.result(10)

            return function

        async def queue_next(number):
            if number < 3 * LOW_AFTER:
                waiting.append(asyncio.ensure_future(store.write(next_mail(number + 1))))
                await asyncio.sleep(0)
            else:
                ended.set_result(None)

        waiting = [asyncio.ensure_future(store.write(next_mail(1)))]
        await asyncio.sleep(0)
        bulk = [asyncio.ensure_future(store.write(lambda tx: order.append("bulk"), lane=Lane.LOW)) for _ in range(2)]
        await ended
        await asyncio.gather(*waiting, *bulk)
        assert order.index("bulk") == LOW_AFTER
        assert order.count("bulk") == 2


async def test_what_waits_at_the_end_is_still_written(engine, tmp_path, mail, clock):
    async with open_store(tmp_path, engine, clock=clock) as store:
        waiting = [store.accept(mail.remote()) for _ in range(5)]
        assert store.backlog == 5
    assert await asyncio.gather(*waiting) == [Accepted()] * 5
    with pytest.raises(StoreUnavailable):
        await store.write(put("a"))


async def test_a_store_that_was_never_started_takes_nothing(engine, tmp_path):
    store = Database(engine, None, None, None)
    with pytest.raises(StoreUnavailable):
        store.accept(None)
    assert store.backlog == 0


async def test_figures(store):
    assert store.figures()["backlog"] == 0
    assert not store.stop_dialling
    assert store.engine.version[0] in "SP"
