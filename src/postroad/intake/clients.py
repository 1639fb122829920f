"""What is known of the addresses that connect: their reverse DNS and the lists that name them.

The look-ups begin when a client connects, and nobody waits for them before its first recipient. What they find is kept
for some minutes: a client that comes again costs a dictionary's look-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from ipaddress import ip_address, ip_network
from typing import Protocol

from postroad.intake.checks.rates import network_of
from postroad.intake.verdicts import Verdict, noted
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.routing.directory import RecentCache

KEPT_SECONDS = 300.0
UNSURE_SECONDS = 30.0  # where a look-up failed
MAX_LOOKING = 500  # clients whose look-ups are under way; one more is judged without them

_log = log.get("front-door")


class Look(Protocol):
    """A look-up for one address; None says nothing."""

    def __call__(self, address: str) -> Awaitable[Verdict | None]: ...


class Client:
    """One address. `verdicts` grows while its look-ups are under way; `revision` tells that it did."""

    __slots__ = (
        "address",
        "fresh_until",
        "is_known",
        "is_spared",
        "network",
        "revision",
        "started",
        "task",
        "verdicts",
    )

    def __init__(self, address: str, *, is_spared: bool) -> None:
        self.address = address
        self.network = "" if is_spared else network_of(address)
        self.is_spared = is_spared
        self.is_known = False  # mail of it was taken before
        self.verdicts: tuple[Verdict, ...] = ()
        self.revision = 0
        self.started = 0.0
        self.fresh_until = 0.0
        self.task: asyncio.Task[None] | None = None  # its look-ups, while they are under way

    def learn(self, verdicts: Iterable[Verdict]) -> None:
        """This is known of it now."""
        self.verdicts = tuple(verdicts)
        self.revision += 1


class Clients:
    """One for a process."""

    def __init__(
        self,
        clock: Clock,
        looks: Iterable[Look],
        *,
        exempt: Iterable[str],
        size: int,
        wait: float,
    ) -> None:
        """`wait`: how long, from the connection on, look-ups may hold up an answer."""
        self._clock = clock
        self._looks = tuple(looks)
        self._exempt = [ip_network(network) for network in exempt]
        self._known: RecentCache[Client] = RecentCache(size)
        self._wait = wait
        self._looking: set[asyncio.Task[None]] = set()

    def arrive(self, address: str) -> Client:
        """The client at an address, as it connects; look-ups that are due begin."""
        client = self._known.get(address)
        if client is None:
            client = Client(address, is_spared=self._is_exempt(address))
            self._known.put(address, client)
        if not client.is_spared and self._looks and client.task is None:
            now = self._clock.monotonic()
            if client.fresh_until <= now:
                self._look(client, now)
        return client

    def _is_exempt(self, text: str) -> bool:
        """A Unix socket's peer has no address, and is of this machine."""
        try:
            address = ip_address(text)
        except ValueError:
            return True
        return any(address in network for network in self._exempt)

    def _look(self, client: Client, now: float) -> None:
        if len(self._looking) >= MAX_LOOKING:
            client.learn((noted("look-ups", "too many were under way", 0.0),))
            return
        client.started, client.fresh_until = now, now + KEPT_SECONDS
        client.task = task = asyncio.create_task(self._look_up(client))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _look_up(self, client: Client) -> None:
        """All looks side by side; each is known as soon as it ends."""
        found: list[Verdict] = []

        async def one(look: Look) -> None:
            try:
                verdict = await look(client.address)
            except Exception as error:  # a bug of ours must not keep mail away
                _log.exception("a look-up failed", error, client=client.address)
                return
            if verdict is not None:
                found.append(verdict)
                client.learn(found)

        try:
            if len(self._looks) == 1:
                await one(self._looks[0])
            else:
                async with asyncio.TaskGroup() as group:
                    for look in self._looks:
                        group.create_task(one(look))
            client.learn(found)
            if any(verdict.is_unsure for verdict in found):
                client.fresh_until = self._clock.monotonic() + UNSURE_SECONDS
        finally:
            client.task = None

    async def settle(self, client: Client) -> None:
        """Wait for its look-ups, until they have taken too long."""
        task = client.task
        left = client.started + self._wait - self._clock.monotonic()
        if task is None or left <= 0:
            return
        timer = asyncio.ensure_future(self._clock.sleep(left))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    def is_settled(self, client: Client) -> bool:
        """Whether waiting would tell no more."""
        return client.task is None or client.started + self._wait <= self._clock.monotonic()

    def forget(self) -> None:
        """What was found no longer holds: whoever connects is looked up anew."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)

    async def close(self) -> None:
        """Give up what is being looked up."""
        tasks = list(self._looking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
