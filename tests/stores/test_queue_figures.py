"""The queue in figures: a census in slices counts each waiting recipient once; a tally says what a filter means."""

from collections import Counter
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.mail.status import status
from postroad.ports.ids import NodeId
from postroad.ports.store import DeliveryState, QueueFilter

GREYLISTED = "greylisted"


def answered(mail, delivery, text, state=DeliveryState.QUEUED):
    """The delivery given back with this last reply."""
    outcome = mail.outcome(delivery, state, due=timedelta(minutes=5), attempt=False)
    return replace(outcome, results=[replace(outcome.results[0], status=status(450, "4.2.0", text))], events=[])


@pytest.fixture
async def queue(store, mail, clock):
    """An hour ago: two greylisted, one of them held. Now: one of node 1, one of node 2, one finished."""
    old = [mail.remote("a@remote.test"), mail.remote("b@remote.test", reverse_path="boss@client.test")]
    await clock.advance(3600)
    new = [mail.remote("c@remote.test"), mail.remote("d@slow.test", dest="mx:slow.test"), mail.remote("e@remote.test")]
    new[1].deliveries = [replace(new[1].deliveries[0], owner=NodeId(2))]
    for acceptance in (*old, *new):
        await store.accept(acceptance)
    a, b, c, d, e = (acceptance.deliveries[0] for acceptance in (*old, *new))
    await store.outcomes(answered(mail, a, "Greylisted, try again in 287 seconds"))
    await store.outcomes(answered(mail, b, "Greylisted, try again in 3 seconds", DeliveryState.HELD))
    await store.outcomes(mail.outcome(e))
    return {"a": a, "b": b, "c": c, "d": d}


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_census_counts_each_waiting_recipient_once(store, mail, queue, limit):
    cells, place = [], None
    bands = [mail.now - timedelta(minutes=30), mail.now - timedelta(days=1)]
    while True:
        part = await store.read(lambda tx, place=place: tx.deliveries.census(place, bands, limit))
        cells += part.cells
        place = part.place
        if place is None:
            break
    counted = Counter()
    for cell in cells:
        counted[cell.dest, cell.cause, cell.band, cell.state.value] += cell.count
    assert counted == {
        ("mx:remote.test", GREYLISTED, 1, "queued"): 1,
        ("mx:remote.test", GREYLISTED, 1, "held"): 1,
        ("mx:remote.test", "", 0, "queued"): 1,
        ("mx:slow.test", "", 0, "queued"): 1,
    }
    greylisted = [cell for cell in cells if cell.cause]
    assert {cell.oldest for cell in greylisted} == {mail.now - timedelta(hours=1)}
    assert [cell.next_due for cell in greylisted if cell.state is DeliveryState.QUEUED] == [
        mail.now + timedelta(minutes=5)
    ]


async def test_a_census_of_nothing_is_empty(store):
    part = await store.read(lambda tx: tx.deliveries.census(None, [], 10))
    assert (part.cells, part.place) == ((), None)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"cause": GREYLISTED}, "ab"),
        ({"cause": GREYLISTED, "state": DeliveryState.HELD}, "b"),
        ({"cause": ""}, "cd"),
        ({"cause": "grey"}, ""),
        ({"younger_than": timedelta(minutes=30)}, "cd"),
        ({"older_than": timedelta(minutes=30), "younger_than": timedelta(days=1)}, "ab"),
        ({"recipient": "SLOW"}, "d"),
    ],
)
async def test_filters_find_what_the_census_counted(store, queue, where, expected):
    names = {delivery.id: name for name, delivery in queue.items()}
    entries = await store.read(lambda tx: tx.deliveries.queue(QueueFilter(**where), limit=2))
    assert "".join(names[entry.delivery.id] for entry in entries) == expected
    tally = await store.read(lambda tx: tx.deliveries.tally(QueueFilter(**where), 10))
    assert (tally.recipients, tally.more) == (len(expected), False)


async def test_a_selection_is_found_by_its_ids(store, queue):
    where = QueueFilter(deliveries=(queue["a"].id, queue["d"].id))
    entries = await store.read(lambda tx: tx.deliveries.queue(where))
    assert [entry.delivery.id for entry in entries] == [queue["a"].id, queue["d"].id]


async def test_a_tally_names_senders_and_destinations_and_knows_its_limit(store, queue):
    tally = await store.read(lambda tx: tx.deliveries.tally(QueueFilter(), 10))
    assert tally.senders == (("sender@client.test", 3), ("boss@client.test", 1))
    assert tally.dests == (("mx:remote.test", 3), ("mx:slow.test", 1))
    assert (tally.recipients, tally.messages, tally.more) == (4, 4, False)
    short = await store.read(lambda tx: tx.deliveries.tally(QueueFilter(), 3))
    assert (short.recipients, short.more) == (3, True)


async def test_a_cause_is_found_by_its_reason_and_not_by_words(store, mail):
    """Another reply may say the name of the reason."""
    for text in ("mailbox full", "greylisted, try in 5 seconds", 'greylisted"]', "come back in 6 seconds"):
        acceptance = mail.remote()
        await store.accept(acceptance)
        await store.outcomes(answered(mail, acceptance.deliveries[0], text))
    where = QueueFilter(cause="mailbox_full")
    entries = await store.read(lambda tx: tx.deliveries.queue(where, limit=2))
    assert [entry.delivery.last_status.text for entry in entries] == ["mailbox full"]
    where = QueueFilter(cause="greylisted")
    assert (await store.read(lambda tx: tx.deliveries.tally(where, 10))).recipients == 3
