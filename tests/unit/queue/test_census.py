"""The census: one count for all who ask, kept while it is fresh, never more groups than fit."""

import asyncio

import pytest

from postroad.ports.store import DeliveryState, QueueFilter
from postroad.queue import census, view
from postroad.queue.census import Census
from postroad.testing.clock import JumpingClock
from postroad.testing.stores import Mail, open_store


@pytest.fixture
def clock():
    return JumpingClock()


@pytest.fixture
def mail(clock):
    return Mail(clock)


@pytest.fixture
async def store(tmp_path, clock):
    async with open_store(tmp_path, clock=clock) as store:
        yield store


async def fill(store, mail, *dests):
    for dest in dests:
        await store.accept(mail.remote(dest=dest, owned=False))


async def test_the_queue_is_drawn_by_destination_cause_and_age(store, mail, clock):
    held = mail.remote(dest="mx:a.test")
    await store.accept(held)
    await store.outcomes(mail.outcome(held.deliveries[0], DeliveryState.HELD))
    await clock.advance(600)
    await fill(store, mail, "mx:b.test", "mx:b.test")
    picture = await Census(store, clock).picture()
    assert (picture.total.queued, picture.total.held, picture.total.total) == (2, 1, 3)
    assert [(group.key, group.queued, group.held) for group in picture.by_dest] == [
        ("mx:b.test", 2, 0),
        ("mx:a.test", 0, 1),
    ]
    assert [(group.key, group.total, group.dest) for group in picture.by_cause] == [
        ("", 2, "mx:b.test"),
        ("receiver_trouble", 1, "mx:a.test"),
    ]
    assert [group.total for group in picture.by_age] == [2, 1, 0, 0, 0, 0, 0]
    assert picture.by_dest[1].cause == "receiver_trouble"
    assert picture.total.oldest == held.message.created


async def test_a_picture_is_kept_while_it_is_fresh(store, mail, clock):
    counted = Census(store, clock)
    await fill(store, mail, "mx:a.test")
    first = await counted.picture()
    await fill(store, mail, "mx:a.test")
    assert await counted.picture() is first
    await clock.advance(census.FRESH)
    assert (await counted.picture()).total.total == 2


async def test_after_a_change_by_hand_it_is_counted_anew(store, mail, clock):
    counted = Census(store, clock)
    await fill(store, mail, "mx:a.test")
    await counted.picture()
    await fill(store, mail, "mx:a.test")
    counted.forget()
    assert (await counted.picture()).total.total == 2


async def test_all_who_ask_at_once_share_one_count(store, mail, clock):
    counted = Census(store, clock)
    await fill(store, mail, "mx:a.test")
    one, two = await asyncio.gather(counted.picture(), counted.picture())
    assert one is two


async def test_whoever_does_not_wait_gets_the_last_one(store, mail, clock, monkeypatch):
    counted = Census(store, clock)
    assert await counted.glance(0.0) is None
    first = await counted.picture()
    assert await counted.glance(0.0) is first
    await clock.advance(census.FRESH)
    assert await counted.glance(0.0) is first
    assert await counted.glance(60.0) is not first


async def test_groups_beyond_what_fits_are_only_counted(store, mail, clock, monkeypatch):
    monkeypatch.setattr(census, "GROUPS", 2)
    monkeypatch.setattr(census, "SLICE", 2)
    await fill(store, mail, "mx:a.test", "mx:b.test", "mx:c.test", "mx:a.test")
    picture = await Census(store, clock).picture()
    assert {group.key for group in picture.by_dest} == {"mx:a.test", "mx:b.test"}
    assert (picture.rest_of_dests, picture.total.total) == (1, 4)


async def test_a_preview_adds_up_what_several_filters_mean(store, mail):
    await fill(store, mail, "mx:a.test", "mx:b.test", "mx:b.test")
    meant = await view.preview(store, [QueueFilter(dest="mx:a.test"), QueueFilter(dest="mx:b.test")])
    assert (meant.recipients, meant.messages, meant.more) == (3, 3, False)
    assert meant.dests == {"mx:a.test": 1, "mx:b.test": 2}
    assert meant.senders == {"sender@client.test": 3}
    assert len(meant.examples) == 3
