"""A database of the first schema, with mail in it, is opened by this program."""

import shutil

from postroad.adapters.sql.migrate import SCHEMA_DIRECTORY, SCHEMA_VERSION, Schema, found_in
from postroad.adapters.sql.sqlite.engine import SqliteEngine
from postroad.ports.sending import ServerRecord
from postroad.testing import postgres
from postroad.testing.stores import open_store

_OLD_MESSAGE = (
    "INSERT INTO message (id, created, origin, reverse_path, size, flags, blob, header_size, subject, header_from,"
    " message_id, body_type, account, bounce_of)"
    " VALUES (1, 0, '{\"service\":\"mx\",\"connection\":\"c\"}', 'a@b.test', 1, 0, 1, 1, 'old', '', '', '', NULL, NULL)"
)


def first_schema(tmp_path):
    directory = tmp_path / "first"
    directory.mkdir()
    for path in SCHEMA_DIRECTORY.glob("001_*"):
        shutil.copy(path, directory)
    return Schema(1, 1, directory)


async def carry_over(tmp_path, clock, mail, engines):
    schema = first_schema(tmp_path)
    async with open_store(tmp_path, engines(), clock=clock, schema=schema) as store:
        await store.write(lambda tx: tx.meta._connection.run(_OLD_MESSAGE))
    async with open_store(tmp_path, engines(), clock=clock) as store:
        assert (await store.read(lambda tx: found_in(tx.meta._connection))).version == SCHEMA_VERSION
        old = await store.read(lambda tx: tx.messages.get(1))
        assert (old.subject, old.server, old.stream, old.tag, old.metadata) == ("old", None, "", "", {})
        await store.write(lambda tx: tx.servers.add(ServerRecord(tx.servers.next_id(), "Shop", mail.now)))
        unit = mail.remote()
        await store.accept(unit)
        assert await store.read(lambda tx: tx.messages.get(unit.message.id)) == unit.message


async def test_on_sqlite(tmp_path, clock, mail):
    await carry_over(tmp_path, clock, mail, lambda: SqliteEngine(tmp_path / "postroad.db"))


async def test_on_postgres(tmp_path, clock, mail):
    from postroad.adapters.sql.postgres.engine import PostgresEngine

    with postgres.server().database() as url:
        await carry_over(tmp_path, clock, mail, lambda: PostgresEngine(url))
