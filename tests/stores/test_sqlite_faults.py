"""Disks that fail under the store: what is refused, what is kept, and that service returns by itself."""

import asyncio

import apsw
import pytest

from postroad.adapters.blobs.record import scan
from postroad.adapters.blobs.segments import QUARANTINE
from postroad.ports.store import Accepted, DeliveryState, MessageFilter, StoreUnavailable
from postroad.testing.faults import BROKEN, NO_SPACE, FaultyFiles, FaultyVfs
from postroad.testing.stores import faulty_engine, open_store


@pytest.fixture
def files():
    return FaultyFiles()


@pytest.fixture
def vfs():
    vfs = FaultyVfs()
    yield vfs
    vfs.unregister()


@pytest.fixture
async def store(tmp_path, clock, files, vfs):
    async with open_store(tmp_path, faulty_engine(tmp_path, vfs.name), clock=clock, files=files) as store:
        yield store
        vfs.heal()
        files.heal()


async def eventually(attempt, refusals=StoreUnavailable):
    """The answer, once the store has got going again."""
    while True:
        try:
            return await attempt()
        except refusals:
            await asyncio.sleep(0)


async def messages(store):
    return {message.id for message in await store.read(lambda tx: tx.messages.search(MessageFilter()))}


def scanned(store):
    return [record for path in sorted(store.blobs.segments.glob("*.seg")) for record in scan(path)]


# --- segments ---


@pytest.mark.parametrize("operation", ["write", "sync", "create", "sync_directory"])
async def test_a_segment_that_fails_refuses_its_group_and_another_is_opened(store, mail, files, operation):
    files.fail(operation, NO_SPACE)
    units = [mail.remote() for _ in range(3)]
    results = await asyncio.gather(*(store.accept(unit) for unit in units), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) and result.no_space for result in results)
    assert await messages(store) == set()
    files.heal()
    again = mail.remote()
    assert await store.accept(again) == Accepted()
    assert await messages(store) == {again.message.id}


async def test_a_failed_sync_quarantines_the_segment_and_voids_the_refused(store, mail, files):
    kept, refused, later = mail.remote(), mail.remote(), mail.remote()
    await store.accept(kept)
    files.fail("sync", BROKEN)
    with pytest.raises(StoreUnavailable) as raised:
        await store.accept(refused)
    assert not raised.value.no_space
    files.heal()
    await store.accept(later)
    first, second = sorted(store.blobs.segments.glob("*.seg"))
    assert first.with_name(first.name + QUARANTINE).exists()
    # The refused one's bytes may be in the old segment; the new one says that they do not count.
    assert [record.blob for record in scan(first)] == [kept.message.blob, refused.message.blob]
    void, record = scan(second)
    assert void.voids == (refused.message.blob,)
    assert record.blob == later.message.blob
    place = await store.read(lambda tx: tx.messages.place(kept.message.blob))
    assert await store.blobs.read(place) == kept.content


async def test_a_sync_is_never_tried_again(store, mail, files):
    await store.accept(mail.remote())
    files.fail("sync", BROKEN)
    before = len(files.calls)
    with pytest.raises(StoreUnavailable):
        await store.accept(mail.remote())
    assert files.calls[before:] == ["write", "sync"]


async def test_a_failed_segment_refuses_mail_and_nothing_else(store, mail, files):
    sent = mail.remote()
    await store.accept(sent)
    files.fail("write", NO_SPACE)
    refused, count, _ = await asyncio.gather(
        store.accept(mail.remote()),
        store.outcomes(mail.outcome(sent.deliveries[0])),
        store.write(lambda tx: tx.meta.put("a", "b")),
        return_exceptions=True,
    )
    assert isinstance(refused, StoreUnavailable)
    assert count == 1
    assert not store.stop_dialling


async def test_content_is_synced_before_the_rows_that_name_it(store, mail, files, vfs):
    await store.accept(mail.remote())
    files.calls.clear()
    vfs.on_write = lambda name: files.calls.append("rows")
    await store.accept(mail.remote())
    assert files.calls[:3] == ["write", "sync", "rows"]


async def test_what_is_abandoned_after_its_content_was_written_is_voided(store, mail, files):
    unit = mail.remote()
    real = files.sync

    def abandon(fd):
        real(fd)
        unit.abandoned = True

    files.sync = abandon
    assert await store.accept(unit) == Accepted(dropped=True)
    assert await messages(store) == set()
    record, void = scanned(store)
    assert void.voids == (record.blob,) == (unit.message.blob,)


async def test_a_refused_acceptance_is_voided(store, mail):
    unit = mail.local(999)
    with pytest.raises(Exception, match="gone"):
        await store.accept(unit)
    assert scanned(store)[-1].voids == (unit.message.blob,)


# --- SQLITE_FULL inside a group ---


async def test_a_full_database_rolls_everything_back_and_the_group_is_rerun_unit_by_unit(store, mail):
    """SQLITE_FULL takes the savepoints with it: the small units of its group must be written all the same."""
    sent = [mail.remote() for _ in range(2)]
    for unit in sent:
        await store.accept(unit)

    def fill(tx):
        tx.meta.put("before", "x")
        pages = tx.meta._connection.rows("PRAGMA page_count")[0][0]
        tx.meta._connection.rows(f"PRAGMA max_page_count = {pages + 20}")
        tx.meta.put("big", "x" * 4096 * 40)

    unit = mail.remote()
    results = await asyncio.gather(
        store.accept(unit),
        store.write(fill),
        store.outcomes(mail.outcome(sent[0].deliveries[0])),
        store.write(lambda tx: tx.meta.put("after", "x")),
        return_exceptions=True,
    )
    assert results[0] == Accepted()
    assert isinstance(results[1], StoreUnavailable)
    assert results[1].no_space
    assert results[2:] == [1, None]
    assert await store.read(lambda tx: [tx.meta.get(name) for name in ("before", "after")]) == [None, "x"]
    assert await messages(store) == {unit.message.id, *(unit.message.id for unit in sent)}
    assert not store.stop_dialling


# --- commits of unknown outcome ---


async def test_a_full_disk_at_the_commit_refuses_mail_keeps_outcomes_and_ends_by_itself(store, mail, vfs):
    sent = mail.remote()
    await store.accept(sent)
    vfs.full()
    outcome = store.outcomes(mail.outcome(sent.deliveries[0]))
    refused = mail.remote()
    with pytest.raises(StoreUnavailable) as raised:
        await store.accept(refused)
    assert raised.value.no_space
    assert store.stop_dialling
    with pytest.raises(StoreUnavailable):
        await store.write(lambda tx: tx.meta.put("a", "b"))
    assert not outcome.done()
    vfs.heal()
    assert await outcome == 1  # nobody asked again
    assert not store.stop_dialling
    again = mail.remote()
    await eventually(lambda: store.accept(again))
    assert await messages(store) == {sent.message.id, again.message.id}
    totals = await store.read(lambda tx: tx.ledger.totals())
    assert totals.findings == ()
    assert totals.by_state == {"delivered": 1, "queued": 1}


async def test_a_commit_whose_sync_failed_is_refused_and_its_rows_taken_back(store, mail, vfs):
    inbox = await store.write(mail.inbox)
    vfs.broken()
    refused = [mail.local(inbox), mail.remote()]
    results = await asyncio.gather(*(store.accept(unit) for unit in refused), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) and not result.no_space for result in results)
    assert store.stop_dialling
    vfs.heal()
    again = mail.local(inbox)
    await eventually(lambda: store.accept(again))
    assert await messages(store) == {again.message.id}
    assert (await store.read(lambda tx: tx.mailboxes.get(inbox))).total == 1
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()
    voided = {blob for record in scanned(store) for blob in record.voids}
    assert voided >= {unit.message.blob for unit in refused}


class LyingSession:
    """Commits, and then says that it failed: the other half of an unknown outcome."""

    def __init__(self, session):
        self._session = session
        self.lie = False

    def __getattr__(self, name):
        return getattr(self._session, name)

    def commit(self):
        self._session.commit()
        if self.lie:
            self.lie = False
            raise apsw.IOError("the commit took place, but who knows")


@pytest.fixture
async def lying(tmp_path, clock, vfs):
    engine = faulty_engine(tmp_path, vfs.name)
    sessions = []
    opening = engine.open_session

    def open_session():
        sessions.append(LyingSession(opening()))
        return sessions[-1]

    engine.open_session = open_session
    async with open_store(tmp_path, engine, clock=clock) as store:
        store.sessions = sessions
        yield store


async def test_rows_of_a_commit_that_did_take_place_are_taken_back(lying, mail):
    store = lying
    inbox = await store.write(mail.inbox)
    kept = mail.local(inbox)
    await store.accept(kept)
    store.sessions[-1].lie = True
    refused = [mail.local(inbox), mail.remote("a@remote.test", "b@remote.test")]
    results = await asyncio.gather(*(store.accept(unit) for unit in refused), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailable) for result in results)
    again = mail.local(inbox)
    accepted = await eventually(lambda: store.accept(again))
    assert accepted.uids == (3,)  # the UID that was given away for a moment is not given again
    assert await messages(store) == {kept.message.id, again.message.id}
    assert (await store.read(lambda tx: tx.mailboxes.get(inbox))).total == 2
    changes = await store.read(lambda tx: tx.mailbox_messages.changes(inbox, 2, 10))
    assert [(change.uid, change.vanished) for change in changes if change.uid == 2] == [(2, True)]
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


@pytest.mark.parametrize("attempt", [True, False])
async def test_an_outcome_of_a_commit_that_did_take_place_is_not_told_twice(lying, mail, attempt):
    store = lying
    sent = mail.remote()
    await store.accept(sent)
    store.sessions[-1].lie = True
    outcomes = mail.outcome(sent.deliveries[0], attempt=attempt)
    assert await store.outcomes(outcomes) == 1
    assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()
    assert (await store.read(lambda tx: tx.deliveries.get(sent.deliveries[0].id))).state is DeliveryState.DELIVERED


async def test_outcomes_that_cannot_be_written_wait_and_mail_is_refused_meanwhile(store, mail, vfs):
    sent = [mail.remote() for _ in range(3)]
    for unit in sent:
        await store.accept(unit)
    vfs.broken()
    waiting = [store.outcomes(mail.outcome(unit.deliveries[0])) for unit in sent]
    for _ in range(6):
        with pytest.raises(StoreUnavailable):
            await store.accept(mail.remote())
    assert store.stop_dialling
    assert not any(outcome.done() for outcome in waiting)
    vfs.heal()
    assert await asyncio.gather(*waiting) == [1, 1, 1]


async def test_a_store_closed_in_trouble_tells_those_who_wait(tmp_path, clock, mail, vfs):
    async with open_store(tmp_path, faulty_engine(tmp_path, vfs.name), clock=clock) as store:
        sent = mail.remote()
        await store.accept(sent)
        vfs.broken()
        outcome = store.outcomes(mail.outcome(sent.deliveries[0]))
    with pytest.raises(StoreUnavailable):
        await outcome


async def test_a_broken_session_is_reopened_and_its_group_run_again(store, mail):
    tries = []

    def breaks_once(tx):
        tries.append(1)
        if len(tries) == 1:
            raise apsw.IOError("disk I/O error")

    unit = mail.remote()
    assert await asyncio.gather(store.accept(unit), store.write(breaks_once)) == [Accepted(), None]
    assert await messages(store) == {unit.message.id}
    assert not store.stop_dialling


async def test_only_what_always_breaks_is_refused(store, mail):
    def breaks(tx):
        raise apsw.CorruptError("database disk image is malformed")

    units = [mail.remote(), mail.remote()]
    first, broken, second = await asyncio.gather(
        store.accept(units[0]), store.write(breaks), store.accept(units[1]), return_exceptions=True
    )
    assert isinstance(broken, StoreUnavailable)
    assert (first, second) == (Accepted(), Accepted())
    assert await messages(store) == {unit.message.id for unit in units}
    assert not store.stop_dialling
