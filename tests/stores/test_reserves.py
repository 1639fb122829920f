"""Room on the disk: what new mail must leave free, and what outcomes may use up."""

import asyncio

import pytest

from postroad.adapters.sql.reserve import Reserve
from postroad.ports.store import StoreUnavailable
from postroad.testing.faults import FaultyFiles, FaultyVfs
from postroad.testing.stores import faulty_engine, open_store

MIB = 1024 * 1024


@pytest.fixture
def files():
    files = FaultyFiles()
    files.free_octets = 1000 * MIB
    return files


def reserve(tmp_path, files, clock, ballast=MIB):
    return Reserve(tmp_path, files, min_free=100 * MIB, ballast=ballast, monotonic=clock.monotonic)


async def test_the_soft_reserve_counts_what_is_announced(tmp_path, files, clock):
    kept = reserve(tmp_path, files, clock)
    assert kept.has_room(900 * MIB)
    assert not kept.has_room(900 * MIB + 1)
    files.free_octets = 100 * MIB - 1
    assert kept.has_room(0)  # remembered
    await clock.advance(1)
    assert not kept.has_room(0)
    files.free_octets = 200 * MIB
    kept.forget()
    assert kept.has_room(0)


async def test_a_disk_that_cannot_be_asked_has_no_room(tmp_path, files, clock):
    files.free_octets = None
    assert not reserve(tmp_path / "gone", files, clock).has_room(0)


async def test_the_ballast_is_made_used_once_and_made_again_when_there_is_room(tmp_path, files, clock):
    kept = reserve(tmp_path, files, clock)
    kept.keep_ballast()
    ballast = tmp_path / "ballast"
    assert ballast.stat().st_size == MIB
    assert ballast.stat().st_blocks * 512 >= MIB  # blocks, not a hole
    assert kept.use_ballast()
    assert not ballast.exists()
    assert not kept.use_ballast()
    files.free_octets = 101 * MIB - 1
    await clock.advance(2)
    kept.keep_ballast()
    assert not ballast.exists()
    files.free_octets = 101 * MIB
    kept.keep_ballast()
    assert not ballast.exists()  # looked at a moment ago
    await clock.advance(2)
    kept.keep_ballast()
    assert ballast.exists()


async def test_no_ballast_is_kept_where_none_is_asked(tmp_path, files, clock):
    kept = reserve(tmp_path, files, clock, ballast=0)
    kept.keep_ballast()
    assert list(tmp_path.iterdir()) == []
    assert not kept.use_ballast()


async def test_a_ballast_that_does_not_fit_leaves_nothing(tmp_path, files, clock):
    files.fail("reserve", 28)
    reserve(tmp_path, files, clock).keep_ballast()
    assert list(tmp_path.iterdir()) == []


async def test_outcomes_use_the_hard_reserve_and_mail_does_not(tmp_path, files, clock, mail):
    vfs = FaultyVfs()
    engine = faulty_engine(tmp_path, vfs.name)
    async with open_store(tmp_path, engine, clock=clock, files=files, ballast=MIB) as store:
        sent = mail.remote()
        await store.accept(sent)
        ballast = tmp_path / "ballast"
        assert ballast.exists()

        def full_while_ballast_is_there(name):
            if ballast.exists():
                import apsw

                raise apsw.FullError("no space left on device")

        files.free_octets = 0
        vfs.on_write = full_while_ballast_is_there
        with pytest.raises(StoreUnavailable):
            await store.accept(mail.remote())
        outcome = store.outcomes(mail.outcome(sent.deliveries[0]))
        assert await outcome == 1
        assert not ballast.exists()
        vfs.heal()
        assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()
        files.free_octets = 1000 * MIB
        await clock.advance(2)
        await store.accept(mail.remote())
        while store.backlog:
            await asyncio.sleep(0)
        assert ballast.exists()
    vfs.unregister()


async def test_the_store_asks_its_reserve(tmp_path, files, clock):
    async with open_store(tmp_path, clock=clock, files=files, min_free=100 * MIB) as store:
        assert store.has_room(900 * MIB)
        assert not store.has_room(901 * MIB)
