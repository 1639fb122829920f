"""The write-ahead log: durable commits, a bounded size, readers that are held for a moment only."""

import asyncio
import shutil
import threading

import pytest

from postroad.adapters.sql.connection import update_statements
from postroad.adapters.sql.results import _APPLY, _OWNED, _RESULT
from postroad.adapters.sql.sqlite import engine as sqlite_engine
from postroad.adapters.sql.sqlite.engine import SqliteEngine
from postroad.adapters.sql.sqlite.gate import Gate
from postroad.testing.faults import FaultyVfs
from postroad.testing.stores import faulty_engine, open_store

MIB = 1024 * 1024


def big(number):
    """Half a mebibyte of log."""
    return lambda tx: tx.meta.put(f"fill {number % 4}", chr(65 + number % 26) * (MIB // 2))


async def test_commits_are_durable_and_the_log_is_kept(tmp_path, clock):
    async with open_store(tmp_path, clock=clock) as store:
        session = store._writers[0]._transactions.session
        pragmas = {name: session.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert session.rows("PRAGMA journal_size_limit")[0][0] >= 128 * MIB
        assert session.rows("PRAGMA wal_autocheckpoint")[0][0] == 0


async def test_the_rows_are_for_our_eyes_alone(tmp_path, clock):
    """Also where the folder was made by somebody else, open to all, and the file by an earlier release."""
    (tmp_path / "postroad.db").touch(0o644)
    async with open_store(tmp_path, clock=clock):
        assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("postroad.db*")} == {0o600}


async def test_closing_ends_the_writer(tmp_path, clock):
    """Also when nothing waits for it: its connection to the rows must not stay open behind our back."""
    async with open_store(tmp_path, clock=clock) as store:
        (writer,) = store._writers
    assert not writer._thread.is_alive()


async def test_every_commit_is_synced(tmp_path, clock, mail):
    vfs = FaultyVfs()
    async with open_store(tmp_path, faulty_engine(tmp_path, vfs.name), clock=clock) as store:
        await store.accept(mail.remote())
        synced = []
        vfs.on_sync = synced.append
        await store.accept(mail.remote())
        assert any(name.endswith("-wal") for name in synced)
        vfs.heal()
    vfs.unregister()


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(sqlite_engine, "WAL_CHECKPOINT", 2 * MIB)


async def test_the_log_stays_bounded_under_overlapping_readers(tmp_path, clock, small_limits):
    """Readers that relieve each other without a gap would let it grow without end."""
    engine = SqliteEngine(tmp_path / "postroad.db", wal_restart=8 * MIB)
    async with open_store(tmp_path, engine, clock=clock) as store:
        ended = False

        async def reader():
            inside = threading.Event()
            while not ended:
                await store.read(lambda tx: (tx.meta.get("fill 0"), inside.wait(0.002)))

        readers = [asyncio.ensure_future(reader()) for _ in range(3)]
        sizes = []
        for number in range(80):  # 40 MiB of log in all
            await store.write(big(number))
            sizes.append(store.figures()["wal_bytes"])
        ended = True
        await asyncio.gather(*readers)
        assert max(sizes) < 20 * MIB
        assert (tmp_path / "postroad.db-wal").stat().st_size < 20 * MIB


async def test_a_slow_reader_is_not_waited_for_and_the_log_begins_anew_after_it(tmp_path, clock):
    engine = SqliteEngine(tmp_path / "postroad.db", wal_restart=2 * MIB)
    async with open_store(tmp_path, engine, clock=clock) as store:
        reading, go_on = threading.Event(), threading.Event()

        def slow(tx):
            tx.meta.get("x")
            reading.set()
            go_on.wait(10)

        reader = asyncio.ensure_future(store.read(slow))
        while not reading.is_set():
            await asyncio.sleep(0)
        for number in range(10):
            await store.write(big(number))
        assert store.figures()["wal_bytes"] > 4 * MIB
        go_on.set()
        await reader
        for number in range(20):
            await store.write(big(number))
        assert store.figures()["wal_bytes"] < 8 * MIB


async def test_copying_the_log_goes_on_beside_the_writer(tmp_path, clock, small_limits):
    async with open_store(tmp_path, clock=clock) as store:
        for number in range(12):
            await store.write(big(number))
        engine = store.engine
        assert engine._checkpointer is not None
        while engine._checkpoint.is_set():
            await asyncio.sleep(0)


async def test_the_log_is_lengthened_by_zeros_and_still_read_after_a_kill(tmp_path, clock):
    """A copy taken while the server runs is what a kill leaves behind."""
    async with open_store(tmp_path, clock=clock) as store:
        assert (tmp_path / "postroad.db-wal").stat().st_size < 1 * MIB
        for number in range(13):
            await store.write(big(number))
        while store.backlog:
            await asyncio.sleep(0)
        log = tmp_path / "postroad.db-wal"
        written = store.figures()["wal_bytes"]
        assert log.stat().st_size > written + MIB
        await store.write(lambda tx: tx.meta.put("last", "x"))
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("postroad.db", "postroad.db-wal"):
            shutil.copy(tmp_path / name, copy / name)
    async with open_store(copy, clock=clock) as store:
        assert await store.read(lambda tx: tx.meta.get("last")) == "x"
        assert await store.read(lambda tx: tx.meta._connection.rows("PRAGMA integrity_check")) == [("ok",)]


def test_a_held_gate_lets_nobody_in_until_it_is_free():
    gate = Gate()
    entered = threading.Event()

    def reader():
        with gate.reading():
            entered.set()

    with gate.held(1) as empty:
        assert empty
        thread = threading.Thread(target=reader)
        thread.start()
        assert not entered.wait(0.02)
    thread.join()
    assert entered.is_set()
    with gate.reading(), gate.held(0) as empty:
        assert not empty


def test_an_old_sqlite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_engine.apsw, "sqlite_lib_version", lambda: "3.51.2")
    (problem,) = SqliteEngine(tmp_path / "x.db").problems()
    assert "3.51.3" in problem


@pytest.mark.parametrize("number", [1, 3, 64])
@pytest.mark.parametrize(
    ("update", "columns", "where"),
    [
        (_APPLY, _RESULT, _OWNED),
        ("UPDATE account SET used_bytes = used_bytes + v.size", ("account", "size"), "WHERE account.id = v.account"),
    ],
)
async def test_a_change_of_many_rows_finds_each_by_its_key(tmp_path, clock, update, columns, where, number):
    async with open_store(tmp_path, clock=clock) as store:
        ((sql, params),) = update_statements(update, columns, [(1,) * len(columns)] * number, where)
        plan = await store.read(lambda tx: tx.meta._connection.rows("EXPLAIN QUERY PLAN " + sql, params))
        looks = [row[3] for row in plan]
        assert any("USING INTEGER PRIMARY KEY" in look for look in looks)
        assert not any(look.startswith(("SCAN account", "SCAN delivery")) for look in looks)
