"""The two hot paths and APPEND: what they write, what they refuse, and that a group hurts nobody but the guilty."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import BlobId, MailboxId, MessageId
from postroad.ports.store import Accepted, DeliveryState, Refused


async def test_an_acceptance_is_there_whole(store, mail):
    acceptance = mail.remote("a@remote.test", "b@remote.test")
    assert await store.accept(acceptance) == Accepted()
    message = acceptance.message
    assert await store.read(lambda tx: tx.messages.get(message.id)) == message
    assert await store.read(lambda tx: tx.deliveries.of_message(message.id)) == list(acceptance.deliveries)
    assert await store.read(lambda tx: tx.events.of_message(message.id)) == list(acceptance.events)
    place = await store.read(lambda tx: tx.messages.place(message.blob))
    assert await store.blobs.read(place) == acceptance.content


async def test_many_acceptances_of_one_turn_all_arrive(store, mail):
    inbox = await store.write(mail.inbox)
    units = [mail.local(inbox, content=b"Subject: %d\r\n\r\n" % n) for n in range(70)]
    accepted = await asyncio.gather(*(store.accept(unit) for unit in units))
    assert [uid for a in accepted for uid in a.uids] == list(range(1, 71))
    rows = await store.read(lambda tx: tx.mailbox_messages.page(inbox))
    assert [row.blob for row in rows] == [unit.message.blob for unit in units]
    places = await store.read(lambda tx: tx.messages.places([unit.message.blob for unit in units]))
    read = await store.blobs.read_many([(places[unit.message.blob], 0, None) for unit in units])
    assert read == [unit.content for unit in units]
    record = await store.read(lambda tx: tx.mailboxes.get(inbox))
    assert (record.total, record.unseen, record.uid_next) == (70, 70, 71)
    assert record.size == sum(row.size for row in rows)
    account = await store.read(lambda tx: tx.accounts.get(record.account))
    assert account.used_bytes == record.size


async def test_mail_for_two_mailboxes_and_twice_for_one(store, mail):
    first = await store.write(mail.inbox)
    second = await store.write(lambda tx: mail.inbox(tx, "bob@local.test"))
    accepted = await store.accept(mail.local(first, second, first))
    assert accepted.uids == (1, 1, 1)  # one message is once in a mailbox, by however many aliases it came
    assert (await store.read(lambda tx: tx.mailboxes.get(first))).total == 1


async def test_large_content_comes_with_its_place(store, mail):
    acceptance = mail.remote()
    writer = store.blobs.create(acceptance.message.blob, b"envelope")
    for _ in range(10):
        await writer.write(b"x" * 100_000)
    acceptance.content, acceptance.place = None, await writer.finish()
    await store.accept(acceptance)
    place = await store.read(lambda tx: tx.messages.place(acceptance.message.blob))
    assert place == acceptance.place
    assert b"".join([piece async for piece in store.blobs.stream(place)]) == b"x" * 1_000_000


async def test_what_is_abandoned_is_dropped(store, mail):
    acceptance = mail.remote()
    acceptance.abandoned = True
    assert await store.accept(acceptance) == Accepted(dropped=True)
    assert await store.read(lambda tx: tx.messages.get(acceptance.message.id)) is None


async def test_only_the_guilty_one_of_a_group_is_refused(store, mail):
    inbox = await store.write(mail.inbox)
    good = [mail.local(inbox) for _ in range(3)]
    gone = mail.local(MailboxId(999))
    twice = mail.remote()
    await store.accept(twice)
    units = [good[0], gone, good[1], twice, good[2]]
    results = await asyncio.gather(*(store.accept(unit) for unit in units), return_exceptions=True)
    assert [result.uids for result in results if isinstance(result, Accepted)] == [(1,), (2,), (3,)]
    assert isinstance(results[1], Refused)
    assert isinstance(results[3], Refused)
    assert await store.read(lambda tx: tx.messages.get(gone.message.id)) is None
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


async def test_an_append_enters_the_mailbox(store, mail):
    inbox = await store.write(mail.inbox)
    append = mail.append(inbox, b"Subject: mine\r\n\r\n", flags=1)
    assert await asyncio.gather(store.append(append), store.append(mail.append(inbox))) == [1, 2]
    rows = await store.read(lambda tx: tx.mailbox_messages.page(inbox))
    assert (rows[0].blob, rows[0].flags, rows[0].size) == (append.blob, 1, 17)
    place = await store.read(lambda tx: tx.messages.place(append.blob))
    assert await store.blobs.read(place) == b"Subject: mine\r\n\r\n"
    assert append.blob in await store.read(lambda tx: tx.mailbox_messages.contents([append.blob]))
    assert (await store.read(lambda tx: tx.mailboxes.get(inbox))).unseen == 1
    with pytest.raises(Refused):
        await store.append(mail.append(MailboxId(999)))


async def test_an_append_of_large_content_names_its_place(store, mail):
    inbox = await store.write(mail.inbox)
    append = mail.append(inbox)
    writer = store.blobs.create(append.blob, b"")
    await writer.write(b"y" * 300_000)
    append.content, append.place = None, await writer.finish()
    await store.append(append)
    assert await store.read(lambda tx: tx.messages.place(append.blob)) == append.place


# --- outcomes ---


async def test_an_outcome_ends_a_delivery_with_its_attempt_and_event(store, mail):
    acceptance = mail.remote()
    await store.accept(acceptance)
    delivery = acceptance.deliveries[0]
    outcomes = mail.outcome(delivery)
    assert await store.outcomes(outcomes) == 1
    found = await store.read(lambda tx: tx.deliveries.get(delivery.id))
    result = outcomes.results[0]
    assert found == replace(
        delivery, state=DeliveryState.DELIVERED, due=None, last_status=result.status, finished=mail.now, owner=None
    )
    attempts = await store.read(lambda tx: tx.messages.attempts(acceptance.message.id))
    assert attempts == [(outcomes.attempt, {delivery.id: result.status})]
    events = await store.read(lambda tx: tx.events.of_message(acceptance.message.id))
    assert events[-1] == outcomes.events[0]


async def test_a_deferral_gives_the_row_back_and_it_comes_due(store, mail):
    acceptance = mail.remote()
    await store.accept(acceptance)
    delivery = acceptance.deliveries[0]
    await store.outcomes(mail.outcome(delivery, DeliveryState.QUEUED, due=timedelta(minutes=5)))
    found = await store.read(lambda tx: tx.deliveries.get(delivery.id))
    assert (found.owner, found.due, found.tries) == (None, mail.now + timedelta(minutes=5), 1)
    assert await store.read(lambda tx: tx.deliveries.next_due(after=mail.now)) == found.due


async def test_a_stale_owner_changes_nothing_and_its_events_are_not_told(store, mail):
    acceptance = mail.remote("a@remote.test", "b@remote.test")
    await store.accept(acceptance)
    first, second = acceptance.deliveries
    stale, good = mail.outcome(first, epoch=0), mail.outcome(second)
    both = replace(good, results=[*stale.results, *good.results], events=[*stale.events, *good.events])
    assert await store.outcomes(both) == 1
    assert await store.outcomes(good) == 0  # it is no longer ours
    kinds = [event.kind for event in await store.read(lambda tx: tx.events.of_message(acceptance.message.id))]
    assert kinds == ["received", "queued", "queued", "delivered"]
    assert (await store.read(lambda tx: tx.deliveries.get(first.id))).state is DeliveryState.QUEUED


async def test_two_outcomes_of_one_delivery_in_one_group_count_once(store, mail):
    acceptance = mail.remote()
    await store.accept(acceptance)
    delivery = acceptance.deliveries[0]
    counts = await asyncio.gather(store.outcomes(mail.outcome(delivery)), store.outcomes(mail.outcome(delivery)))
    assert counts == [1, 0]
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


async def test_an_outcome_can_keep_its_owner_and_change_the_next_hop(store, mail):
    acceptance = mail.remote()
    await store.accept(acceptance)
    delivery = acceptance.deliveries[0]
    outcomes = mail.outcome(delivery, DeliveryState.QUEUED, due=timedelta(minutes=5))
    moved = replace(outcomes.results[0], dest="host:relay.test:25", keep_owner=True)
    assert await store.outcomes(replace(outcomes, results=[moved])) == 1
    found = await store.read(lambda tx: tx.deliveries.get(delivery.id))
    assert (found.dest, found.owner) == ("host:relay.test:25", mail.node)
    assert await store.read(lambda tx: tx.deliveries.next_due(after=mail.now)) is None


async def test_mail_and_outcomes_and_functions_share_a_group(store, mail):
    first = mail.remote()
    await store.accept(first)
    second = mail.remote()
    accepted, count, text = await asyncio.gather(
        store.accept(second),
        store.outcomes(mail.outcome(first.deliveries[0])),
        store.write(lambda tx: (tx.meta.put("a", "b"), tx.meta.get("a"))[1]),
    )
    assert (accepted, count, text) == (Accepted(), 1, "b")


async def test_texts_that_no_column_takes_are_mended(store, mail):
    acceptance = mail.remote()
    acceptance.message = replace(acceptance.message, subject="a\0b \udc80", header_from="x\0")
    await store.accept(acceptance)
    assert (await store.read(lambda tx: tx.messages.get(acceptance.message.id))).subject == "a\ufffdb ?"


async def test_places_of_nothing(store):
    assert await store.read(lambda tx: tx.messages.place(BlobId(1))) is None
    assert await store.read(lambda tx: tx.messages.places([])) == {}
    assert await store.read(lambda tx: tx.messages.get(MessageId(1))) is None


async def test_a_failed_read_of_content_says_so(store):
    with pytest.raises(OSError):
        await store.blobs.read(BlobPlace("none.seg", 0, 10))
