import asyncio
from datetime import timedelta
from itertools import count

import msgspec
import pytest

from postroad.accounts import passwords
from postroad.accounts.administration import Administration
from postroad.accounts.credentials import Credentials
from postroad.adapters.random import SystemRandomness
from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.workers import ThreadWorkers
from postroad.config.schema import DeliverySettings, Limits
from postroad.events.model import EventKind
from postroad.intake import patience, refusals
from postroad.intake.assembly import assemble
from postroad.intake.transaction import MailTransaction
from postroad.mail.address import parse_forward_path, parse_reverse_path
from postroad.mail.envelope import BodyFlag, Origin, TlsInfo
from postroad.mail.status import Status, status
from postroad.ports.handoff import Ownership
from postroad.ports.ids import NodeId, id_text
from postroad.ports.store import AliasRecord, DeliveryState, StoreUnavailable
from postroad.routing.aliases import Rules
from postroad.routing.directory import Directory
from postroad.testing.clock import JumpingClock, settle
from postroad.testing.tenants import MemoryStore

MX = Origin("mx", "c1", client="192.0.2.9", helo="client.example")
SUBMISSION = Origin("submission", "c2", client="10.0.0.5", helo="[10.0.0.5]")
TEXT = b"From: a@remote.test\r\nTo: alice@example.com\r\nSubject: hi\r\n\r\nbody\r\n"


class Ids:
    def __init__(self):
        self.numbers = count(1 << 40)

    def new(self):
        return next(self.numbers)


class Queue:
    """Stands for queue.runner."""

    def __init__(self):
        self.taken = []

    def take(self, message, deliveries, content):
        self.taken.append((message, list(deliveries), content))


class World:
    def __init__(self, monkeypatch, **limits):
        monkeypatch.setattr(passwords, "make_secret", lambda password, *_: passwords.Secret(password, b""))
        monkeypatch.setattr(passwords, "is_current", lambda *_: True)
        monkeypatch.setattr(passwords, "matches", lambda hashed, password: hashed == password)
        self.store = MemoryStore()
        self.clock = JumpingClock()
        self.signals = LocalSignals()
        self.workers = ThreadWorkers(1)
        self.queue = Queue()
        ids = Ids()
        self.directory = Directory(self.store, self.signals, self.clock, Rules("mx.example.com"))
        random = SystemRandomness()
        self.credentials = Credentials(self.store, self.workers, self.clock, random, self.signals, at_once=2)
        self.admin = Administration(self.store, self.credentials, self.clock, ids, self.signals)
        self.intake = assemble(
            self.store,
            None,
            workers=self.workers,
            clock=self.clock,
            ids=ids,
            signals=self.signals,
            directory=self.directory,
            limits=Limits(**limits),
            delivery=DeliverySettings(retry_waits=(60.0,)),
            hostname="mx.example.com",
        )
        self.intake.hand_to(self.queue, Ownership(NodeId(3), 8))

    async def tenants(self):
        await self.admin.add_domain("example.com")
        await self.admin.add_domain("relay.test", relay_to="192.0.2.7:2525")
        await self.admin.add_account("alice@example.com", "secret")
        await self.admin.add_account("bob@example.com", "secret")
        await self.admin.add_alias("team@example.com", ["alice@example.com", "bob@example.com", "far@remote.test"])

    async def login(self, origin=SUBMISSION):
        account = await self.credentials.verify("alice@example.com", "secret")
        return Origin(
            origin.service, origin.connection, origin.client, origin.client_port, origin.helo, account.address
        ), account  # fmt: skip

    def begin(self, origin=MX, sender="a@remote.test", **options):
        return self.intake.begin(origin, parse_reverse_path(sender), **options)

    async def rcpt(self, transaction, recipient):
        verdict = self.intake.recipient(transaction, parse_forward_path(recipient))
        return verdict if isinstance(verdict, Status) else await verdict

    async def send(self, *recipients, origin=MX, content=TEXT, sender="a@remote.test", account=None):
        """A whole transaction; every recipient has to be taken."""
        if account is not None:
            content = content.replace(b"From: a@remote.test", b"From: alice@example.com")
        transaction = self.begin(origin, sender, account=account)
        assert isinstance(transaction, MailTransaction), transaction
        for recipient in recipients:
            verdict = await self.rcpt(transaction, recipient)
            assert verdict.is_success, verdict
        self.transaction = transaction
        return await self.finish(transaction, content)

    async def finish(self, transaction, content=TEXT):
        spool = self.intake.spool(transaction)
        assert spool.write(content) is None
        return await self.intake.finish(transaction, spool, BodyFlag.NONE)

    @property
    def last(self):
        return self.store.accepted[-1]


@pytest.fixture
async def world(monkeypatch):
    world = World(monkeypatch)
    await world.tenants()
    yield world
    await world.intake.close()
    world.workers.close()


def kinds(acceptance):
    return [event.kind for event in acceptance.events]


async def test_mail_for_a_mailbox_is_one_unit(world):
    answer = await world.send("Alice+x@example.com")
    unit = world.last
    message = unit.message
    assert str(answer) == f"250 2.0.0 queued as {id_text(message.id)}"
    assert unit.content == (
        b"Received: from client.example ([192.0.2.9])\r\n\tby mx.example.com with ESMTP id "
        + id_text(message.id).encode()
        + b"\r\n\tfor <Alice+x@example.com>;\r\n\tThu, 1 Jan 2026 12:00:00 +0000\r\n"
        + TEXT
    )
    assert (message.size, message.reverse_path) == (len(unit.content), "a@remote.test")
    assert (message.subject, message.header_from) == ("hi", "a@remote.test")
    assert unit.content[message.header_size :] == b"body\r\n"
    (delivery,) = unit.deliveries
    assert (delivery.state, delivery.dest, delivery.forward_path) == ("delivered", "local", "alice@example.com")
    assert (delivery.orig, delivery.finished) == ("Alice+x@example.com", message.created)
    assert kinds(unit) == [EventKind.RECEIVED, EventKind.DELIVERED]
    (row,) = unit.local
    assert row.prefix == b"Return-Path: <a@remote.test>\r\nDelivered-To: alice@example.com\r\n"
    assert row.size == len(row.prefix) + message.size
    assert (row.delivery, row.message, row.blob) == (delivery.id, message.id, message.blob)
    assert unit.rendered.blob == message.blob
    assert unit.rendered.header_size == message.header_size
    assert world.queue.taken == []


async def test_the_address_itself_has_no_orig(world):
    await world.send("ALICE@example.com")
    assert world.last.deliveries[0].orig == ""


async def test_a_mailbox_is_told_after_the_commit(world):
    alice = world.store.tx.accounts.by_address("alice@example.com")
    inbox = world.store.tx.mailboxes.by_name(alice.id, "INBOX")
    told = []
    world.signals.listen(f"mailbox:{inbox.id}", lambda: told.append(len(world.store.accepted)))
    await world.send("alice@example.com")
    assert told == [1]


async def test_an_alias_is_delivered_everywhere_and_the_remote_part_is_born_leased(world):
    await world.send("team@example.com", "bob@example.com", "r@relay.test")
    unit = world.last
    found = {row.forward_path: row for row in unit.deliveries}
    assert {path: row.state for path, row in found.items()} == {
        "alice@example.com": DeliveryState.DELIVERED,
        "bob@example.com": DeliveryState.DELIVERED,
        "far@remote.test": DeliveryState.QUEUED,
        "r@relay.test": DeliveryState.QUEUED,
    }
    assert found["bob@example.com"].orig == "team@example.com, bob@example.com"
    assert found["far@remote.test"].orig == "team@example.com"
    assert found["r@relay.test"].orig == ""
    far = found["far@remote.test"]
    assert (far.dest, far.tries, far.owner, far.epoch) == ("mx:remote.test", 1, 3, 8)
    assert far.due - unit.message.created == timedelta(minutes=30)
    assert far.expires - unit.message.created == timedelta(days=5)
    assert found["r@relay.test"].dest == "host:[192.0.2.7]:2525"
    ((message, taken, content),) = world.queue.taken
    assert (message, content) == (unit.message, unit.content)
    assert [row.forward_path for row in taken] == ["far@remote.test", "r@relay.test"]
    queued = [event for event in unit.events if event.kind == EventKind.QUEUED]
    assert queued[0].detail == {"dest": "mx:remote.test", "orig": "team@example.com", "via": "team@example.com"}
    assert b"for <" not in unit.content[: unit.content.find(b"From:")]


async def test_a_node_that_does_not_send_leaves_it_to_others(world):
    world.intake.hand_to(None, None)
    woken = []
    world.signals.listen("queue", lambda: woken.append(1))
    await world.send("r@relay.test")
    (delivery,) = world.last.deliveries
    assert (delivery.owner, delivery.tries, delivery.due) == (None, 0, world.last.message.created)
    assert woken == [1]


async def test_the_envelope_lies_beside_the_content(world):
    await world.send("team@example.com")
    version, number, _, sender, recipients, service, client, account, body = msgspec.msgpack.decode(
        world.last.segment_header
    )
    assert (version, number, sender, service) == (1, world.last.message.id, "a@remote.test", "mx")
    assert ["far@remote.test", "mx:remote.test", "team@example.com"] in recipients
    assert (client, account, body) == ("192.0.2.9", "", "")


# --- who may send what where -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["submission", "submissions"])
async def test_submission_needs_a_login(world, service):
    assert str(world.begin(Origin(service, "c", client="127.0.0.1"))) == "530 5.7.0 Authentication required"


@pytest.mark.parametrize(
    "origin",
    [MX, Origin("mx", "c", client="127.0.0.1"), Origin("mx", "c", client="127.0.0.1", account="alice@example.com")],
)
async def test_a_stranger_never_relays_whatever_its_address(world, origin):
    transaction = world.begin(origin)
    verdict = await world.rcpt(transaction, "x@remote.test")
    assert str(verdict).startswith("550 5.7.1")
    assert str(await world.rcpt(transaction, "x@[192.0.2.1]")).startswith("550 5.7.1")
    assert transaction.recipients == []


async def test_a_submitter_sends_to_the_world(world):
    origin, account = await world.login()
    await world.send("x@remote.test", origin=origin, account=account)
    unit = world.last
    assert unit.deliveries[0].dest == "mx:remote.test"
    assert unit.message.account == account.id
    assert b"10.0.0.5" not in unit.content
    assert unit.rendered is None
    assert (unit.message.subject, unit.message.header_from) == ("hi", "alice@example.com")


async def test_unknown_users_are_refused_at_rcpt(world):
    transaction = world.begin()
    assert str(await world.rcpt(transaction, "nobody@example.com")).startswith("550 5.1.1")
    assert str(await world.rcpt(transaction, "nobody@example.com")).startswith("550 5.1.1")


async def test_postmaster_is_taken(world):
    await world.send("Postmaster")
    assert world.last.deliveries[0].forward_path == "alice@example.com"
    assert world.last.deliveries[0].orig == "Postmaster"


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "refused"), [(50 * 1024 * 1024, False), (50 * 1024 * 1024 + 1, True), (None, False)])
async def test_size_at_mail(world, size, refused):
    begun = world.begin(size=size)
    assert isinstance(begun, Status) is refused
    assert not refused or str(begun).startswith("552 5.3.4")


async def test_a_full_disk_is_told_at_mail(world):
    world.store.room = 1000
    assert isinstance(world.begin(size=1000), MailTransaction)
    assert str(world.begin(size=1001)).startswith("452 4.3.1")


@pytest.mark.parametrize(
    ("used", "size", "refused"), [(99, None, False), (100, None, True), (50, 50, False), (50, 51, True)]
)
async def test_a_full_mailbox_refuses_for_now(world, used, size, refused):
    account = world.store.tx.accounts.by_address("bob@example.com")
    world.store.tx.accounts.change(account.id, quota_bytes=100, used_bytes=used)
    transaction = world.begin(size=size)
    for recipient in ("bob@example.com", "team@example.com"):
        verdict = await world.rcpt(transaction, recipient)
        assert verdict.is_success is not refused
        assert not refused or str(verdict).startswith("452 4.2.2")


async def test_our_own_report_gets_into_a_full_mailbox(world):
    account = world.store.tx.accounts.by_address("bob@example.com")
    world.store.tx.accounts.change(account.id, quota_bytes=1, used_bytes=1)
    assert (await world.intake.submit_local("", ["bob@example.com"], b"Subject: failed\r\n\r\n")).is_success
    answer = await world.intake.submit_local("alice@example.com", ["bob@example.com"], b"\r\n")
    assert answer.reply_code == 452


async def test_use_of_a_quota_is_known_after_each_delivery(world):
    await world.admin.set_quota("bob@example.com", 1000)
    await world.send("bob@example.com")
    account = world.store.tx.accounts.by_address("bob@example.com")
    world.store.tx.accounts.change(account.id, used_bytes=1000)
    assert str(await world.rcpt(world.begin(), "bob@example.com")).startswith("452 4.2.2")


async def test_the_number_of_recipients(monkeypatch):
    world = World(monkeypatch, max_recipients=2)
    await world.tenants()
    transaction = world.begin()
    verdicts = [await world.rcpt(transaction, f"r{n}@relay.test") for n in range(3)]
    assert [verdict.reply_code for verdict in verdicts] == [250, 250, 452]
    await world.intake.close()
    world.workers.close()


async def test_too_many_deliveries_of_few_recipients(world, monkeypatch):
    monkeypatch.setattr("postroad.intake.checks.limits.MAX_DELIVERIES", 4)
    transaction = world.begin()
    assert (await world.rcpt(transaction, "team@example.com")).is_success
    world.store.tx.aliases.put(AliasRecord("more@example.com", ("x@a.test", "y@a.test"), world.clock.now()))
    assert str(await world.rcpt(transaction, "more@example.com")).startswith("452 4.5.3")


@pytest.mark.parametrize(("fields", "refused"), [(50, False), (51, True)])
async def test_a_message_that_goes_round_in_circles(world, fields, refused):
    answer = await world.send("alice@example.com", content=b"Received: x\r\n" * fields + TEXT)
    assert answer.is_success is not refused
    assert not refused or str(answer).startswith("554 5.4.6")
    assert len(world.store.accepted) == (0 if refused else 1)


async def test_a_message_that_was_in_the_mailbox_before(world):
    content = b"Delivered-To: Alice@example.com\r\n" + TEXT
    assert str(await world.send("alice@example.com", content=content)).startswith("554 5.4.6")
    assert (await world.send("bob@example.com", content=content)).is_success
    origin, account = await world.login()
    assert (await world.send("alice@example.com", content=content, origin=origin, account=account)).is_success


async def test_a_header_block_that_is_too_large(monkeypatch):
    world = World(monkeypatch, max_header_size=1000)
    await world.tenants()
    answer = await world.send("alice@example.com", content=b"A: " + b"x" * 1000 + b"\r\n\r\nbody")
    assert str(answer).startswith("552 5.3.4")
    await world.intake.close()
    world.workers.close()


async def test_no_recipients(world):
    assert (await world.finish(world.begin())).reply_code == 554


# --- fields -----------------------------------------------------------------------------------------------------------


async def test_submission_adds_what_is_missing_and_takes_bcc_out(world):
    own = b"alice@example.com"
    origin, account = await world.login()
    await world.send(
        "bob@example.com", origin=origin, account=account, content=b"Bcc: x@y\r\nFrom: %s\r\n\r\nhi\r\n" % own
    )
    text = id_text(world.last.message.id).encode()
    assert world.last.content.endswith(
        b"Date: Thu, 1 Jan 2026 12:00:00 +0000\r\nMessage-ID: <%s@mx.example.com>\r\nFrom: %s\r\n\r\nhi\r\n"
        % (text, own)
    )
    assert world.last.message.message_id == f"<{text.decode()}@mx.example.com>"


async def test_what_strangers_send_stays_as_it_is(world):
    content = b"bcc: x@y\r\nfrom:a@b\r\n\r\n.hi\r\nbare"
    await world.send("bob@example.com", content=content)
    assert world.last.content.endswith(b"\r\n" + content)


# --- what can go wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("no_space", "words"), [(False, "451 4.3.0"), (True, "452 4.3.1")])
async def test_a_store_that_cannot(world, no_space, words):
    transaction = world.begin()
    await world.rcpt(transaction, "alice@example.com")
    world.store.fault = StoreUnavailable("shim", no_space=no_space)
    answer = await world.finish(transaction)
    assert str(answer).startswith(words)
    assert answer.cause == "shim"
    assert str(await world.rcpt(transaction, "new@example.com")).startswith("451 4.3.0")


async def test_a_client_that_goes_before_the_commit_leaves_nothing(world):
    transaction = world.begin()
    await world.rcpt(transaction, "alice@example.com")
    gate = asyncio.get_running_loop().create_future()
    world.store.gate = gate
    finishing = asyncio.create_task(world.finish(transaction))
    await settle()
    transaction.abandoned()
    gate.set_result(None)
    assert not (await finishing).is_success
    assert world.store.accepted == []


async def test_a_client_that_misses_the_answer_is_known_when_it_comes_again(world):
    answer = await world.send("alice@example.com", "bob@example.com")
    world.transaction.abandoned()
    again = await world.send("bob@example.com", "alice@example.com")
    assert again == answer
    assert len(world.store.accepted) == 1
    (event,) = world.store.tx.events.rows
    assert (event.kind, event.message) == (EventKind.REPEAT, world.last.message.id)
    assert (await world.send("alice@example.com", "bob@example.com")) != answer
    assert len(world.store.accepted) == 2


@pytest.mark.parametrize("what", ["client", "sender", "recipients", "content", "time"])
async def test_a_repeat_is_the_same_in_every_way(world, what):
    await world.send("alice@example.com")
    world.transaction.abandoned()
    if what == "time":
        await world.clock.advance(3601)
    await world.send(
        "bob@example.com" if what == "recipients" else "alice@example.com",
        origin=Origin("mx", "c", client="192.0.2.10") if what == "client" else MX,
        sender="b@remote.test" if what == "sender" else "a@remote.test",
        content=TEXT + b"x" if what == "content" else TEXT,
    )
    assert len(world.store.accepted) == 2


async def test_a_client_that_has_its_answer_may_send_the_same_again(world):
    for _ in range(2):
        await world.send("alice@example.com")
    assert len(world.store.accepted) == 2


async def test_a_commit_that_takes_too_long_is_given_up(world):
    transaction = world.begin()
    await world.rcpt(transaction, "alice@example.com")
    world.store.gate = asyncio.get_running_loop().create_future()
    finishing = asyncio.create_task(world.finish(transaction))
    await settle()
    await world.clock.advance(patience.ANSWER_SECONDS - 1)
    assert not finishing.done()
    await world.clock.advance(1 + patience.SWEEP_SECONDS)
    assert (await finishing).reply_code == 451
    assert transaction.acceptance.abandoned


async def test_a_cancelled_waiter_is_cancelled(world):
    transaction = world.begin()
    await world.rcpt(transaction, "alice@example.com")
    world.store.gate = asyncio.get_running_loop().create_future()
    finishing = asyncio.create_task(world.finish(transaction))
    await settle()
    finishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await finishing


# --- this machine's own mail ------------------------------------------------------------------------------------------


async def test_local_submission(world):
    answer = await world.intake.submit_local(
        "alice@example.com", ["x@remote.test", "bob@example.com"], b"Subject: s\n\nb\n"
    )
    assert answer.is_success
    unit = world.last
    assert unit.content.endswith(b"Subject: s\r\n\r\nb\r\n")
    assert unit.content.startswith(b"Received: by mx.example.com with local id ")
    assert b"\r\nDate: " in unit.content
    assert {row.dest for row in unit.deliveries} == {"local", "mx:remote.test"}


async def test_local_submission_is_all_or_nothing(world):
    answer = await world.intake.submit_local("", ["bob@example.com", "nobody@example.com"], b"\n")
    assert answer.reply_code == 550
    assert (await world.intake.submit_local("no address", ["bob@example.com"], b"\n")).reply_code == 553
    assert world.store.accepted == []


async def test_a_bounce_names_its_message(world):
    origin, account = await world.login()
    await world.send("x@remote.test", origin=origin, account=account)
    first = world.last.message.id
    await world.intake.submit_local("", ["alice@example.com"], b"Subject: failed\r\n\r\n", bounce_of=first)
    assert (world.last.message.bounce_of, world.last.message.reverse_path) == (first, "")
    assert world.last.local[0].prefix.startswith(b"Return-Path: <>\r\n")


async def test_rendering_in_a_worker_is_the_same(world):
    content = TEXT + b"line of text\r\n" * 6000
    await world.send("alice@example.com", content=content)
    assert world.last.rendered.size == len(world.last.content)
    assert b'"hi"' in world.last.rendered.envelope


# --- refusals ---------------------------------------------------------------------------------------------------------


def refused(world, recipient="x@remote.test"):
    origin = Origin("mx", "c1", client="192.0.2.9", helo="h", tls=TlsInfo("TLSv1.3", "X"))
    answer = status(550, "5.7.1", "no", "why")
    return refusals.refusal(origin, "rcpt", answer, at=world.clock.now(), reverse_path="a@b", recipient=recipient)


async def test_refusals_are_written_behind(world):
    world.intake.refuse(refused(world))
    assert world.store.tx.refusals.rows == []
    await world.clock.advance(refusals.FLUSH_SECONDS)
    (row,) = world.store.tx.refusals.rows
    assert (row.recipient, row.reply_code, row.enhanced, row.cause) == ("x@remote.test", 550, "5.7.1", "why")
    world.intake.refuse(refused(world))
    await world.clock.advance(refusals.FLUSH_SECONDS)
    assert len(world.store.tx.refusals.rows) == 2


async def test_a_flood_of_refusals_writes_few_rows(world):
    writes = world.store.writes
    for n in range(10_000):
        world.intake.refuse(refused(world, f"u{n}@remote.test"))
    await world.clock.advance(refusals.FLUSH_SECONDS)
    rows = world.store.tx.refusals.rows
    assert len(rows) == refusals.MAX_BUFFERED + 1
    assert rows[-1].cause.startswith("9750 more")
    assert world.store.writes == writes + 1


async def test_refusals_are_written_at_the_end_and_never_in_the_way(world):
    world.intake.refuse(refused(world))
    world.store.fault = StoreUnavailable("shim")
    await world.clock.advance(refusals.FLUSH_SECONDS)
    world.store.fault = None
    world.intake.refuse(refused(world, "last@remote.test"))
    await world.intake.close()
    assert [row.recipient for row in world.store.tx.refusals.rows] == ["last@remote.test"]


async def test_a_refusal_holds_nothing_that_no_database_takes(world):
    row = refused(world, "x\0\ud800" + "y" * 1000)
    assert row.recipient.startswith("x\ufffd\ufffdy")
    assert len(row.recipient) == refusals.MAX_TEXT


async def test_a_bug_in_one_flush_does_not_end_the_recording(world):
    world.store.fault = ValueError("a bug")
    world.intake.refuse(refused(world))
    await world.clock.advance(refusals.FLUSH_SECONDS)
    world.store.fault = None
    world.intake.refuse(refused(world))
    await world.clock.advance(refusals.FLUSH_SECONDS)
    assert len(world.store.tx.refusals.rows) == 1
