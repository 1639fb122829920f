"""Several addresses of one host: each gets a head start, and the first that answers is taken (RFC 8305)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from postroad.adapters.net import dial
from postroad.adapters.net.dial import NetDialer
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import listen
from postroad.ports.net import Endpoint
from postroad.testing.clock import settle
from postroad.testing.lines import LineClient, LineMachine, LineSession


@pytest.fixture
async def hub():
    hub = Hub()
    yield hub
    await hub.stop(grace=5)


@pytest.fixture
async def good(hub):
    def make():
        machine = LineMachine()
        return machine, LineSession(machine, greeting=b"hello")

    listener = await listen(hub, Endpoint("127.0.0.1", 0), make, service="test")
    yield listener.endpoint
    listener.close()


@pytest.fixture
def refusing():
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.3", 0))
        yield Endpoint(*probe.getsockname())


@pytest.fixture
def silent():
    """One that never answers: the queue of its listener is full, and the kernel drops what knocks."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.4", 0))
        listener.listen(0)
        knocking = [socket.socket() for _ in range(3)]
        for one in knocking:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield Endpoint(*listener.getsockname())
        for one in knocking:
            one.close()


async def reach(hub, *endpoints, timeout=5.0):
    client = LineClient(LineMachine())
    connection = await NetDialer(hub).connect(endpoints, client.machine, client, timeout=timeout)
    return connection.peer


async def test_a_refusal_leads_to_the_next_at_once(hub, good, refusing, monkeypatch):
    monkeypatch.setattr(dial, "HEAD_START", 60.0)
    assert await reach(hub, refusing, good, timeout=5) == good


async def test_silence_costs_a_head_start_and_no_more(hub, good, silent, monkeypatch):
    monkeypatch.setattr(dial, "HEAD_START", 0.02)
    assert await reach(hub, silent, good, timeout=5) == good


async def test_the_first_keeps_its_head_start(hub, good, refusing):
    assert await reach(hub, good, refusing) == good


async def test_the_last_failure_is_told(hub, refusing):
    with pytest.raises(ConnectionRefusedError):
        await reach(hub, refusing, Endpoint(refusing.host, refusing.port))


async def test_nobody_waits_for_ever(hub, silent, refusing, monkeypatch):
    monkeypatch.setattr(dial, "HEAD_START", 0.01)
    with pytest.raises(TimeoutError, match=r"127\.0\.0\.4.*127\.0\.0\.3"):
        await reach(hub, silent, refusing, timeout=0.1)
    await settle(2)
    assert len(asyncio.all_tasks()) == 1, "nothing is left behind"
