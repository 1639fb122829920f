from __future__ import annotations

import pytest

from postroad.ports.net import Endpoint
from postroad.testing.clock import JumpingClock
from postroad.testing.lines import LineMachine, LineSession
from postroad.testing.network import MemoryNetwork

SERVER = Endpoint("192.0.2.10", 25)


class LineServer:
    """A listener in memory whose sessions a test can look at."""

    def __init__(self, **options: object) -> None:
        self.clock = JumpingClock()
        self.network = MemoryNetwork(timers=self.clock)
        self.sessions: list[LineSession] = []
        self.network.listen(SERVER, self._make, **options)

    def _make(self):
        machine = LineMachine()
        session = LineSession(machine, greeting=b"hello")
        self.sessions.append(session)
        return machine, session

    @property
    def session(self) -> LineSession:
        return self.sessions[-1]

    async def talk(self):
        return await self.network.talk(SERVER)


@pytest.fixture
async def server():
    server = LineServer()
    yield server
    assert server.network.bugs == []


@pytest.fixture
def make_server():
    return LineServer
