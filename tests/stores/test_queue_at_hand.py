"""What the queue is asked by people and by its owner beside the claims: figures, choices, wishes; on both engines."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.mail.status import status
from postroad.ports.store import DeliveryState, QueueFilter, Wish

HOUR = timedelta(hours=1)


@pytest.fixture
async def queue(store, mail, clock):
    """Three at two destinations, of nobody, due at once; an hour later one more."""
    made = [
        mail.remote(path, dest=f"mx:{path.partition('@')[2]}") for path in ("a@one.test", "b@one.test", "c@two.test")
    ]
    for acceptance in made:
        acceptance.deliveries = [replace(acceptance.deliveries[0], owner=None, epoch=0, tries=1, due=mail.now)]
        await store.accept(acceptance)
    await clock.advance(3600)
    late = mail.remote("d@two.test", dest="mx:two.test")
    late.deliveries = [replace(late.deliveries[0], owner=None, epoch=0, due=mail.now)]
    await store.accept(late)
    return [acceptance.deliveries[0] for acceptance in (*made, late)]


async def test_ages(store, queue, mail):
    bands = [mail.now - timedelta(minutes=5), mail.now - 2 * HOUR]
    found = await store.read(lambda tx: tx.deliveries.ages(bands))
    assert [count for count, _ in found] == [1, 3, 0]
    assert [oldest for _, oldest in found] == [queue[3].id, queue[0].id, None]


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize(("by", "counts"), [("domain", {"one.test": 2, "two.test": 2}), ("cause", {"": 4})])
async def test_shares_count_each_once(store, queue, by, counts, limit):
    found, place = {}, None
    while True:
        part = await store.read(lambda tx, place=place: tx.deliveries.shares(by, place, limit))
        for share in part.shares:
            found[share.key] = found.get(share.key, 0) + share.queued + share.held
        if (place := part.place) is None:
            break
    assert found == counts


async def test_tenants_are_accounts_and_streams(store, queue):
    part = await store.read(lambda tx: tx.deliveries.shares("tenant", None, 100))
    assert sum(share.queued for share in part.shares) == 4


async def test_providers_are_known_once_they_are_named(store, queue):
    await store.write(lambda tx: tx.deliveries.name_providers([("mx:one.test", "google"), ("mx:gone.test", "yahoo")]))
    summary = await store.read(lambda tx: tx.deliveries.summary())
    assert {part.dest: part.provider for part in summary} == {"mx:one.test": "google", "mx:two.test": ""}
    chosen = await store.read(lambda tx: tx.deliveries.queue(QueueFilter(provider="google")))
    assert [entry.delivery.id for entry in chosen] == [queue[0].id, queue[1].id]


async def test_samples_in_order_and_none_that_are_old(store, queue, clock, mail):
    for _ in range(3):
        now = mail.now
        await store.write(lambda tx, now=now: tx.deliveries.take_sample(now, now - 2 * HOUR))
        await clock.advance(3600)
    kept = await store.read(lambda tx: tx.deliveries.samples(mail.now - 9 * HOUR))
    assert [(sample.queued, sample.held) for sample in kept] == [(4, 0)] * 3
    assert kept[0].oldest == mail.now - 4 * HOUR
    now = mail.now
    await store.write(lambda tx: tx.deliveries.take_sample(now, now - HOUR))
    assert len(await store.read(lambda tx: tx.deliveries.samples(mail.now - 9 * HOUR))) == 2


async def test_a_wish_for_what_nobody_owns_makes_it_due(store, queue, mail):
    await store.write(
        lambda tx: tx.deliveries.claim_due(mail.node, 1, now=mail.now, limit=9, lease=HOUR)
    )  # one epoch on: the rows are owned
    owned = await store.write(lambda tx: tx.deliveries.ask_unowned([queue[0].id], Wish.BOUNCE, now=mail.now))
    assert owned == 0


async def test_destinations_that_rest_are_left_alone_until_their_time(store, queue, mail):
    until = mail.now + HOUR

    def claim(tx, now, avoid):
        return tx.deliveries.claim_due(mail.node, 1, now=now, limit=9, lease=HOUR, avoid=avoid)

    first = await store.write(lambda tx: claim(tx, mail.now, {"mx:one.test": until}))
    assert {entry.delivery.dest for entry in first} == {"mx:two.test"}
    assert await store.write(lambda tx: claim(tx, mail.now, {})) == [], "its hint says when"
    later = await store.write(lambda tx: claim(tx, until, {}))
    assert {entry.delivery.dest for entry in later} == {"mx:one.test"}


async def test_another_next_hop_for_rows_that_are_owned(store, queue, mail):
    await store.write(lambda tx: tx.deliveries.set_dest([(queue[0].id, "to:mx:one.test")]))
    assert (await store.read(lambda tx: tx.deliveries.get(queue[0].id))).dest == "to:mx:one.test"


async def test_a_late_reply_stands_in_the_summary(store, queue, mail):
    claimed = await store.write(lambda tx: tx.deliveries.claim_due(mail.node, 1, now=mail.now, limit=9, lease=HOUR))
    delivery = next(entry.delivery for entry in claimed if entry.delivery.dest == "mx:two.test")
    outcome = mail.outcome(delivery, DeliveryState.QUEUED, due=HOUR, attempt=False)
    said = replace(outcome.results[0], status=status(451, "4.3.0", "too busy"), owner=mail.node, epoch=1)
    await store.outcomes(replace(outcome, results=[said], events=[]))
    summary = await store.read(lambda tx: tx.deliveries.summary())
    assert {part.dest: part.last_text for part in summary}["mx:two.test"] == "too busy"
