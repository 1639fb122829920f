"""Sessions are counted in memory and written in slices; what cannot be written is kept."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from postroad.delivery import tlsresults
from postroad.delivery.tlsresults import FLUSH_EVERY, MAX_REASON, TlsResults
from postroad.ports.store import StoreUnavailable
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.stores import open_store

STS = ("sts", "mode: enforce")


@pytest.fixture
async def clock():
    return JumpingClock()


@pytest.fixture
async def store(tmp_path, clock):
    async with open_store(tmp_path, clock=clock) as store:
        yield store


async def rows(store, clock, days=0):
    today = clock.now().date()
    found = await store.read(lambda tx: tx.tls.results(first=today - timedelta(days=days), last=today))
    return {(row.key.domain, row.key.result): row.sessions for _, row in found}


async def test_alike_sessions_are_one_row(store, clock):
    results = TlsResults(store, clock)
    for _ in range(3):
        results.count("far.test", STS, host="mx.far.test", address="192.0.2.1")
    results.count("far.test", STS, "certificate-expired", host="mx.far.test", reason="x" * 999)
    await results.flush()
    await results.flush()
    assert await rows(store, clock) == {("far.test", ""): 3, ("far.test", "certificate-expired"): 1}
    (long,) = [
        row.key.reason
        for _, row in await store.read(lambda tx: tx.tls.results(first=clock.now().date(), last=clock.now().date()))
        if row.key.reason
    ]
    assert len(long) == MAX_REASON


async def test_written_now_and_then(store, clock):
    results = TlsResults(store, clock)
    running = asyncio.create_task(results.run())
    await settle(5)
    results.count("far.test", STS, host="mx.far.test")
    await clock.advance(FLUSH_EVERY + 1)
    async with asyncio.timeout(20):  # the store's writer is a thread
        while not await rows(store, clock):
            pass
    assert await rows(store, clock) == {("far.test", ""): 1}
    running.cancel()


async def test_forgotten_after_its_time(store, clock):
    results = TlsResults(store, clock, keep=timedelta(days=2))
    results.count("old.test", STS, host="mx.old.test")
    await results.flush()
    for days, left in ((2, 1), (1, 0)):
        await clock.advance(days * 86400)
        await results.forget()
        assert len(await rows(store, clock, days=5)) == left


async def test_what_cannot_be_written_is_kept(store, clock, monkeypatch):
    results = TlsResults(store, clock)
    for number in range(5):
        results.count(f"d{number}.test", STS, host="mx.test")
    monkeypatch.setattr(tlsresults, "SLICE", 2)

    class Broken:
        async def write(self, function, *, lane):
            raise StoreUnavailable("no")

    results._store, whole = Broken(), results._store
    await results.flush()
    results._store = whole
    await results.flush()
    assert len(await rows(store, clock)) == 5


async def test_strangers_cannot_fill_the_memory(store, clock, monkeypatch):
    monkeypatch.setattr(tlsresults, "MAX_KEYS", 2)
    results = TlsResults(store, clock)
    for number in (1, 2, 3, 1):
        results.count(f"d{number}.test", STS, host="mx.test")
    await results.flush()
    assert await rows(store, clock) == {("d1.test", ""): 2, ("d2.test", ""): 1}
