"""A network in memory: streams without sockets, under the real driver and real TLS.

`MemoryNetwork` listens and dials like `adapters.net`. A test can cut what travels into pieces of any size, stop one
side from reading, and break a connection. Certificates come from a test authority (trustme).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import trustme

from postroad.adapters.net.driver import Driver
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import Doorman, Factory
from postroad.adapters.net.patience import Timers
from postroad.adapters.net.tls import ClientContexts, ServerTls
from postroad.ports.net import ClientTls, Connection, Endpoint, Session
from postroad.proto.wire import Machine

Cut = Callable[[], int]  # the size of the next piece


class MemoryTransport(asyncio.Transport):
    """One end of a stream. Bytes travel in a later turn of the loop, as much as the other end has room for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, local: Endpoint, peer: Endpoint, cut: Cut | None) -> None:
        super().__init__({"sockname": (local.host, local.port), "peername": (peer.host, peer.port)})
        self._loop = loop
        self._cut = cut
        self._queue = bytearray()  # written, not yet taken by the other end
        self._high, self._low = 64 * 1024, 16 * 1024
        self._asked_to_pause = self._reading_paused = self._eof_sent = self._ending = self._lost = False
        self._moving = False
        self.protocol: asyncio.BufferedProtocol
        self.other: MemoryTransport
        self.pieces = 0  # how many the protocol was given
        self.written: list[bytes] = []  # each write, as it was made

    # -- what a driver calls -----------------------------------------------------------------------------------

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return len(self._queue)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._lost or self._eof_sent or self._ending:
            return
        self.written.append(bytes(data))
        self._queue += data
        if len(self._queue) > self._high and not self._asked_to_pause:
            self._asked_to_pause = True
            self.protocol.pause_writing()
        self._move()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._eof_sent = True
        self._move()

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        self._reading_paused = False
        self.other._move()

    def is_reading(self) -> bool:
        return not self._reading_paused

    def is_closing(self) -> bool:
        return self._ending or self._lost

    def close(self) -> None:
        if not self._ending:
            self._ending = self._eof_sent = True
            self._move()

    def abort(self) -> None:
        self._ending = True
        self._queue.clear()
        self._loop.call_soon(self._lose, None)

    # -- the wire ----------------------------------------------------------------------------------------------

    def break_off(self) -> None:
        """The network fails: both ends see a reset."""
        for end in (self, self.other):
            end._loop.call_soon(end._lose, ConnectionResetError("the network broke"))

    def _move(self) -> None:
        if not self._moving and not self._lost:
            self._moving = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._moving = False
        other = self.other
        if other._lost:
            self._lose(None if self._ending and not self._queue else ConnectionResetError("the peer has gone"))
        elif other._reading_paused:
            return
        elif self._queue:
            self._deliver_piece()
            self._move()
        elif self._eof_sent:
            self._deliver_eof()

    def _deliver_piece(self) -> None:
        protocol = self.other.protocol
        buffer = memoryview(protocol.get_buffer(-1))
        size = min(len(buffer), len(self._queue), max(1, self._cut()) if self._cut else len(buffer))
        buffer[:size] = self._queue[:size]
        del self._queue[:size]
        self.other.pieces += 1
        protocol.buffer_updated(size)
        if self._asked_to_pause and len(self._queue) <= self._low and not self._lost:
            self._asked_to_pause = False
            self.protocol.resume_writing()

    def _deliver_eof(self) -> None:
        if self._ending:
            self._lose(None)
        if not self.other._lost and not self.other.protocol.eof_received():
            self.other.close()

    def _lose(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self.protocol.connection_lost(error)
        self.other._move()
        if not self._eof_sent:  # aborted, not closed: the other end sees a reset
            self._loop.call_soon(self.other._lose, ConnectionResetError("reset by the peer"))


def connect_pair(
    client: asyncio.BufferedProtocol,
    server: asyncio.BufferedProtocol,
    *,
    client_at: Endpoint,
    server_at: Endpoint,
    cut: Cut | None = None,
) -> tuple[MemoryTransport, MemoryTransport]:
    """Join two protocols; the server's end is made first, as a kernel does."""
    loop = asyncio.get_running_loop()
    near = MemoryTransport(loop, client_at, server_at, cut)
    far = MemoryTransport(loop, server_at, client_at, cut)
    near.other, far.other, near.protocol, far.protocol = far, near, client, server
    server.connection_made(far)
    client.connection_made(near)
    return near, far


class MemoryNetwork:
    """Listeners by endpoint, and a dialer to them. `cut` is asked for the size of each piece that travels."""

    def __init__(self, *, timers: Timers | None = None, cut: Cut | None = None) -> None:
        self.bugs: list[BaseException] = []
        self.hub = Hub(timers=timers, report=lambda _connection, error: self.bugs.append(error))
        self.cut = cut
        self.pairs: list[tuple[MemoryTransport, MemoryTransport]] = []
        self._listeners: dict[Endpoint, Callable[[], Driver]] = {}
        self._contexts = ClientContexts()
        self._next_port = 40000

    def listen(
        self,
        endpoint: Endpoint,
        factory: Factory,
        *,
        tls: ServerTls | None = None,
        implicit: bool = False,
        doorman: Doorman | None = None,
    ) -> None:
        def accept() -> Driver:
            machine, session = factory()
            return Driver(
                self.hub,
                machine,
                session,
                make_filter=tls.filter if tls else None,
                implicit=implicit,
                admit=doorman.admit if doorman else None,
            )

        self._listeners[endpoint] = accept

    def close(self, endpoint: Endpoint) -> None:
        """Nobody listens there any more: dialling is refused."""
        self._listeners.pop(endpoint, None)

    async def connect(
        self,
        endpoint: Endpoint | Sequence[Endpoint],
        machine: Machine,
        session: Session,
        *,
        timeout: float,
        tls: ClientTls | None = None,
        source: str | None = None,
    ) -> Connection:
        """As ports.net.Dialer; of several the first where somebody listens."""
        del timeout  # a network in memory answers at once
        if not isinstance(endpoint, Endpoint):
            endpoint = next((one for one in endpoint if one in self._listeners), endpoint[-1])
        opened = self.hub.loop.create_future() if tls is not None else None
        driver = Driver(self.hub, machine, session, make_filter=self._contexts.filter, client=tls, opened=opened)
        self.join(driver, endpoint, source or "192.0.2.1")
        if opened is not None:
            await opened
        return driver

    def join(self, protocol: asyncio.BufferedProtocol, endpoint: Endpoint, source: str) -> MemoryTransport:
        """Connect any protocol to a listener."""
        accept = self._listeners.get(endpoint)
        if accept is None:
            raise ConnectionRefusedError(f"nobody listens at {endpoint}")
        self._next_port += 1
        pair = connect_pair(
            protocol, accept(), client_at=Endpoint(source, self._next_port), server_at=endpoint, cut=self.cut
        )
        self.pairs.append(pair)
        return pair[0]

    async def talk(self, endpoint: Endpoint, source: str = "192.0.2.1") -> Talker:
        """A client without a protocol: a test says and reads bytes."""
        talker = Talker()
        talker.transport = self.join(talker, endpoint, source)
        return talker


class Talker(asyncio.BufferedProtocol):
    """What a test says and hears on a connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.heard = b""
        self.ended = False
        self._buffer = bytearray(64 * 1024)
        self._changed = asyncio.Event()

    def get_buffer(self, sizehint: int) -> bytearray:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.heard += bytes(self._buffer[:nbytes])
        self._changed.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._changed.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.ended = True
        self._changed.set()

    def say(self, data: bytes) -> None:
        self.transport.write(data)

    async def until(self, end: bytes) -> bytes:
        """Everything heard up to and with `end`; it is taken away. Fails when the connection ends first."""
        while end not in self.heard:
            if self.ended:
                raise EOFError(f"the connection ended; heard {self.heard!r}")
            self._changed.clear()
            await self._changed.wait()
        said, _, self.heard = self.heard.partition(end)
        return said + end

    async def rest(self) -> bytes:
        """Everything until the connection ends."""
        while not self.ended:
            self._changed.clear()
            await self._changed.wait()
        said, self.heard = self.heard, b""
        return said


@cache
def authority() -> trustme.CA:
    """The test authority; made once for a run, since keys cost time."""
    return trustme.CA()


@cache
def _issued(names: tuple[str, ...]) -> trustme.LeafCert:
    return authority().issue_cert(*names)


def write_certificate(directory: Path, *names: str) -> tuple[Path, Path]:
    """A certificate for `names` by the test authority: paths of certificate and key."""
    leaf = _issued(names)
    certificate, key = directory / "cert.pem", directory / "key.pem"
    certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(key))
    return certificate, key


def server_tls(*names: str) -> ServerTls:
    """TLS for a listener known as `names`."""
    with TemporaryDirectory() as directory:
        return ServerTls(*write_certificate(Path(directory), *names))


def as_transport(connection: Any) -> MemoryTransport:
    """The transport under a driver of this network."""
    return cast(MemoryTransport, connection._transport)
