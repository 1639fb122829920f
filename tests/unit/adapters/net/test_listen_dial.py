"""The same driver over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import uvloop

from postroad.adapters.net.dial import NetDialer
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import Doorman, listen
from postroad.mail.envelope import TlsInfo
from postroad.ports.net import ClientTls, Endpoint, TlsFailed
from postroad.testing.lines import LineClient, LineMachine, LineSession
from postroad.testing.network import server_tls

LOCAL = Endpoint("127.0.0.1", 0)


class World:
    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.hub = Hub()
        self.sessions: list[LineSession] = []
        self.dialer = NetDialer(self.hub)

    def make(self):
        machine = LineMachine()
        self.sessions.append(LineSession(machine, greeting=b"hello"))
        return machine, self.sessions[-1]

    async def dial(self, endpoint: Endpoint, **options) -> LineClient:
        client = LineClient(LineMachine())
        await self.dialer.connect(endpoint, client.machine, client, timeout=5, **options)
        return client


def on_both_loops(body):
    """Run the test on asyncio's own loop and on uvloop: nothing may depend on either."""

    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def test(new_loop, tmp_path):
        async def run() -> None:
            world = World(tmp_path)
            await body(world)
            await world.hub.stop(grace=5)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run())

    return test


@on_both_loops
async def test_a_conversation_over_tcp(world):
    listener = await listen(world.hub, LOCAL, world.make, service="test")
    client = await world.dial(listener.endpoint, source="127.0.0.2")
    assert client.connection.peer == listener.endpoint
    client.say(b"one", b"quit")
    await client.gone.wait()
    assert client.log == ["connected", b"hello", b"one", b"bye", None, ("disconnected", None)]
    server = world.sessions[0].connection
    assert server.peer.host == "127.0.0.2"
    assert server.local == listener.endpoint
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await world.dial(listener.endpoint)


@on_both_loops
async def test_starttls_and_a_long_answer_over_tcp(world):
    listener = await listen(world.hub, LOCAL, world.make, tls=server_tls("mx.test"))
    client = await world.dial(listener.endpoint)
    client.words = {}
    client.say(b"tls")
    while not any(isinstance(entry, TlsInfo) for entry in client.log):
        await asyncio.sleep(0.001)
    client.say(b"pour", b"quit")
    await client.gone.wait()
    assert sum(len(entry) for entry in client.log if isinstance(entry, bytes)) == 5 + 2 + 64 * 65535 + 6 + 3
    listener.close()


@on_both_loops
async def test_implicit_tls_over_tcp(world):
    listener = await listen(world.hub, LOCAL, world.make, tls=server_tls("mx.test"), implicit=True)
    client = await world.dial(listener.endpoint, tls=ClientTls("mx.test"))
    client.say(b"quit")
    await client.gone.wait()
    assert client.log[1:3] == [b"hello", b"bye"]
    listener.close()


@on_both_loops
async def test_a_unix_socket(world):
    at = Endpoint(str(world.tmp_path / "lmtp"), 0)
    listener = await listen(world.hub, at, world.make)
    client = await world.dial(at)
    client.say(b"quit")
    await client.gone.wait()
    assert listener.endpoint == at
    listener.close()
    assert not (world.tmp_path / "lmtp").exists()


@on_both_loops
async def test_a_peer_that_does_not_answer_the_handshake(world):
    listener = await listen(world.hub, LOCAL, world.make)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = Endpoint(*silent.getsockname())
        client = LineClient(LineMachine())
        with pytest.raises(TimeoutError, match="no connection to"):
            await world.dialer.connect(endpoint, client.machine, client, timeout=0.05, tls=ClientTls("x"))
    with pytest.raises(TlsFailed):
        await world.dial(listener.endpoint, tls=ClientTls("x"))
    assert client.log == []
    listener.close()


@on_both_loops
async def test_what_is_sent_does_not_wait_for_company(world):
    """TCP_NODELAY: without it a reply may wait for the acknowledgement of the one before."""
    listener = await listen(world.hub, LOCAL, world.make)
    client = await world.dial(listener.endpoint)
    for connection in (client.connection, world.sessions[0].connection):
        transport_socket = connection._transport.get_extra_info("socket")
        assert transport_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listener.close()


@on_both_loops
async def test_the_doorman_counts_for_each_client(world):
    doorman = Doorman(total=10, per_client=1, exempt=["127.0.0.0/30"])
    listener = await listen(world.hub, LOCAL, world.make, doorman=doorman)
    exempt = [await world.dial(listener.endpoint, source="127.0.0.2") for _ in range(2)]
    one = await world.dial(listener.endpoint, source="127.0.0.9")
    two = await world.dial(listener.endpoint, source="127.0.0.9")
    await two.gone.wait()
    assert two.log[1:] == [b"421 overload", None, ("disconnected", None)]
    for client in (one, *exempt):
        client.say(b"quit")
        await client.gone.wait()
    while world.hub.live:
        await asyncio.sleep(0.001)
    assert doorman.count == 0
    listener.close()


@on_both_loops
async def test_an_abrupt_end_is_told(world):
    listener = await listen(world.hub, LOCAL, world.make)
    client = await world.dial(listener.endpoint)
    while not world.sessions:
        await asyncio.sleep(0.001)
    client.connection.abort()
    await world.sessions[0].gone.wait()
    assert world.sessions[0].log[-1][0] == "disconnected"
    assert not world.hub.unfinished
    listener.close()


@on_both_loops
async def test_many_at_once_are_let_in_and_a_closed_listener_lets_in_nobody(world):
    """On either loop the socket is one, however often the loop was given it."""
    listener = await listen(world.hub, LOCAL, world.make, service="test")
    clients = await asyncio.gather(*(world.dial(listener.endpoint) for _ in range(30)))
    for client in clients:
        client.say(b"quit")
    await asyncio.gather(*(client.gone.wait() for client in clients))
    assert len(world.sessions) == 30
    listener.close()
    await asyncio.sleep(0)
    with pytest.raises(OSError):
        await world.dial(listener.endpoint)
