"""Clock, threads, randomness, local signals."""

from __future__ import annotations

import threading
from datetime import UTC

import pytest

from postroad.adapters.clock import SystemClock
from postroad.adapters.random import SystemRandomness
from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.workers import ThreadWorkers


async def test_the_clock():
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before


def test_randomness():
    random = SystemRandomness()
    assert 0 <= random.fraction() < 1
    items = list(range(100))
    random.shuffle(items)
    assert sorted(items) == list(range(100))
    assert items != list(range(100))
    assert len({random.token(16) for _ in range(10)}) == 10


async def test_work_runs_in_another_thread():
    workers = ThreadWorkers(1)
    assert await workers.run(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0)
    workers.close()


def test_signals_wake_their_topic_alone():
    signals, heard = LocalSignals(), []
    leave = signals.listen("queue", lambda: heard.append("queue"))
    signals.listen("config", lambda: heard.append("config"))
    signals.publish("queue")
    signals.publish("nobody")
    leave()
    leave()
    signals.publish("queue")
    assert heard == ["queue"]
    assert list(signals._listeners) == ["config"]


def test_a_listener_may_leave_while_it_is_called():
    signals, heard = LocalSignals(), []

    def once() -> None:
        heard.append(1)
        leave()

    leave = signals.listen("queue", once)
    signals.listen("queue", lambda: heard.append(2))
    signals.publish("queue")
    signals.publish("queue")
    assert heard == [1, 2, 2]
