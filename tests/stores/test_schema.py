"""Opening: migrations forwards, refusal of what is newer, reading beside a running server, two stores at once."""

import asyncio
import shutil

import pytest

from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.adapters.sql.database import Database, open_database
from postroad.adapters.sql.migrate import (
    OLDEST_VERSION,
    SCHEMA_DIRECTORY,
    SCHEMA_VERSION,
    Schema,
    SchemaError,
    found_in,
)
from postroad.adapters.sql.reserve import Reserve
from postroad.config.schema import Limits, Storage
from postroad.ports.store import StoreUnavailable
from postroad.testing.stores import engine_of, open_store


def next_release(tmp_path, *, oldest=OLDEST_VERSION, script="ALTER TABLE message ADD COLUMN colour TEXT;"):
    """A schema with one more step."""
    directory = tmp_path / "schema"
    shutil.copytree(SCHEMA_DIRECTORY, directory)
    (directory / f"{SCHEMA_VERSION + 1:03d}_colour.sql").write_text(script)
    (directory / f"{SCHEMA_VERSION + 1:03d}_colour.sql.sqlite").write_text("CREATE TABLE only_here (x ${int});")
    (directory / f"{SCHEMA_VERSION + 1:03d}_colour.sql.postgres").write_text("CREATE TABLE only_there (x ${int});")
    return Schema(SCHEMA_VERSION + 1, oldest, directory)


async def found(store):
    return await store.read(lambda tx: found_in(tx.meta._connection))


def again(engine, tmp_path):
    """An engine over the same database."""
    if engine.dialect.name == "sqlite":
        return type(engine)(tmp_path / "postroad.db")
    return type(engine)(engine._url)


async def test_an_older_database_is_brought_forward_with_its_rows(engine, tmp_path, clock, mail):
    unit = mail.remote()
    async with open_store(tmp_path, engine, clock=clock) as store:
        await store.accept(unit)
        assert (await found(store)).version == SCHEMA_VERSION
    newer = next_release(tmp_path)
    async with open_store(tmp_path, again(engine, tmp_path), clock=clock, schema=newer) as store:
        assert (await found(store)).version == SCHEMA_VERSION + 1
        assert await store.read(lambda tx: tx.messages.get(unit.message.id)) == unit.message
        await store.accept(mail.remote())
        table = "only_here" if engine.dialect.name == "sqlite" else "only_there"
        assert await store.read(lambda tx: tx.meta._connection.rows(f"SELECT * FROM {table}")) == []
    # Going back one release: what the newer one only added does not hurt.
    async with open_store(tmp_path, again(engine, tmp_path), clock=clock) as store:
        await store.accept(mail.remote())
        assert (await found(store)).version == SCHEMA_VERSION + 1


async def test_a_database_that_needs_a_newer_program_is_refused(engine, tmp_path, clock):
    newer = next_release(tmp_path, oldest=SCHEMA_VERSION + 1)
    async with open_store(tmp_path, engine, clock=clock, schema=newer):
        pass
    with pytest.raises(SchemaError, match="newer release"):
        async with open_store(tmp_path, again(engine, tmp_path), clock=clock):
            pass


async def test_a_step_that_fails_leaves_the_database_as_it_was(engine, tmp_path, clock):
    async with open_store(tmp_path, engine, clock=clock):
        pass
    broken = next_release(tmp_path, script="CREATE TABLE half (x ${int}); CREATE TABLE message (x ${int});")
    with pytest.raises(Exception, match="message"):
        async with open_store(tmp_path, again(engine, tmp_path), clock=clock, schema=broken):
            pass
    async with open_store(tmp_path, again(engine, tmp_path), clock=clock) as store:
        assert (await found(store)).version == SCHEMA_VERSION
        assert (
            await store.read(lambda tx: tx.meta._connection.rows(tx.meta._connection.dialect.has_table, ("half",)))
            == []
        )


async def test_two_that_open_at_once_migrate_once(engine, tmp_path, clock, mail):
    other = again(engine, tmp_path)
    (tmp_path / "other").mkdir()
    async with open_store(tmp_path, engine, clock=clock) as first:
        async with open_store(tmp_path / "other", other, clock=clock) as second:
            units = [mail.remote() for _ in range(20)]
            stores = [first, second]
            await asyncio.gather(*(stores[n % 2].accept(unit) for n, unit in enumerate(units)))
            for store in stores:
                for unit in units:
                    assert await store.read(lambda tx, unit=unit: tx.messages.get(unit.message.id)) == unit.message
            assert (await first.read(lambda tx: tx.ledger.totals())).findings == ()


async def test_reading_beside_a_running_server(engine, tmp_path, clock, mail):
    unit = mail.remote()
    async with open_store(tmp_path, engine, clock=clock) as store:
        await store.accept(unit)
        before = {path.name for path in tmp_path.rglob("*")}
        reader = read_only(engine, tmp_path, clock)
        await reader.start()
        place = await reader.read(lambda tx: tx.messages.place(unit.message.blob))
        assert await reader.blobs.read(place) == unit.content
        later = mail.remote()
        await store.accept(later)
        assert await reader.read(lambda tx: tx.messages.get(later.message.id)) == later.message
        with pytest.raises(StoreUnavailable):
            await reader.write(lambda tx: None)
        assert await reader.deep_check() == []
        await reader.close()
        assert {path.name for path in tmp_path.rglob("*")} == before


def read_only(engine, tmp_path, clock):
    blobs = SegmentBlobs(tmp_path, read_only=True)
    reserve = Reserve(tmp_path, blobs.files, min_free=0, ballast=0, monotonic=clock.monotonic)
    if engine.dialect.name == "sqlite":
        beside = type(engine)(tmp_path / "postroad.db", read_only=True)
    else:
        beside = again(engine, tmp_path)
    return Database(beside, blobs, clock, reserve, read_only=True)


async def test_the_settings_choose_the_engine(tmp_path, clock, mail):
    limits = Limits(min_free=0)
    store = open_database(Storage(), tmp_path, clock, limits, ballast=0)
    await store.start()
    unit = mail.remote()
    await store.accept(unit)
    await store.close()
    beside = open_database(Storage(), tmp_path, clock, limits, read_only=True)
    await beside.start()
    assert await beside.read(lambda tx: tx.messages.get(unit.message.id)) == unit.message
    await beside.close()
    with engine_of("postgres", tmp_path) as engine:
        store = open_database(Storage(engine._url), tmp_path, clock, limits)
        await store.start()
        await store.accept(mail.remote())
        assert store.engine.version.startswith("PostgreSQL")
        assert store.figures().keys() == {"backlog"}
        await store.close()


async def test_reading_what_is_not_there_or_not_migrated_says_what_to_do(tmp_path, clock):
    for _ in range(2):
        nothing = open_database(Storage(), tmp_path, clock, Limits(), read_only=True)
        with pytest.raises(StoreUnavailable):
            await nothing.start()
        await nothing.close()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "postroad.db").touch()
    empty = open_database(Storage(), tmp_path, clock, Limits(), read_only=True)
    with pytest.raises(SchemaError, match="postroad serve"):
        await empty.start()
    await empty.close()
