"""A whole small internet on loopback: a DNS server and receiving servers with different tempers.

`postroad demo` and `postroad lab` show it, tests count in it. Everything of it is under `.test` (RFC 6761 §6.2):

| domain | what becomes of mail |
|---|---|
| `remote.test` | as the local-part says: accept, 550, 451, greylist, throttle, slow, drop |
| `refuse.test`, `greylist.test`, `throttle.test`, `slow.test`, `drop.test` | one temper each |
| `plain.test` | taken, but without STARTTLS and what else is newer than 1995: see `ANNOUNCED` |
| `late.test` | taken, and reported by mail: bounce, full, delay, prose, away, challenge |
| `complain.test` | taken, and called spam: a feedback report goes to abuse@ |
| `onlya.test` | no MX, only an address record: taken |
| `nullmx.test` | takes no mail (RFC 7505) |
| `down.test` | its MX refuses connections |
| `nohost.test` | its MX has no address |
| `servfail.test` | its DNS is broken |
| `nowhere.test`, and any other name | does not exist |
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from postroad.adapters.clock import SystemClock
from postroad.adapters.net.hub import Hub
from postroad.adapters.net.listen import Listener, listen
from postroad.adapters.net.selfsigned import write_self_signed
from postroad.adapters.net.tls import ServerTls
from postroad.lab.dns import Fault, LabDns
from postroad.lab.profiles.accepting import Accepting
from postroad.lab.profiles.complaining import Complaining
from postroad.lab.profiles.dropping import Dropping
from postroad.lab.profiles.fates import Fates
from postroad.lab.profiles.greylisting import Greylisting
from postroad.lab.profiles.late_bouncing import LateBouncing
from postroad.lab.profiles.refusing import Refusing
from postroad.lab.profiles.slow import Slow
from postroad.lab.profiles.throttling import Throttling
from postroad.lab.reactions import Reaction, post
from postroad.lab.receivers import Mailbag, Receiver
from postroad.lab.temper import Temper
from postroad.lab.visitors import furnish
from postroad.ports.clock import Clock
from postroad.ports.net import Endpoint
from postroad.proto.smtp.extensions import BUILT

DNS_ADDRESS = "127.0.0.1:1053"
PORT = 2526
NOBODY = "127.0.0.19"  # nothing listens there
FREE_PORT_TRIES = 50

# host, address, STARTTLS offered, temper
HOSTS: tuple[tuple[str, str, bool, Callable[[], Temper]], ...] = (
    ("mx1.remote.test", "127.0.0.10", True, Fates),
    ("mx2.remote.test", "127.0.0.11", True, Fates),
    ("onlya.test", "127.0.0.12", True, Accepting),
    ("mx.greylist.test", "127.0.0.13", True, Greylisting),
    ("mx.throttle.test", "127.0.0.14", True, Throttling),
    ("mx.slow.test", "127.0.0.15", True, Slow),
    ("mx.drop.test", "127.0.0.16", True, Dropping),
    ("mx.refuse.test", "127.0.0.17", True, Refusing),
    ("mx.plain.test", "127.0.0.18", False, Accepting),
    ("mx.late.test", "127.0.0.20", True, LateBouncing),
    ("mx.complain.test", "127.0.0.21", True, Complaining),
)

# An old server: it takes neither 8-bit content nor chunks, reports nothing, and knows ASCII alone.
ANNOUNCED = {"mx.plain.test": frozenset(("PIPELINING", "SIZE", "ENHANCEDSTATUSCODES"))}

ZONE = """
remote.test.    MX 10 mx1.remote.test.
remote.test.    MX 20 mx2.remote.test.
remote.test.    TXT "v=spf1 -all"
greylist.test.  MX 10 mx.greylist.test.
throttle.test.  MX 10 mx.throttle.test.
slow.test.      MX 10 mx.slow.test.
drop.test.      MX 10 mx.drop.test.
refuse.test.    MX 10 mx.refuse.test.
plain.test.     MX 10 mx.plain.test.
late.test.      MX 10 mx.late.test.
complain.test.  MX 10 mx.complain.test.
nullmx.test.    MX 0  .
nullmx.test.    A     127.0.0.12
down.test.      MX 10 mx.down.test.
mx.down.test.   A     127.0.0.19
nohost.test.    MX 10 mx.nohost.test.
servfail.test.  MX 10 mx.servfail.test.
"""

PROBED = ("dnssec-failed.org", "ietf.org")  # what `postroad check` asks for, to see whether DNSSEC is validated
PROBE = f"@ A {NOBODY}\n"


class World:
    """DNS, receivers, and what they took. `await World.start()`, then `await world.stop()`."""

    def __init__(
        self, *, keep_contents: bool = True, clock: Clock | None = None, tempers: dict[str, Temper] | None = None
    ):
        """`tempers` replaces the temper of hosts by name."""
        self.bag = Mailbag(keep_contents=keep_contents)
        self.dns = LabDns({"test": ZONE + addresses(), "127.in-addr.arpa": names(), **dict.fromkeys(PROBED, PROBE)})
        furnish(self.dns)
        self.dns.fault("servfail.test", Fault.SERVFAIL)
        self.port = 0
        clock = clock or SystemClock()
        fates = Fates()  # both hosts of remote.test remember together
        self.receivers: dict[str, Receiver] = {}
        for host, _, starttls, make in HOSTS:
            temper = (tempers or {}).get(host) or (fates if make is Fates else make())
            self.receivers[host] = Receiver(
                host, temper, bag=self.bag, clock=clock, starttls=starttls, extensions=ANNOUNCED.get(host, BUILT)
            )
            self.receivers[host].react = self._react
        self.home: Endpoint | None = None  # the server under test: where bounces and complaints are brought
        self.reactions: list[str] = []  # what it said to each of them
        self._clock = clock
        self._posting: set[asyncio.Task[None]] = set()
        self._hub: Hub
        self._listeners: list[Listener] = []

    @classmethod
    async def start(
        cls,
        dns: str = DNS_ADDRESS,
        port: int = PORT,
        *,
        keep_contents: bool = True,
        clock: Clock | None = None,
        tempers: dict[str, Temper] | None = None,
    ) -> World:
        """Open everything; with ports 0 the kernel chooses (`world.dns.address`, `world.port`)."""
        world = cls(keep_contents=keep_contents, clock=clock, tempers=tempers)
        await world.open(dns, port)
        return world

    async def open(self, dns: str = DNS_ADDRESS, port: int = PORT) -> None:
        self._hub = Hub()
        await self.dns.start(dns)
        tls = _certificate()
        for attempt in range(FREE_PORT_TRIES):
            try:
                await self._listen(port, tls)
                return
            except OSError as error:  # the port that was free at one address is taken at another
                self._close_listeners()
                if port or error.errno != errno.EADDRINUSE or attempt == FREE_PORT_TRIES - 1:
                    self.dns.stop()
                    raise

    async def stop(self) -> None:
        for task in list(self._posting):
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)
        self._close_listeners()
        self.dns.stop()
        await self._hub.stop(grace=1.0)

    async def add(self, host: str, address: str, receiver: Receiver, tls: ServerTls | None) -> None:
        """One more receiver, once the world is open: at this address, and by this name in DNS."""
        listener = await listen(self._hub, Endpoint(address, self.port), receiver.make, tls=tls, service="lab")
        self._listeners.append(listener)
        self.receivers[host] = receiver
        self.dns.put(host, "A", address)
        self.dns.put(f"{address.rpartition('.')[2]}.0.0.127.in-addr.arpa", "PTR", f"{host}.")

    def _react(self, reaction: Reaction) -> None:
        """Bring what a receiver sends back to the server under test, if we know where that is."""
        if self.home is None:
            return
        task = asyncio.ensure_future(self._post(reaction, self.home))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _post(self, reaction: Reaction, home: Endpoint) -> None:
        if reaction.after:
            await self._clock.sleep(reaction.after)
        try:
            answer = await post(reaction, home)
        except (OSError, TimeoutError) as error:
            answer = f"not brought: {error}"
        self.reactions.append(answer)

    @property
    def visitors(self) -> int:
        """Connections that are open now."""
        return len(self._hub.live)

    async def _listen(self, port: int, tls: ServerTls) -> None:
        for host, address, starttls, _ in HOSTS:
            receiver = self.receivers[host]
            listener = await listen(
                self._hub, Endpoint(address, port), receiver.make, tls=tls if starttls else None, service="lab"
            )
            self._listeners.append(listener)
            port = listener.endpoint.port
        self.port = port

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


def addresses() -> str:
    """An address record for each host."""
    return "".join(f"{host}. A {address}\n" for host, address, _, _ in HOSTS)


def names() -> str:
    """A pointer record for each host."""
    return "".join(f"{address.rpartition('.')[2]}.0.0 PTR {host}.\n" for host, address, _, _ in HOSTS)


def _certificate() -> ServerTls:
    """One self-signed certificate for all: nobody in the world of mail looks closer (RFC 7435)."""
    with TemporaryDirectory() as directory:
        certificate, key = Path(directory) / "cert.pem", Path(directory) / "key.pem"
        write_self_signed(certificate, key, [host for host, *_ in HOSTS])
        return ServerTls(certificate, key)
