"""The sweep of content and the deep check."""

import asyncio
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from postroad.adapters.sql.repositories.places import _NAMED
from postroad.adapters.sql.upkeep import quarantined, sweep
from postroad.ports.ids import BlobId
from postroad.ports.store import MessageFilter
from postroad.testing.stores import open_store

LATER = datetime(2090, 1, 1, tzinfo=UTC)
EARLIER = datetime(2025, 2, 1, tzinfo=UTC)


async def drop(store, mail, inbox):
    """Content that was in a mailbox and is no more."""
    append = mail.append(inbox)
    uid = await store.append(append)
    await store.write(lambda tx: tx.mailbox_messages.expunge(inbox, [uid]))
    return append.blob


async def test_a_sweep_forgets_what_is_old_and_nothing_names(store, mail):
    kept = mail.remote()
    await store.accept(kept)
    lost = await drop(store, mail, await store.write(mail.inbox))
    assert (await sweep(store, store.blobs, EARLIER)).blobs == 0
    assert await store.sweep(LATER) == 1
    assert await store.read(lambda tx: tx.messages.place(lost)) is None
    place = await store.read(lambda tx: tx.messages.place(kept.message.blob))
    assert await store.blobs.read(place) == kept.content


async def test_every_way_to_name_content_keeps_it(store, mail):
    inbox = await store.write(mail.inbox)
    queued, local, append = mail.remote(), mail.local(inbox), mail.append(inbox)
    elsewhere = mail.remote()
    elsewhere.message = replace(elsewhere.message, blob=BlobId(mail.ids.new()))  # not under its own id
    await asyncio.gather(*(store.accept(unit) for unit in (queued, local, elsewhere)), store.append(append))
    finished = mail.local(inbox)
    (uid,) = (await store.accept(finished)).uids
    ((_, copy),) = await store.write(lambda tx: tx.mailbox_messages.copy(inbox, [uid], inbox))
    await store.write(lambda tx: tx.mailbox_messages.expunge(inbox, [uid]))
    await store.write(lambda tx: tx.retention.messages(mail.now + timedelta(days=1)))  # the two local ones
    assert len(await store.read(lambda tx: tx.messages.search(MessageFilter()))) == 2
    assert await store.sweep(LATER) == 0
    kept = [queued.message.blob, local.message.blob, append.blob, elsewhere.message.blob, finished.message.blob]
    assert await store.write(lambda tx: tx.places.forget(kept)) == []
    await store.write(lambda tx: tx.mailbox_messages.expunge(inbox, [copy]))
    assert await store.sweep(LATER) == 1
    assert finished.message.blob not in await store.read(lambda tx: tx.messages.places(kept))


async def test_looking_for_names_never_reads_a_whole_table(tmp_path, clock):
    async with open_store(tmp_path, clock=clock) as store:
        plan = await store.read(
            lambda tx: tx.meta._connection.rows(f"EXPLAIN QUERY PLAN SELECT id FROM blob b WHERE NOT {_NAMED}")
        )
        assert [row[3] for row in plan if row[3].startswith("SCAN")] == ["SCAN b"]


async def test_a_sweep_removes_files_in_which_nothing_lives(store, mail):
    inbox = await store.write(mail.inbox)
    dead = await drop(store, mail, inbox)
    (sealed,) = store.blobs.segments.glob("*.seg")
    store.blobs.seal()
    kept, large = mail.remote(), mail.remote()
    await store.accept(kept)
    writer = store.blobs.create(large.message.blob, b"")
    await writer.write(b"x" * 300_000)
    lost = await writer.finish()  # its acceptance never comes
    assert await store.read(lambda tx: tx.messages.place(dead)) is not None
    assert (await sweep(store, store.blobs, EARLIER)).files == 0
    swept = await sweep(store, store.blobs, LATER)
    assert (swept.blobs, swept.files) == (1, 2)
    assert not sealed.exists()
    assert not store.blobs.path(lost.segment).exists()
    assert len(list(store.blobs.segments.glob("*.seg"))) == 1
    assert await store.deep_check() == []


async def test_a_deep_check_finds_damage_where_rows_point(store, mail):
    units = [mail.remote(content=b"content number %d" % n) for n in range(3)]
    for unit in units:
        await store.accept(unit)
    assert await store.deep_check() == []
    place = await store.read(lambda tx: tx.messages.place(units[1].message.blob))
    path = store.blobs.path(place.segment)
    with path.open("r+b") as file:
        file.seek(place.offset)
        file.write(b"X")
    (finding,) = await store.deep_check()
    assert "no whole record" in finding.problem
    path.unlink()
    assert len(await store.deep_check()) == 3
    assert quarantined(store.blobs) == {}
