"""Five thousand destinations, half of which fail, with their DNS: what `bench queue` sends to."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import Listener, listen
from postroad.lab.dns import LabDns
from postroad.lab.profiles.accepting import Accepting
from postroad.lab.profiles.refusing import Refusing
from postroad.lab.receivers import Letter, Mailbag, Receiver
from postroad.lab.temper import Move, Temper, Visit
from postroad.ports.net import Endpoint

TAKES, REFUSES, CLOSED, SILENT = "127.0.0.40", "127.0.0.41", "127.0.0.42", "127.0.0.43"
FAILING = (REFUSES, CLOSED, SILENT)


class Silent(Temper):
    """Takes connections and says nothing for an hour."""

    def connect(self, visit: Visit) -> Move:  # noqa: ARG002
        return Move(delay=3600.0)


class Lab:
    """DNS and receivers: one that takes everything, one that refuses, one that is silent; nobody at the fourth."""

    def __init__(self, destinations: int) -> None:
        self.fresh = Mailbag(keep_contents=False)
        self.bag = Mailbag(keep_contents=False, limit=1)
        self.taken = 0
        self.dns = LabDns({"test": zone(destinations)})
        self.port = 0
        self._hub = Hub()
        self._listeners: list[Listener] = []

    async def start(self) -> None:
        await self.dns.start("127.0.0.1:0")
        for address, temper in ((TAKES, Accepting()), (REFUSES, Refusing(451)), (SILENT, Silent())):
            receiver = Receiver(f"mx.{address.replace('.', '-')}.test", temper, bag=Counting(self), starttls=False)
            listener = await listen(self._hub, Endpoint(address, self.port), receiver.make, tls=None, service="lab")
            self._listeners.append(listener)
            self.port = listener.endpoint.port

    async def stop(self) -> None:
        for listener in self._listeners:
            listener.close()
        self.dns.stop()
        with suppress(TimeoutError):  # the silent one does not let go
            await asyncio.wait_for(self._hub.stop(grace=0.1), 2.0)


class Counting(Mailbag):
    """Counts what came, and keeps when the new ones came."""

    arrived: dict[str, float] = {}  # noqa: RUF012 - one for the whole laboratory

    def __init__(self, lab: Lab) -> None:
        super().__init__(keep_contents=False, limit=1)
        self._lab = lab

    def add(self, letter: Letter) -> None:
        self._lab.taken += len(letter.recipients)
        for recipient in letter.recipients:
            if recipient.startswith("fresh"):
                self.arrived[recipient] = time.monotonic()


def zone(destinations: int) -> str:
    """Every second destination fails: in turn by refusing, by being gone, by saying nothing."""
    lines = []
    for number in range(destinations):
        address = TAKES if number % 2 == 0 else FAILING[number // 2 % len(FAILING)]
        lines.append(f"d{number}.test. MX 10 mx.d{number}.test.\nmx.d{number}.test. A {address}\n")
    return "".join(lines)
