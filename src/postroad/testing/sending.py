"""What tests of the way out share: made messages, a seeded randomness, a zone in memory, a log of open attempts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import MutableSequence, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from postroad.mail.envelope import BodyFlag, Origin
from postroad.ports.attempts import OpenAttempt, Ticket
from postroad.ports.dns import DnsAnswer, DnsOutcome, MxRecord
from postroad.ports.ids import AccountId, BlobId, DeliveryId, MessageId, NodeId
from postroad.ports.store import Delivery, DeliveryResult, DeliveryState, Message, Outcomes
from postroad.testing.clock import START

CONTENT = b"From: a@ours.test\r\nSubject: hello\r\n\r\nHow are you?\r\n"


class CountingIds:
    """ports.ids.IdSource that counts."""

    def __init__(self, start: int = 1000) -> None:
        self._count = count(start)

    def new(self) -> int:
        return next(self._count)


class SeededRandom:
    """ports.random.Random, the same each run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - tests want it to repeat

    def fraction(self) -> float:
        return self._random.random()

    def shuffle(self, items: MutableSequence[Any]) -> None:
        self._random.shuffle(items)

    def token(self, n_bytes: int) -> bytes:
        return self._random.randbytes(n_bytes)


class MemoryZone:
    """ports.dns.Resolver over tables; what is in none does not exist. A DnsAnswer there is given as it is."""

    def __init__(self) -> None:
        self.mx_records: dict[str, Sequence[tuple[int, str]] | DnsAnswer] = {}
        self.address_records: dict[str, Sequence[str] | DnsAnswer] = {}
        self.others: dict[tuple[str, str], DnsAnswer] = {}  # by kind (TXT, TLSA, CNAME) and name
        self.asked: list[str] = []

    async def mx(self, name: str) -> DnsAnswer:
        self.asked.append(f"MX {name}")
        found = self.mx_records.get(name)
        if isinstance(found, DnsAnswer):
            return found
        if found is None:
            return DnsAnswer(DnsOutcome.NO_DATA if name in self.address_records else DnsOutcome.NXDOMAIN)
        return DnsAnswer(DnsOutcome.FOUND, mx=tuple(MxRecord(preference, host) for preference, host in found))

    async def addresses(self, name: str, family: int = 0) -> DnsAnswer:
        del family
        self.asked.append(f"A {name}")
        found = self.address_records.get(name)
        if isinstance(found, DnsAnswer):
            return found
        return DnsAnswer(DnsOutcome.FOUND, tuple(found)) if found else DnsAnswer(DnsOutcome.NXDOMAIN)

    async def txt(self, name: str) -> DnsAnswer:
        return self._other("TXT", name)

    async def ptr(self, address: str) -> DnsAnswer:
        raise NotImplementedError(address)

    async def cname(self, name: str) -> DnsAnswer:
        return self._other("CNAME", name)

    async def tlsa(self, name: str) -> DnsAnswer:
        return self._other("TLSA", name)

    def forget(self) -> None:
        """It keeps nothing."""

    def _other(self, kind: str, name: str) -> DnsAnswer:
        self.asked.append(f"{kind} {name}")
        return self.others.get((kind, name), DnsAnswer(DnsOutcome.NXDOMAIN))


class MemoryStartLog:
    """ports.attempts.StartLog in memory."""

    def __init__(self, crashed: Sequence[OpenAttempt] = ()) -> None:
        self.open: dict[Ticket, tuple[DeliveryId, bool]] = {}
        self.settled: list[DeliveryId] = []
        self._crashed = crashed
        self._count = count()

    def begin(self, delivery: DeliveryId) -> Ticket:
        ticket = Ticket(next(self._count))
        self.open[ticket] = (delivery, False)
        return ticket

    def dot_out(self, ticket: Ticket) -> None:
        self.open[ticket] = (self.open[ticket][0], True)

    def end(self, ticket: Ticket) -> None:
        self.open.pop(ticket, None)

    def crashed(self) -> Sequence[OpenAttempt]:
        return self._crashed

    def settle(self, deliveries: Sequence[DeliveryId]) -> None:
        self.settled += deliveries


def make_message(
    number: int = 1,
    *,
    size: int = len(CONTENT),
    flags: BodyFlag = BodyFlag.NONE,
    reverse_path: str = "a@ours.test",
    account: int | None = 1,
    created: datetime = START,
) -> Message:
    return Message(
        MessageId(number),
        created,
        Origin("submission", "c1", account="a@ours.test" if account else ""),
        reverse_path,
        size,
        flags,
        BlobId(number),
        header_size=CONTENT.index(b"\r\n\r\n") + 4,
        subject="hello",
        account=AccountId(account) if account else None,
    )


def make_delivery(
    number: int, message: Message, forward_path: str, dest: str = "", *, tries: int = 1, node: int = 1, epoch: int = 1
) -> Delivery:
    """Born owned and under way, as acceptance makes it."""
    return Delivery(
        DeliveryId(number),
        message.id,
        dest or "mx:" + forward_path.rpartition("@")[2],
        forward_path,
        DeliveryState.QUEUED,
        due=message.created + timedelta(minutes=30),
        tries=tries,
        expires=message.created + timedelta(days=5),
        owner=NodeId(node),
        epoch=epoch,
    )


class OutcomeStore:
    """As much of ports.store.Store as the way out writes to; `failing` makes it refuse."""

    def __init__(self) -> None:
        self.written: list[Outcomes] = []
        self.failing: Exception | None = None
        self.waiting = 0

    def outcomes(self, outcomes: Outcomes) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.waiting += 1
        asyncio.get_running_loop().call_soon(self._settle, future, outcomes)
        return future

    def _settle(self, future: asyncio.Future[int], outcomes: Outcomes) -> None:
        self.waiting -= 1
        if self.failing is not None:
            future.set_exception(self.failing)
        else:
            self.written.append(outcomes)
            future.set_result(len(outcomes.results))

    @property
    def results(self) -> dict[int, DeliveryResult]:
        """The last result of each delivery."""
        return {result.delivery: result for outcomes in self.written for result in outcomes.results}

    def events(self, delivery: int) -> list[str]:
        """Kinds of events of a delivery, in order."""
        return [str(event.kind) for outcomes in self.written for event in outcomes.events if event.delivery == delivery]
