"""Acceptance on the real store: what the rows, the segments and the ledger say afterwards."""

from datetime import timedelta

import pytest

from postroad.accounts.administration import Administration
from postroad.accounts.credentials import Credentials
from postroad.adapters.clock import SystemClock
from postroad.adapters.ids import NodeIds
from postroad.adapters.random import SystemRandomness
from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.sql.database import open_database
from postroad.adapters.workers import ThreadWorkers
from postroad.config.schema import DeliverySettings, Limits, Storage
from postroad.events.model import EventKind
from postroad.intake.assembly import assemble
from postroad.mail.address import parse_forward_path, parse_reverse_path
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import Status
from postroad.ports.store import DeliveryState, MessageFilter, QueueFilter, Refused
from postroad.queue.steady import SteadyClock
from postroad.reports.ledger import prove
from postroad.routing.aliases import Rules
from postroad.routing.directory import Directory
from postroad.testing.site import until

MX = Origin("mx", "c1", client="192.0.2.9", helo="client.example")


class SetClock(SystemClock):
    off = timedelta()

    def now(self):
        return super().now() + self.off


class World:
    def __init__(self, folder):
        self.clock = SetClock()
        self.steady = SteadyClock(self.clock)
        self.signals = LocalSignals()
        self.workers = ThreadWorkers(1)
        self.store = open_database(Storage(), folder, self.clock, Limits(min_free=0), ballast=0)

    async def start(self):
        await self.store.start()
        ids = NodeIds(1)
        shared = {"clock": self.clock, "ids": ids, "signals": self.signals}
        credentials = Credentials(
            self.store, self.workers, self.clock, SystemRandomness(), self.signals, at_once=2
        )  # fmt: skip
        self.credentials = credentials
        self.admin = Administration(self.store, credentials, **shared)
        self.intake = assemble(
            self.store,
            self.store.blobs,
            workers=self.workers,
            directory=Directory(self.store, self.signals, self.clock, Rules("mx.example.com")),
            limits=Limits(),
            delivery=DeliverySettings(),
            hostname="mx.example.com",
            steady=self.steady.of,
            **shared,
        )
        await self.admin.add_domain("example.com")
        await self.admin.add_account("alice@example.com", "secret")
        await self.admin.add_account("bob@example.com", "secret")
        await self.admin.add_alias("team@example.com", ["alice@example.com", "bob@example.com", "far@remote.test"])

    async def close(self):
        await self.intake.close()
        await self.store.close()
        self.workers.close()

    async def send(self, *recipients, content):
        transaction = self.intake.begin(MX, parse_reverse_path("a@remote.test"), len(content))
        for recipient in recipients:
            verdict = self.intake.recipient(transaction, parse_forward_path(recipient))
            verdict = verdict if isinstance(verdict, Status) else await verdict
            if not verdict.is_success:
                return verdict
        spool = self.intake.spool(transaction)
        for at in range(0, len(content), 16_000):
            waiting = spool.write(content[at : at + 16_000])
            if waiting is not None:
                await waiting
        return await self.intake.finish(transaction, spool, BodyFlag.NONE)

    async def inbox(self, address):
        def read(tx):
            account = tx.accounts.by_address(address)
            mailbox = tx.mailboxes.by_name(account.id, "INBOX")
            return tx.mailbox_messages.page(mailbox.id)

        return await self.store.read(read)

    async def content(self, blob):
        place = await self.store.read(lambda tx: tx.messages.place(blob))
        return await self.store.blobs.read(place)


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    await world.start()
    yield world
    await world.close()


@pytest.mark.parametrize("lines", [1, 8_000, 40_000], ids=["small", "rendered in a worker", "in a file of its own"])
async def test_every_recipient_is_accounted_for_and_every_octet_kept(world, lines):
    text = b"Subject: hello\r\nBcc: stays@at.mx\r\n\r\n" + b"a line of text\r\n" * lines
    answer = await world.send("team@example.com", "Bob+x@example.com", content=text)
    assert answer.is_success, answer
    (message,) = await world.store.read(lambda tx: tx.messages.search(MessageFilter()))
    assert message.subject == "hello"
    content = await world.content(message.blob)
    assert content.endswith(b"\r\n" + text)
    assert len(content) == message.size
    assert content[message.header_size :] == text.partition(b"\r\n\r\n")[2]
    deliveries = await world.store.read(lambda tx: tx.deliveries.of_message(message.id))
    assert {row.forward_path: row.state for row in deliveries} == {
        "alice@example.com": DeliveryState.DELIVERED,
        "bob@example.com": DeliveryState.DELIVERED,
        "far@remote.test": DeliveryState.QUEUED,
    }
    for address in ("alice@example.com", "bob@example.com"):
        (row,) = await world.inbox(address)
        assert row.blob == message.blob
        assert row.size == len(row.prefix) + message.size
    contents = await world.store.read(lambda tx: tx.mailbox_messages.contents([message.blob]))
    assert b'"hello"' in contents[message.blob].envelope
    events = await world.store.read(lambda tx: tx.events.of_message(message.id))
    assert [event.kind for event in events].count(EventKind.DELIVERED) == 2
    report = await prove(world.store)
    assert report.problems == ()
    assert report.totals.deliveries == 3


async def test_a_refused_large_message_leaves_nothing_behind(world, tmp_path):
    answer = await world.send("alice@example.com", content=b"Received: x\r\n" * 60 + b"\r\n" + b"x" * 400_000)
    assert answer.reply_code == 554

    async def left() -> list[str]:
        return [path.suffix for path in tmp_path.rglob("*") if path.suffix in (".part", ".blob")]

    assert await until(left, lambda found: not found) == []  # a thread takes it away
    assert await world.store.read(lambda tx: tx.messages.search(MessageFilter())) == []


async def test_a_quota_fills(world):
    await world.admin.set_quota("alice@example.com", 3000)
    answers = [await world.send("alice@example.com", content=b"\r\n" + b"x" * 2000 + b"\r\n") for _ in range(2)]
    assert [answer.reply_code for answer in answers] == [250, 452]


async def test_logins_and_tenants(world):
    assert (await world.credentials.verify("Alice@example.com", "secret")).is_admin
    assert await world.credentials.verify("alice@example.com", "wrong") is None
    await world.admin.set_password("alice@example.com", "other")
    assert await world.credentials.verify("alice@example.com", "secret") is None
    with pytest.raises(Refused):
        await world.admin.remove_account("bob@example.com")
    await world.admin.remove_alias("team@example.com")
    await world.admin.remove_account("bob@example.com")
    assert (await world.send("bob@example.com", content=b"\r\n")).reply_code == 550
    assert (await prove(world.store)).is_clean


@pytest.mark.parametrize("off", [timedelta(days=365), timedelta(days=-365)], ids=["a year ahead", "a year back"])
async def test_what_comes_under_a_wrong_clock_is_due_and_expires_by_the_right_one(world, off):
    right = world.clock.now()
    world.clock.off = off
    world.steady.now()
    await world.send("team@example.com", content=b"Subject: x\r\n\r\nhello\r\n")
    (entry,) = await world.store.read(lambda tx: tx.deliveries.queue(QueueFilter()))
    assert abs(entry.delivery.due - right) < timedelta(minutes=1)
    assert abs(entry.delivery.expires - right - timedelta(seconds=DeliverySettings().expire_after)) < timedelta(hours=1)
    assert abs(entry.message.created - right - off) < timedelta(minutes=1)
