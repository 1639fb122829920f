"""The core that loop and writer share: they stay together, others roam, and a crowded core is left."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest

from postroad.adapters import cores
from postroad.adapters.cores import LOOK_EVERY, SharedCore, roam
from postroad.testing.clock import JumpingClock, settle

pytestmark = pytest.mark.skipif(len(cores.EVERY_CORE) < 2, reason="this machine has one core")


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    yield
    roam()


def mine() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0))


def test_threads_share_one_core_inside_the_block() -> None:
    seen: list[frozenset[int]] = []
    go, done = threading.Event(), threading.Event()

    def other() -> None:
        go.wait(10)
        seen.append(mine())
        roam()
        seen.append(mine())
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    shared = SharedCore([threading.get_native_id(), thread.native_id or 0], JumpingClock())
    with shared.held():
        go.set()
        assert done.wait(10)
        assert len(mine()) == 1
        assert seen == [mine(), cores.EVERY_CORE]
        thread.join()
        shared._threads = shared._threads[:1]  # the other one has ended
    assert mine() == cores.EVERY_CORE


@pytest.mark.parametrize(("waited", "moves"), [(0.51, True), (0.49, False)])
async def test_a_crowded_core_is_left(waited: float, moves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = JumpingClock()
    shared = SharedCore([threading.get_native_id()], clock)
    figures = iter([1.0, 1.0 + waited * LOOK_EVERY])
    monkeypatch.setattr(shared, "_waited", lambda: next(figures, 1.0 + waited * LOOK_EVERY))
    with shared.held():
        before = mine()
        task = asyncio.create_task(shared.watch())
        await settle()
        await clock.advance(LOOK_EVERY)
        await settle()
        assert (mine() != before) is moves
        assert len(mine()) == 1
        task.cancel()


def test_waiting_is_read_from_the_kernel() -> None:
    assert SharedCore([threading.get_native_id()], JumpingClock())._waited() >= 0
    assert SharedCore([0], JumpingClock())._waited() == 0.0


def test_where_the_system_forbids_it_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(thread: int, cores: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    with SharedCore([threading.get_native_id()], JumpingClock()).held():
        roam()


def test_a_thread_that_has_ended_stops_nothing() -> None:
    ended = threading.Thread(target=roam)
    ended.start()
    ended.join()
    with SharedCore([threading.get_native_id(), ended.native_id or 0], JumpingClock()).held():
        assert len(mine()) == 1
