"""A network in memory whose distances cost time: the real machines and sessions talk to each other, octet by octet.

A conversation runs to its end in one task, each crossing of the wire moving the clock on. TLS is agreed on, not
computed: nobody listens in here.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from postroad.lab.day.past import Past
from postroad.mail.envelope import TlsInfo
from postroad.ports.net import ClientTls, Connection, Endpoint, Session
from postroad.proto.wire import Machine, Signal

TLS = TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384")
HANDSHAKE_TRIPS = 2
FIRST_PORT = 40000

Factory = Callable[[], tuple[Machine, Session]]


@dataclass(frozen=True, slots=True)
class Door:
    """Who answers at an address, and how far away it is."""

    answer: Factory
    trip: float = 0.02  # seconds, there and back
    tls: TlsInfo = TLS


SILENT = Door(lambda: (_ for _ in ()).throw(TimeoutError()))  # nobody answers, not even with a refusal


class End:
    """One side of a connection. Implements ports.net.Connection."""

    def __init__(self, wire: Wire, machine: Machine, session: Session, local: Endpoint, peer: Endpoint) -> None:
        self.machine = machine
        self.session = session
        self.local = local
        self.peer = peer
        self.tls: TlsInfo | None = None
        self.certified: tuple[str, ...] = ()  # nobody shows a certificate
        self.half_closed = False
        self.closing = False
        self.inbox: list[bytes] = []
        self.wants_tls = False
        self.was_reset = False  # by the other side
        self._wire = wire

    @property
    def listens(self) -> bool:
        """It neither ends nor waits for a handshake."""
        return not (self.closing or self.wants_tls)

    def wake(self) -> None:
        """The wire looks at both ends until neither has anything to say."""

    def start_tls(self, client: ClientTls | None = None) -> None:  # noqa: ARG002 - its name is believed
        self.flush()
        self.inbox.clear()
        self.wants_tls = True

    def send(self, data: bytes) -> None:
        self._wire.carry(self, data)

    async def drained(self) -> None:
        """There is always room."""

    def set_read_size(self, size: int) -> None:
        """Everything is read at once."""

    def channel_bindings(self) -> Mapping[str, bytes]:
        """TLS that was not computed tells no connection from another."""
        return {}

    def flush(self) -> bool:
        data = self.machine.data_to_send()
        if data:
            self._wire.carry(self, data)
        return bool(data)

    def close(self) -> None:
        if not self.closing:
            self.flush()
            self.closing = True

    def abort(self) -> None:
        self.closing = True
        self._wire.other(self).was_reset = True


class Wire:
    """One connection: both ends, and the time that lies between them."""

    def __init__(self, past: Past, door: Door) -> None:
        self._past = past
        self._door = door
        self.client: End
        self.server: End

    def other(self, end: End) -> End:
        return self.server if end is self.client else self.client

    def carry(self, sender: End, data: bytes) -> None:
        self._past.elapse(self._door.trip / 2)
        self.other(sender).inbox.append(data)

    async def run(self) -> None:
        """Until nobody has anything to say any more; then both ends are told that it is over."""
        while not (self.client.closing and self.server.closing):
            moved = [self._secure(), await self._turn(self.server), await self._turn(self.client)]
            if not any(moved):
                break
        for end in (self.server, self.client):
            end.closing = True
            end.session.disconnected(ConnectionResetError("reset by the peer") if end.was_reset else None)

    def _secure(self) -> bool:
        if not (self.client.wants_tls and self.server.wants_tls):
            return False
        self._past.elapse(self._door.trip * HANDSHAKE_TRIPS)
        for end in (self.server, self.client):
            end.wants_tls = False
            end.tls = self._door.tls
            end.machine.tls_established(end.tls)  # type: ignore[attr-defined]
            end.session.secured(end.tls)
        return True

    async def _turn(self, end: End) -> bool:
        """Read what came, answer it, send what there is to send. False: nothing to do."""
        if not end.listens:
            return False
        if end.was_reset:
            end.closing = True
            return True
        moved = self._read(end)
        while end.listens:
            event = end.machine.next_event()
            if isinstance(event, Signal):
                break
            moved = True
            waiting = end.session.answer(event)
            if waiting is not None:
                await waiting
        return end.flush() or moved

    def _read(self, end: End) -> bool:
        if end.inbox:
            data = b"".join(end.inbox)
            end.inbox.clear()
            end.machine.receive_data(data)
            return True
        if self.other(end).closing and not end.half_closed:
            end.half_closed = True
            end.machine.receive_eof()
            return True
        return False


class MemoryNetwork:
    """Implements ports.net.Dialer over the doors that there are. Nobody listens anywhere else."""

    def __init__(self, past: Past, doors: Mapping[Endpoint, Door]) -> None:
        self._past = past
        self._doors = doors
        self._port = FIRST_PORT
        self._running: set[asyncio.Task[None]] = set()

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
        assert tls is None, "nobody here speaks TLS from the first octet"
        if not isinstance(endpoint, Endpoint):
            endpoint = endpoint[0]  # every host here has one
        door = self._doors.get(endpoint)
        if door is SILENT:
            self._past.elapse(timeout)
            raise TimeoutError(f"no connection to {endpoint} in {timeout:g} seconds")
        if door is None:
            self._past.elapse(0.001)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        self._past.elapse(door.trip)
        self._port += 1
        wire = Wire(self._past, door)
        near, far = Endpoint(source or "192.0.2.1", self._port), endpoint
        wire.client = End(wire, machine, session, near, far)
        wire.server = End(wire, *door.answer(), far, near)
        for end in (wire.server, wire.client):
            waiting = end.session.connected(end)
            if waiting is not None:
                await waiting
        task = asyncio.create_task(wire.run())
        self._running.add(task)
        return wire.client

    async def quiet(self) -> None:
        """Once every conversation is over. Raises what broke one: a bug of ours."""
        while self._running:
            await self._running.pop()
