"""Connections behind a balancer, over real sockets, on both event loops: who the client is, and who is not believed."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import uvloop

from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import Doorman, listen
from postroad.config.networks import Networks
from postroad.mail.envelope import TlsInfo
from postroad.ports.net import Endpoint
from postroad.testing.lines import LineMachine, LineSession
from postroad.testing.network import authority, server_tls

LOCAL = Endpoint("127.0.0.1", 0)
LISTED = Networks(("127.0.0.0/8",))
V1 = b"PROXY TCP4 192.0.2.7 203.0.113.1 56224 25\r\n"
CLIENT, BEHIND = Endpoint("192.0.2.7", 56224), Endpoint("203.0.113.1", 25)
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes((192, 0, 2, 7, 203, 0, 113, 1)) + b"\xdb\xa0\x00\x19"
)  # the same in version 2
OWN = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
TLS_TLV = b"\x20\x00\x0f\x01\0\0\0\0\x21\x00\x07TLSv1.3"
V2_TLS = V2[:14] + (12 + len(TLS_TLV)).to_bytes(2, "big") + V2[16:] + TLS_TLV


class World:
    def __init__(self) -> None:
        self.hub = Hub()
        self.sessions: list[LineSession] = []

    def make(self):
        machine = LineMachine()
        self.sessions.append(LineSession(machine, greeting=b"hello"))
        return machine, self.sessions[-1]

    async def dial(self, **options):
        self.listener = await listen(self.hub, LOCAL, self.make, proxies=LISTED, **options)
        return await asyncio.open_connection(self.listener.endpoint.host, self.listener.endpoint.port)

    @property
    def connection(self):
        return self.sessions[-1].connection


async def dropped(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a word."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


def on_both_loops(body):
    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def test(new_loop):
        async def run() -> None:
            world = World()
            async with asyncio.timeout(20):
                await body(world)
                world.listener.close()
                await world.hub.stop(grace=5)
            assert not world.hub.live

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run())

    return test


@on_both_loops
async def test_the_client_is_who_the_header_says(world):
    for header in (V1, V2):
        reader, writer = await world.dial()
        writer.write(header + b"one\n")
        assert await reader.readline() == b"hello\n"
        assert (world.connection.peer, world.connection.local, world.connection.tls) == (CLIENT, BEHIND, None)
        writer.write(b"quit\n")
        assert await reader.read() == b"one\nbye\n"
        assert b"one" in world.sessions[-1].log
        writer.close()
        world.listener.close()


@on_both_loops
async def test_a_header_may_come_octet_by_octet(world):
    reader, writer = await world.dial()
    writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY
    for octet in V1 + b"quit\n":
        writer.write(bytes((octet,)))
        await asyncio.sleep(0)
    assert await reader.read() == b"hello\nbye\n"
    assert world.connection.peer == CLIENT
    writer.close()


@on_both_loops
async def test_the_balancer_speaks_for_itself(world):
    for header in (OWN, b"PROXY UNKNOWN\r\n"):
        reader, writer = await world.dial()
        writer.write(header + b"quit\n")
        assert await reader.read() == b"hello\nbye\n"
        assert world.connection.peer.host == "127.0.0.1"
        assert world.connection.local == world.listener.endpoint
        writer.close()
        world.listener.close()


@on_both_loops
async def test_without_a_header_a_listed_peer_is_dropped(world):
    for said in (b"quit\n", b"PROXY TCP4 nonsense\r\n", b"PROXY " + b"x" * 200, V2[:12] + b"\x31" + V2[13:]):
        reader, writer = await world.dial()
        writer.write(said)
        assert await dropped(reader)
        writer.close()
        world.listener.close()
    assert world.sessions == []


@on_both_loops
async def test_a_header_that_does_not_come_is_not_waited_for(world):
    for said in (b"", V1[:-1], V2[:-1]):
        reader, writer = await world.dial(proxy_timeout=0.02)
        writer.write(said)
        assert await dropped(reader)
        writer.close()
        world.listener.close()
    assert world.sessions == []


@on_both_loops
async def test_nobody_else_is_believed(world):
    world.listener = await listen(world.hub, LOCAL, world.make, proxies=Networks(("198.51.100.0/24",)))
    reader, writer = await asyncio.open_connection(world.listener.endpoint.host, world.listener.endpoint.port)
    assert await reader.readline() == b"hello\n"
    writer.write(V1 + b"quit\n")
    assert b"bye\n" in await reader.read()
    assert world.connection.peer.host == "127.0.0.1"
    assert V1.rstrip(b"\n") in world.sessions[-1].log or V1.strip() in world.sessions[-1].log
    writer.close()


@on_both_loops
async def test_the_doorman_counts_clients_not_the_balancer(world):
    doorman = Doorman(total=10, per_client=1)
    first = await world.dial(doorman=doorman)
    first[1].write(V1)
    assert await first[0].readline() == b"hello\n"
    endpoint = world.listener.endpoint
    same = await asyncio.open_connection(endpoint.host, endpoint.port)
    same[1].write(V1 + b"quit\n")
    assert b"hello" not in await same[0].read()
    other = await asyncio.open_connection(endpoint.host, endpoint.port)
    other[1].write(V1.replace(b"192.0.2.7", b"192.0.2.8") + b"quit\n")
    assert await other[0].read() == b"hello\nbye\n"
    for _, writer in (first, same, other):
        writer.close()


@on_both_loops
async def test_tls_comes_behind_the_header(world):
    context = ssl.create_default_context()
    authority().configure_trust(context)
    reader, writer = await world.dial(tls=server_tls("mx.test"), implicit=True)
    writer.write(V2)
    await writer.drain()
    await writer.start_tls(context, server_hostname="mx.test")
    assert await reader.readline() == b"hello\n"
    assert world.connection.peer == CLIENT
    assert world.connection.tls is not None
    writer.close()


@on_both_loops
async def test_tls_that_the_balancer_ended_counts(world):
    reader, writer = await world.dial(tls=server_tls("mx.test"))
    writer.write(V2_TLS + b"quit\n")
    assert await reader.read() == b"hello\nbye\n"
    assert world.connection.tls == TlsInfo("TLSv1.3", "")
    writer.close()


@on_both_loops
async def test_a_stop_ends_who_has_not_said_whom_he_brings(world):
    reader, writer = await world.dial()
    while not world.hub.live:
        await asyncio.sleep(0.001)
    await world.hub.stop(grace=5)
    assert await dropped(reader)
    writer.close()
