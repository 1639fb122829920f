"""The queue: claims, wishes, what people list and change."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.adapters.sql.repositories.deliveries import TWICE
from postroad.events.model import EventKind
from postroad.ports.ids import NodeId
from postroad.ports.store import DeliveryState, QueueFilter, Wish

OTHER = NodeId(5)
LEASE = timedelta(minutes=30)


async def accept(store, *acceptances):
    await asyncio.gather(*(store.accept(acceptance) for acceptance in acceptances))
    return [delivery for acceptance in acceptances for delivery in acceptance.deliveries]


async def claim(store, mail, limit=10, node=OTHER, epoch=3):
    return await store.write(lambda tx: tx.deliveries.claim_due(node, epoch, now=mail.now, limit=limit, lease=LEASE))


async def test_a_claim_takes_what_is_due_and_nobody_owns(store, mail):
    due, later, owned = await accept(
        store,
        mail.remote(owned=False, due=timedelta(0)),
        mail.remote(owned=False, due=timedelta(minutes=1)),
        mail.remote(due=timedelta(0)),
    )
    entries = await claim(store, mail)
    assert [entry.delivery.id for entry in entries] == [due.id]
    assert entries[0].delivery == replace(due, owner=NodeId(5), epoch=3, tries=1, due=mail.now + LEASE)
    assert entries[0].message.id == due.message
    assert await claim(store, mail) == []
    assert await store.read(lambda tx: tx.deliveries.next_due(after=mail.now)) == later.due
    assert await store.read(lambda tx: tx.deliveries.get(owned.id)) == owned


async def test_a_claim_is_fair_over_destinations(store, mail):
    crowd = [mail.remote(owned=False, due=timedelta(0), dest="mx:crowd.test") for _ in range(20)]
    few = [mail.remote(owned=False, due=timedelta(0), dest=f"mx:few{n}.test") for n in range(3)]
    await accept(store, *crowd, *few)
    dests = [entry.delivery.dest for entry in await claim(store, mail, limit=8)]
    assert len(dests) == 8
    assert set(dests) == {"mx:crowd.test", "mx:few0.test", "mx:few1.test", "mx:few2.test"}
    rest = await claim(store, mail, limit=100)
    assert len(rest) == 15


async def test_the_oldest_due_of_a_destination_is_first(store, mail, clock):
    late, early = await accept(
        store,
        mail.remote(owned=False, due=timedelta(minutes=2)),
        mail.remote(owned=False, due=timedelta(minutes=1)),
    )
    await clock.advance(180)
    assert [e.delivery.id for e in await claim(store, mail, limit=1)] == [early.id]
    assert [e.delivery.id for e in await claim(store, mail, limit=1)] == [late.id]


async def test_two_claims_at_once_share_nothing(store, mail):
    await accept(store, *(mail.remote(owned=False, due=timedelta(0), dest=f"mx:{n % 3}.test") for n in range(30)))
    first, second = await asyncio.gather(claim(store, mail, 20), claim(store, mail, 20, NodeId(6)))
    third = await claim(store, mail, 30)
    ids = [entry.delivery.id for entry in [*first, *second, *third]]
    assert len(ids) == len(set(ids)) == 30


async def test_a_node_takes_back_its_own_rows_of_earlier_epochs(store, mail):
    old, new, held = await accept(store, mail.remote(), mail.remote(), mail.remote())
    await store.outcomes(mail.outcome(held, DeliveryState.HELD))
    current = replace(mail.remote().deliveries[0], epoch=2)
    fresh = mail.remote()
    fresh.deliveries = [replace(current, message=fresh.message.id)]
    await store.accept(fresh)

    def take(tx):
        return tx.deliveries.take_back(mail.node, 2, now=mail.now, limit=10, lease=LEASE)

    entries = await store.write(take)
    assert [entry.delivery.id for entry in entries] == [old.id, new.id]
    assert {(entry.delivery.epoch, entry.delivery.tries) for entry in entries} == {(2, 2)}
    assert await store.write(take) == []
    owned = await store.read(lambda tx: tx.deliveries.owned(mail.node, 2, after=None, limit=10))
    assert len(owned) == 3
    assert await store.read(lambda tx: tx.deliveries.owned(mail.node, 2, after=owned[-1].delivery.id, limit=10)) == []


async def test_rows_of_a_dead_node_fall_due(store, mail, clock):
    node, epoch = await store.write(lambda tx: tx.nodes.join("dead", now=mail.now, lease=timedelta(seconds=60)))
    mail.node, mail.epoch = node, epoch
    (delivery,) = await accept(store, mail.remote())

    def release(tx):
        return tx.deliveries.release_dead(now=mail.now, limit=10)

    assert await store.write(release) == 0
    await clock.advance(61)
    assert await store.write(release) == 1
    assert [entry.delivery.id for entry in await claim(store, mail)] == [delivery.id]


async def test_a_wish_reaches_the_owner_and_ends_with_the_outcome(store, mail):
    first, second = await accept(store, mail.remote("a@remote.test"), mail.remote("b@other.test"))

    def wish(what, **where):
        return lambda tx: tx.deliveries.wish(QueueFilter(**where), what, after=None, limit=10)

    assert await store.write(wish(Wish.HOLD, domain="other.test")) == [second.id]
    assert await store.read(lambda tx: tx.deliveries.wishes(mail.node, mail.epoch)) == [(second.id, Wish.HOLD)]
    await store.write(wish(Wish.RETRY, delivery=first.id))
    for delivery in (first, second):
        await store.outcomes(mail.outcome(delivery, DeliveryState.QUEUED, due=timedelta(minutes=5)))
    # The owner had not come to the hold: it stays. A retry is what has just been made.
    assert (await store.read(lambda tx: tx.deliveries.get(second.id))).wish is Wish.HOLD
    assert (await store.read(lambda tx: tx.deliveries.get(first.id))).wish is Wish.NONE
    assert await store.write(wish(Wish.CANCEL)) == []  # nobody owns them now


async def test_wishes_go_in_slices(store, mail):
    deliveries = await accept(store, *(mail.remote() for _ in range(5)))
    seen, after = [], None
    while some := await store.write(
        lambda tx, after=after: tx.deliveries.wish(QueueFilter(), Wish.HOLD, after=after, limit=2)
    ):
        seen += some
        after = some[-1]
    assert seen == [delivery.id for delivery in deliveries]


async def test_a_row_that_nobody_owns_is_changed_by_hand(store, mail):
    free, owned = await accept(store, mail.remote(owned=False), mail.remote())
    event = mail.event(EventKind.CANCELLED, free.message, free.id, by="operator")
    stray = mail.event(EventKind.CANCELLED, owned.message, owned.id, by="operator")
    results = [mail.outcome(delivery, DeliveryState.CANCELLED).results[0] for delivery in (free, owned)]
    assert await store.write(lambda tx: tx.deliveries.set_unowned(results, [event, stray])) == 1
    assert (await store.read(lambda tx: tx.deliveries.get(free.id))).state is DeliveryState.CANCELLED
    assert await store.read(lambda tx: tx.deliveries.get(owned.id)) == owned
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


async def test_a_held_row_that_is_released_comes_due(store, mail):
    (delivery,) = await accept(store, mail.remote())
    await store.outcomes(mail.outcome(delivery, DeliveryState.HELD))
    released = replace(mail.outcome(delivery, DeliveryState.QUEUED).results[0], due=mail.now)
    assert await store.write(lambda tx: tx.deliveries.set_unowned([released], [])) == 1
    assert [entry.delivery.id for entry in await claim(store, mail)] == [delivery.id]


async def test_rows_open_at_a_crash_say_so(store, mail):
    first, second = await accept(store, mail.remote(), mail.remote())
    await store.outcomes(mail.outcome(second))
    await store.write(lambda tx: tx.deliveries.open_before_crash([first.id, second.id]))
    assert (await store.read(lambda tx: tx.deliveries.get(first.id))).last_status.text == TWICE
    assert (await store.read(lambda tx: tx.deliveries.get(second.id))).last_status.text == "ok"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcd"),
        ({"domain": "remote.test"}, "ac"),
        ({"domain": "REMOTE.test"}, "ac"),
        ({"domain": "te.test"}, ""),
        ({"dest": "mx:other.test"}, "bd"),
        ({"state": DeliveryState.HELD}, "c"),
        ({"sender": "BOSS@"}, "d"),
        ({"older_than": timedelta(minutes=1)}, "ab"),
        ({"older_than": timedelta(hours=1)}, ""),
    ],
)
async def test_the_queue_is_listed_by_what_people_ask(store, mail, clock, where, expected):
    a, b = await accept(store, mail.remote("a@remote.test"), mail.remote("b@other.test", dest="mx:other.test"))
    await clock.advance(120)
    c, d, done = await accept(
        store,
        mail.remote("c@remote.test"),
        mail.remote("d@sub.remote.test", dest="mx:other.test", reverse_path="boss@client.test"),
        mail.remote("e@remote.test"),
    )
    await store.outcomes(mail.outcome(c, DeliveryState.HELD))
    await store.outcomes(mail.outcome(done))
    names = {a.id: "a", b.id: "b", c.id: "c", d.id: "d"}
    entries = await store.read(lambda tx: tx.deliveries.queue(QueueFilter(**where)))
    assert "".join(names[entry.delivery.id] for entry in entries) == expected


async def test_the_queue_is_paged_and_found_by_id(store, mail):
    deliveries = await accept(store, *(mail.remote() for _ in range(5)))
    page = await store.read(lambda tx: tx.deliveries.queue(QueueFilter(), limit=2))
    more = await store.read(lambda tx: tx.deliveries.queue(QueueFilter(), after=page[-1].delivery.id, limit=9))
    assert [entry.delivery for entry in page + more] == deliveries
    one = deliveries[3]
    for where in (QueueFilter(delivery=one.id), QueueFilter(message=one.message)):
        assert [e.delivery for e in await store.read(lambda tx, w=where: tx.deliveries.queue(w))] == [one]


async def test_the_summary_counts_by_destination(store, mail, clock):
    first = mail.now
    busy = await accept(store, *(mail.remote(dest="mx:busy.test") for _ in range(3)))
    await clock.advance(60)
    await accept(store, mail.remote(dest="mx:quiet.test"))
    await store.outcomes(mail.outcome(busy[0], DeliveryState.HELD))
    await store.outcomes(mail.outcome(busy[1], DeliveryState.QUEUED, due=timedelta(seconds=1)))
    summary = await store.read(lambda tx: tx.deliveries.summary())
    assert [(s.dest, s.queued, s.held) for s in summary] == [("mx:busy.test", 2, 1), ("mx:quiet.test", 1, 0)]
    assert summary[0].oldest == first
    assert summary[0].next_due == mail.now + timedelta(seconds=1)
    assert summary[0].last_text == "later"
    assert summary[1].last_text == ""
