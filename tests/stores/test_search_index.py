"""The search index itself: how it is made, followed, made anew and trimmed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, timedelta

import apsw
import pytest

from postroad.adapters.search import opening, parts, postgres
from postroad.adapters.search.sqlite import FILE, SqliteIndex
from postroad.config.schema import Retention
from postroad.ports.ids import MessageId
from postroad.ports.store import DeliveryState, StoreUnavailable
from postroad.reports.search import parse
from postroad.testing.search import catch_up, small_index

on_sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("engine", ["postgres"], indirect=True)
SOON = timedelta(seconds=1)


@asynccontextmanager
async def opened(store, directory, **more):
    index = small_index(store, directory, **more)
    try:
        yield index
    finally:
        await index.close()


async def proposed(index, text: str, mail, limit: int = 100) -> list[MessageId]:
    query = parse(text, mail.now, UTC)
    walk = await index.find(query, below=None, above=MessageId(0), limit=limit, patience=1.0)
    assert walk is not None
    return walk.ids


async def fill(store, mail, clock, count: int, subject: str = "needle") -> list[MessageId]:
    found = []
    for _ in range(count):
        acceptance = mail.remote("r@far.test", subject=subject)
        await store.accept(acceptance)
        found.append(acceptance.message.id)
        await clock.advance(1)
    return found[::-1]


async def test_it_is_made_from_old_mail_and_then_follows(store, mail, clock, tmp_path) -> None:
    old = await fill(store, mail, clock, 20)
    async with opened(store, tmp_path) as index:
        assert await index.coverage() is None
        assert await index.advance(mail.now)
        begun = await index.coverage()
        assert begun
        assert old[-1] < begun.messages < old[0], "it says how far it has come"
        assert await proposed(index, "needle", mail) == [one for one in old if one < begun.messages]
        await catch_up(index, mail.now)
        assert await proposed(index, "needle", mail) == old
        new = await fill(store, mail, clock, 8)
        assert await proposed(index, "needle", mail) == old
        assert await catch_up(index, mail.now) > 1, "in slices"
        assert await proposed(index, "needle", mail) == [*new, *old]
        complete = await index.coverage()
        assert complete
        assert complete.messages > new[0]


async def test_pages_go_down_through_the_parts(store, mail, clock, tmp_path) -> None:
    ids = await fill(store, mail, clock, 20)
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now)
        query = parse("needle", mail.now, UTC)
        walk = await index.find(query, below=ids[4], above=ids[17], limit=5, patience=1.0)
        assert walk == (ids[5:10], ids[9])
        walk = await index.find(query, below=ids[9], above=ids[17], limit=50, patience=1.0)
        assert walk == (ids[10:18], None)


async def test_it_goes_on_where_it_was_when_it_is_opened_again(store, mail, clock, tmp_path) -> None:
    ids = await fill(store, mail, clock, 5)
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now)
        before = await index.coverage()
    async with opened(store, tmp_path) as index:
        assert await index.coverage() == before
        assert await proposed(index, "needle", mail) == ids
        new = await fill(store, mail, clock, 1)
        await catch_up(index, mail.now)
        assert await proposed(index, "needle", mail) == [*new, *ids]


async def test_what_becomes_of_a_message_is_followed(store, mail, clock, tmp_path) -> None:
    acceptance = mail.remote("r@far.test")
    (delivery,) = acceptance.deliveries
    await store.accept(acceptance)
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now + SOON)
        assert await proposed(index, "state:queued", mail) == [acceptance.message.id]
        await clock.advance(60)
        await store.outcomes(mail.outcome(delivery))
        await catch_up(index, mail.now + SOON)
        assert await proposed(index, "state:queued", mail) == []
        assert await proposed(index, "state:delivered reply:ok", mail) == [acceptance.message.id]


async def test_nothing_is_written_while_nothing_happens(store, mail, clock, tmp_path) -> None:
    await fill(store, mail, clock, 3)
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now)
        before = await _written(store, tmp_path)
        for _ in range(3):
            await clock.advance(60)
            assert not await index.advance(mail.now)
        assert await _written(store, tmp_path) == before
        assert await proposed(index, "needle", mail)


async def _written(store, directory) -> object:
    if (directory / FILE).exists():
        return (directory / (FILE + "-wal")).stat().st_size, (directory / (FILE + "-wal")).read_bytes()[-4096:]
    return await store.read(lambda tx: tx.meta.get("search"))


async def test_what_was_committed_late_is_found_by_going_back(store, mail, clock, tmp_path) -> None:
    await fill(store, mail, clock, 3)
    late = mail.remote("r@far.test", subject="latecomer")
    begin = mail.now
    await clock.advance(60)
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now)
        await store.accept(late)
        await catch_up(index, mail.now)
        assert await proposed(index, "latecomer", mail) == [], "its events are older than what was looked at"
        index.rewind(begin)
        await catch_up(index, mail.now)
        assert await proposed(index, "latecomer", mail) == [late.message.id]


async def test_time_takes_messages_out_of_it(store, mail, clock, tmp_path) -> None:
    ids = await fill(store, mail, clock, 24)
    for message in ids[10:]:
        if message != ids[20]:  # one of the old ones is not finished
            (delivery,) = await store.read(lambda tx, message=message: tx.deliveries.of_message(message))
            await store.outcomes(mail.outcome(delivery))
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now)
        assert await proposed(index, "needle", mail) == ids
        await clock.advance(1)
        before = mail.now
        while await store.write(lambda tx: tx.retention.messages(before)):
            pass
        left = [*ids[:10], ids[20]]
        assert await index.trim(before) > 0
        found = await proposed(index, "needle", mail)
        assert [one for one in found if one in left] == left
        assert len(found) < len(ids) - 7, "whole parts are gone"
        new = await fill(store, mail, clock, 3)
        await catch_up(index, mail.now)
        assert [one for one in await proposed(index, "needle", mail) if one in {*new, *left}] == [*new, *left]


@on_sqlite
async def test_parts_do_not_cover_too_much_time(store, mail, clock, tmp_path) -> None:
    index = small_index(store, tmp_path, kept=timedelta(hours=60))
    for _ in range(4):
        await fill(store, mail, clock, 1)
        await clock.advance(3 * 3600)
    await catch_up(index, mail.now)
    await index.close()
    assert apsw.Connection(str(tmp_path / FILE)).execute("SELECT docs FROM part").fetchall() == [(3,), (1,)]


@on_sqlite
async def test_only_we_may_read_its_file(store, mail, clock, tmp_path) -> None:
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.glob(FILE + "*")} == {0o600}


async def test_another_version_is_made_anew(store, mail, clock, tmp_path, monkeypatch) -> None:
    ids = await fill(store, mail, clock, 8)
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now)
    for module in (parts, postgres):
        monkeypatch.setattr(module, "VERSION", 77)
    async with opened(store, tmp_path) as index:
        assert await index.coverage() is None, "it is not relied on"
        assert await index.advance(mail.now)
        assert await proposed(index, "needle", mail) == ids[-3:]
        await catch_up(index, mail.now)
        assert await proposed(index, "needle", mail) == ids


@on_sqlite
async def test_a_missing_or_damaged_file_is_made_anew(store, mail, clock, tmp_path) -> None:
    index = small_index(store, tmp_path)
    ids = await fill(store, mail, clock, 8)
    await catch_up(index, mail.now)
    await index.close()
    for spoil in (_overwrite, _truncate, _remove, _drop_a_part):
        spoil(tmp_path / FILE)
        async with opened(store, tmp_path) as index:
            await fill(store, mail, clock, 1, subject="other")
            with suppress(StoreUnavailable):  # it is found out now, or by a search
                await catch_up(index, mail.now)
                query = parse("needle", mail.now, UTC)
                await index.find(query, below=None, above=MessageId(0), limit=1000, patience=1.0)
            await catch_up(index, mail.now)
            assert await proposed(index, "needle", mail) == ids, spoil.__name__


def _overwrite(path) -> None:
    path.write_bytes(b"this is no database at all" * 1000)


def _truncate(path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _remove(path) -> None:
    path.unlink()


def _drop_a_part(path) -> None:
    database = apsw.Connection(str(path))
    (number,) = database.execute("SELECT MAX(number) FROM part").fetchall()[0]
    database.execute(f"DROP TABLE part_{number}")
    database.close()


@on_postgres
async def test_several_may_follow_one_store(store, mail, clock, tmp_path) -> None:
    """Two nodes on PostgreSQL take turns."""
    index = small_index(store, tmp_path)
    ids = await fill(store, mail, clock, 20)
    async with opened(store, tmp_path) as other:
        for _ in range(20):
            await asyncio.gather(index.advance(mail.now), other.advance(mail.now))
        assert await proposed(other, "needle", mail) == ids
        assert await index.coverage() == await other.coverage()
    await index.close()


async def test_messages_are_found_by_any_state(store, mail, clock, tmp_path) -> None:
    found = {}
    for state in DeliveryState:
        acceptance = mail.remote("r@far.test")
        await store.accept(acceptance)
        await clock.advance(5)
        await store.outcomes(mail.outcome(acceptance.deliveries[0], state))
        found[state] = acceptance.message.id
    async with opened(store, tmp_path) as index:
        await catch_up(index, mail.now + SOON)
        for state, message in found.items():
            assert await proposed(index, f"state:{state}", mail) == [message]


async def test_the_index_fits_the_store(store, tmp_path) -> None:
    index = opening.open_index(store, tmp_path, Retention())
    assert isinstance(index, SqliteIndex) is (store.engine.dialect.name == "sqlite")
    await index.close()
    assert not (tmp_path / FILE).exists(), "nothing is made before it is used"
