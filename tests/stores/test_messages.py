"""Search, events, refusals, the ledger, and what time takes away."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.events.model import EventKind
from postroad.ports.ids import BlobId, EventId
from postroad.ports.store import DeliveryState, MessageFilter, Refusal


async def accept(store, *acceptances):
    await asyncio.gather(*(store.accept(acceptance) for acceptance in acceptances))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "cba"),
        ({"sender": "ANN@"}, "a"),
        ({"recipient": "x@remote"}, "ba"),
        ({"address": "bob@"}, "b"),
        ({"address": "y@REMOTE"}, "c"),
        ({"subject": "offer"}, "b"),
        ({"subject": "größe"}, "c"),
        ({"subject": "100%"}, "a"),
        ({"subject": "_"}, ""),
        ({"state": DeliveryState.DELIVERED}, "b"),
        ({"recipient": "x@remote", "sender": "bob"}, "b"),
    ],
)
async def test_messages_are_found_newest_first(store, mail, where, expected):
    a = mail.remote("x@remote.test", reverse_path="ann@client.test", subject="100% sure")
    b = mail.remote("x@remote.test", "z@remote.test", reverse_path="bob@client.test", subject="An OFFER")
    c = mail.remote("y@remote.test", subject="GRÖSSE und GRÖßE")
    await accept(store, a, b, c)
    await store.outcomes(mail.outcome(b.deliveries[1]))
    names = {a.message.id: "a", b.message.id: "b", c.message.id: "c"}
    found = await store.read(lambda tx: tx.messages.search(MessageFilter(**where)))
    assert "".join(names[message.id] for message in found) == expected


async def test_messages_are_found_by_time_id_and_page(store, mail, clock):
    units = []
    for _ in range(4):
        units.append(mail.remote())
        await store.accept(units[-1])
        await clock.advance(60)
    times = [unit.message.created for unit in units]
    where = MessageFilter(since=times[1], until=times[3])
    found = await store.read(lambda tx: tx.messages.search(where))
    assert [message.created for message in found] == [times[2], times[1]]
    page = await store.read(lambda tx: tx.messages.search(MessageFilter(), limit=3))
    rest = await store.read(lambda tx: tx.messages.search(MessageFilter(), after=page[-1].id, limit=3))
    assert [message.id for message in page + rest] == [unit.message.id for unit in reversed(units)]
    by_id = MessageFilter(message_id=units[2].message.message_id)
    assert await store.read(lambda tx: tx.messages.search(by_id)) == [units[2].message]


async def test_events_are_read_on_from_the_last(store, mail):
    events = [mail.event(EventKind.ADMIN, action=f"step {n}") for n in range(3)]
    await store.write(lambda tx: tx.events.add(events))
    assert await store.read(lambda tx: tx.events.since(None, 2)) == events[:2]
    assert await store.read(lambda tx: tx.events.since(EventId(events[1].id), 10)) == events[2:]


async def test_refusals_are_searched(store, mail, clock):
    first = Refusal(mail.now, "mx", "c1", "192.0.2.1", "ehlo.test", "", "spam@x.test", "u@local.test", "rcpt",
                    550, "5.1.1", "no such user", "unknown")  # fmt: skip
    await clock.advance(60)
    second = replace(first, at=mail.now, client="192.0.2.2", recipient="", stage="auth", text="bad\0 password")
    await store.write(lambda tx: tx.refusals.add([first, second]))
    found = await store.read(lambda tx: tx.refusals.search())
    assert found == [replace(second, text="bad\ufffd password"), first]
    assert await store.read(lambda tx: tx.refusals.search(text="U@LOCAL")) == [first]
    assert len(await store.read(lambda tx: tx.refusals.search(text="c1"))) == 2, "by the reference in our reply"
    assert len(await store.read(lambda tx: tx.refusals.search(since=mail.now))) == 1
    assert len(await store.read(lambda tx: tx.refusals.search(limit=1))) == 1


# --- the ledger ---


async def test_a_clean_ledger_counts(store, mail):
    inbox = await store.write(mail.inbox)
    sent, waiting = mail.remote("a@remote.test", "b@remote.test"), mail.remote()
    await accept(store, mail.local(inbox), sent, waiting)
    await store.outcomes(mail.outcome(sent.deliveries[0]))
    await store.outcomes(mail.outcome(sent.deliveries[1], DeliveryState.BOUNCED))
    totals = await store.read(lambda tx: tx.ledger.totals())
    assert (totals.messages, totals.deliveries, totals.findings) == (3, 4, ())
    assert totals.by_state == {"queued": 1, "delivered": 2, "bounced": 1}


def no_final_event(acceptance, outcomes):
    return acceptance, replace(outcomes, events=[])


def two_final_events(acceptance, outcomes):
    return acceptance, replace(outcomes, events=[*outcomes.events, replace(outcomes.events[0], id=EventId(1))])


def another_final_event(acceptance, outcomes):
    return acceptance, replace(outcomes, events=[replace(outcomes.events[0], kind=EventKind.BOUNCED)])


def no_received_event(acceptance, outcomes):
    acceptance.events = acceptance.events[1:]
    return acceptance, outcomes


def no_recipient(acceptance, outcomes):
    acceptance.deliveries = []
    return acceptance, None


def finished_too_early(acceptance, outcomes):
    return acceptance, replace(outcomes, results=[replace(outcomes.results[0], state=DeliveryState.QUEUED)])


@pytest.mark.parametrize(
    ("breaking", "problem"),
    [
        (no_final_event, "it is delivered, with 0 such event(s) and 0 final event(s)"),
        (two_final_events, "it is delivered, with 2 such event(s)"),
        (another_final_event, "it is delivered, with 0 such event(s) and 1 final event(s)"),
        (no_received_event, "it has no event of its acceptance"),
        (no_recipient, "it has no recipient"),
        (finished_too_early, "it is queued, but has a final event"),
    ],
)
async def test_the_ledger_finds_what_breaks_the_promise(store, mail, breaking, problem):
    good, bad = mail.remote(), mail.remote()
    bad, outcomes = breaking(bad, mail.outcome(bad.deliveries[0]))
    await accept(store, good, bad)
    if outcomes:
        await store.outcomes(outcomes)
    (finding,) = (await store.read(lambda tx: tx.ledger.totals())).findings
    assert finding.message == bad.message.id
    assert problem in finding.problem


# --- retention ---


async def test_finished_messages_go_and_mailboxes_keep_theirs(store, mail, clock):
    inbox = await store.write(mail.inbox)
    local, sent, waiting = mail.local(inbox), mail.remote(), mail.remote()
    await accept(store, local, sent, waiting)
    await store.outcomes(mail.outcome(sent.deliveries[0]))
    await clock.advance(60)
    late = mail.remote()
    await store.accept(late)
    before = mail.now

    def retire(tx):
        return tx.retention.messages(before, limit=1)

    assert [await store.write(retire) for _ in range(3)] == [1, 1, 0]
    left = await store.read(lambda tx: tx.messages.search(MessageFilter()))
    assert {message.id for message in left} == {waiting.message.id, late.message.id}
    assert await store.read(lambda tx: tx.events.of_message(sent.message.id)) == []
    assert await store.read(lambda tx: tx.messages.attempts(sent.message.id)) == []
    assert len(await store.read(lambda tx: tx.mailbox_messages.page(inbox))) == 1
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


async def test_a_message_finished_lately_stays_however_old_it_is(store, mail, clock):
    unit = mail.remote()
    await store.accept(unit)
    await clock.advance(60)
    before = mail.now
    await clock.advance(60)
    await store.outcomes(mail.outcome(unit.deliveries[0]))
    assert await store.write(lambda tx: tx.retention.messages(before)) == 0
    assert await store.write(lambda tx: tx.retention.messages(mail.now + timedelta(seconds=1))) == 1


async def test_attempts_events_and_refusals_go_by_age(store, mail, clock):
    unit = mail.remote()
    await store.accept(unit)
    await store.outcomes(mail.outcome(unit.deliveries[0], DeliveryState.QUEUED, due=timedelta(minutes=1)))
    refusal = Refusal(mail.now, "mx", "c", "a", "h", "", "", "", "rcpt", 550, "5.1.1", "no", "")
    await store.write(lambda tx: tx.events.add([mail.event(EventKind.ADMIN, action="add")]))
    await store.write(lambda tx: tx.refusals.add([refusal]))
    for retire in ("attempts", "events", "refusals"):
        assert await store.write(lambda tx, retire=retire: getattr(tx.retention, retire)(mail.now)) == 0
    await clock.advance(1)
    for retire in ("attempts", "events", "refusals"):
        assert await store.write(lambda tx, retire=retire: getattr(tx.retention, retire)(mail.now)) == 1
        assert await store.write(lambda tx, retire=retire: getattr(tx.retention, retire)(mail.now)) == 0
    assert len(await store.read(lambda tx: tx.events.of_message(unit.message.id))) == 3  # a message keeps its own


async def test_a_deleted_mailbox_is_emptied_in_slices_and_its_content_forgotten(store, mail):
    inbox = await store.write(mail.inbox)
    appends = [mail.append(inbox) for _ in range(5)]
    await asyncio.gather(*(store.append(append) for append in appends))
    await store.write(lambda tx: tx.mailbox_messages.expunge(inbox, [1]))
    account = (await store.read(lambda tx: tx.mailboxes.get(inbox))).account
    await store.write(lambda tx: tx.mailboxes.delete(inbox))
    assert (await store.read(lambda tx: tx.accounts.get(account))).used_bytes == 0
    taken = [await store.write(lambda tx: tx.retention.deleted_mailboxes(limit=2)) for _ in range(4)]
    assert taken == [2, 2, 1, 0]

    blobs = [append.blob for append in appends]
    walked = await store.read(lambda tx: tx.places.walk(BlobId(0), limit=3))
    assert [(blob, named) for blob, _, named in walked] == [(blob, False) for blob in blobs[:3]]
    assert len(await store.read(lambda tx: tx.places.walk(blobs[2], limit=3))) == 2
    assert await store.write(lambda tx: tx.places.forget(blobs)) == blobs
    assert await store.read(lambda tx: tx.messages.places(blobs)) == {}
