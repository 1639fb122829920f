"""What is PostgreSQL's own: unsafe settings are refused, conflicts rerun, lost connections replaced."""

import asyncio

import psycopg
import pytest

from postroad.adapters.sql.connection import Fault
from postroad.adapters.sql.postgres.engine import PostgresEngine
from postroad.adapters.sql.postgres.session import numbered
from postroad.ports.store import Accepted, MessageFilter, StoreUnavailable
from postroad.testing.stores import engine_of, open_store


@pytest.fixture
def engine(tmp_path):
    with engine_of("postgres", tmp_path) as engine:
        yield engine


def execute(engine, sql):
    with psycopg.connect(engine._url, autocommit=True) as connection:
        return connection.execute(sql).fetchall() if sql.startswith("SELECT") else connection.execute(sql)


def end_connections(engine):
    execute(engine, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid()")  # fmt: skip


def test_parameters_are_numbered():
    assert numbered("SELECT ? WHERE a = ? AND b LIKE '%'") == "SELECT $1 WHERE a = $2 AND b LIKE '%'"


async def test_a_server_that_does_not_sync_is_refused(engine, tmp_path):
    name = engine._url.split("@/")[1].split("?")[0]
    execute(engine, f"ALTER DATABASE {name} SET synchronous_commit = off")
    with pytest.raises(StoreUnavailable, match="synchronous_commit = off"):
        async with open_store(tmp_path, engine):
            pass


async def test_no_server_is_told(tmp_path):
    engine = PostgresEngine(f"postgresql://postgres@/none?host={tmp_path}")
    with pytest.raises(StoreUnavailable):
        async with open_store(tmp_path, engine):
            pass


async def test_a_deadlock_is_run_again(engine, tmp_path, clock):
    async with open_store(tmp_path, engine, clock=clock) as store:
        tries = []

        def deadlocks_once(tx):
            tries.append(1)
            tx.meta.put("a", str(len(tries)))
            if len(tries) == 1:
                raise psycopg.errors.DeadlockDetected("told to")

        unit = asyncio.ensure_future(store.write(lambda tx: tx.meta.put("b", "x")))
        await store.write(deadlocks_once)
        await unit
        assert await store.read(lambda tx: (tx.meta.get("a"), tx.meta.get("b"))) == ("2", "x")


async def test_a_conflict_without_end_is_refused(engine, tmp_path, clock):
    async with open_store(tmp_path, engine, clock=clock) as store:

        def conflicts(tx):
            raise psycopg.errors.SerializationFailure("told to")

        with pytest.raises(StoreUnavailable, match="busy"):
            await store.write(conflicts)


async def test_lost_connections_are_replaced(engine, tmp_path, clock, mail):
    async with open_store(tmp_path, engine, clock=clock) as store:
        first = mail.remote()
        await store.accept(first)
        await store.read(lambda tx: tx.meta.get("a"))
        end_connections(engine)
        second = mail.remote()
        accepted, count = await asyncio.gather(store.accept(second), store.outcomes(mail.outcome(first.deliveries[0])))
        assert (accepted, count) == (Accepted(), 1)
        found = await store.read(lambda tx: tx.messages.search(MessageFilter()))
        assert {message.id for message in found} == {first.message.id, second.message.id}
        assert (await store.read(lambda tx: tx.ledger.totals())).findings == ()


def test_errors_are_understood(engine):
    faults = {
        psycopg.errors.UniqueViolation("x"): Fault.CONSTRAINT,
        psycopg.errors.DiskFull("x"): Fault.NO_SPACE,
        psycopg.errors.AdminShutdown("x"): Fault.BROKEN,
        ValueError("x"): Fault.OWN,
    }
    assert {error: engine.fault(error) for error in faults} == faults
