"""Stores for tests, on either engine, in a directory of their own; and a builder of the records they keep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from postroad.adapters.blobs.files import FileSystem
from postroad.adapters.blobs.segments import SegmentBlobs
from postroad.adapters.ids import NodeIds
from postroad.adapters.sql.database import DATABASE_FILE, Database
from postroad.adapters.sql.engine import Engine
from postroad.adapters.sql.migrate import Schema, migrate
from postroad.adapters.sql.reserve import Reserve
from postroad.adapters.sql.sqlite.engine import WAL_RESTART, SqliteEngine
from postroad.events.model import FINAL_KIND, EventKind
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import status
from postroad.ports.clock import Clock
from postroad.ports.ids import (
    AccountId,
    AttemptId,
    BlobId,
    DeliveryId,
    DomainId,
    EventId,
    MailboxId,
    MessageId,
    ModSeq,
    NodeId,
    Uid,
)
from postroad.ports.store import (
    Acceptance,
    AccountRecord,
    Attempt,
    Content,
    Delivery,
    DeliveryResult,
    DeliveryState,
    DomainKind,
    DomainRecord,
    Event,
    MailboxAppend,
    MailboxRecord,
    Message,
    NewMailboxMessage,
    Outcomes,
    Tx,
)
from postroad.testing import postgres
from postroad.testing.clock import JumpingClock

ENGINES = ("sqlite", "postgres")
NODE = NodeId(1)
_TEMPLATE = "postroad_template"
_templates: set[int] = set()


@contextmanager
def engine_of(kind: str, directory: Path) -> Iterator[Engine]:
    """An engine over an empty database; PostgreSQL's has its tables already, copied from a template."""
    if kind == "sqlite":
        yield SqliteEngine(directory / DATABASE_FILE)
        return
    from postroad.adapters.sql.postgres.engine import PostgresEngine

    server = postgres.server()
    if id(server) not in _templates:
        _templates.add(id(server))
        _make_template(server)
    with server.database(_TEMPLATE) as url:
        yield PostgresEngine(url)


def _make_template(server: postgres.PostgresServer) -> None:
    from postroad.adapters.sql.postgres.engine import PostgresEngine

    server.execute(f"CREATE DATABASE {_TEMPLATE}")
    engine = PostgresEngine(server.url(_TEMPLATE))
    session = engine.open_session()
    migrate(session, Schema())
    session.close()
    engine.close()


@asynccontextmanager
async def open_store(
    directory: Path,
    engine: Engine | None = None,
    *,
    clock: Clock | None = None,
    files: FileSystem | None = None,
    min_free: int = 0,
    ballast: int = 0,
    schema: Schema | None = None,
    recover_every: float = 0.01,
) -> AsyncIterator[Database]:
    """A started store; SQLite where no engine is given. Segments are not filled ahead: tests are many."""
    clock = clock or JumpingClock()
    files = files or FileSystem()
    store = Database(
        engine or SqliteEngine(directory / DATABASE_FILE),
        SegmentBlobs(directory, files=files, fill_ahead=0),
        clock,
        Reserve(directory, files, min_free=min_free, ballast=ballast, monotonic=clock.monotonic),
        schema=schema,
        recover_every=recover_every,
    )
    try:
        await store.start()
        yield store
    finally:
        await store.close()


def faulty_engine(directory: Path, vfs: str, *, wal_restart: int = WAL_RESTART) -> SqliteEngine:
    """SQLite on a VFS that a test can make fail."""
    return SqliteEngine(directory / DATABASE_FILE, vfs=vfs, wal_restart=wal_restart)


@dataclass(slots=True)
class Mail:
    """Makes records that fit together; what a test does not care about has a plain value."""

    clock: Clock = field(default_factory=JumpingClock)
    ids: NodeIds = field(init=False)
    node: NodeId = NODE
    epoch: int = 1

    def __post_init__(self) -> None:
        self.ids = NodeIds(1, lambda: int(self.now.timestamp() * 1000))

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def account(self, tx: Tx, address: str = "alice@local.test", quota: int = 0) -> AccountId:
        account = AccountId(self.ids.new())
        tx.accounts.add(AccountRecord(account, address, self.now, quota_bytes=quota))
        return account

    def domain(self, tx: Tx, name: str = "local.test") -> None:
        tx.domains.add(DomainRecord(DomainId(self.ids.new()), name, DomainKind.LOCAL, self.now))

    def mailbox(self, tx: Tx, account: AccountId, name: str = "INBOX") -> MailboxId:
        mailbox = MailboxId(self.ids.new())
        validity = tx.mailboxes.next_uid_validity(account)
        tx.mailboxes.create(MailboxRecord(mailbox, account, name, validity, Uid(1), ModSeq(1)))
        return mailbox

    def inbox(self, tx: Tx, address: str = "alice@local.test") -> MailboxId:
        return self.mailbox(tx, self.account(tx, address))

    def message(self, *, reverse_path: str = "sender@client.test", subject: str = "hello", size: int = 100) -> Message:
        origin = Origin("mx", "c1", "192.0.2.1", 40000, "client.test")
        message, blob = MessageId(self.ids.new()), BlobId(self.ids.new())
        return Message(message, self.now, origin, reverse_path, size, BodyFlag.NONE, blob, 20, subject,
                       "Sender <sender@client.test>", f"<{message}@client.test>")  # fmt: skip

    def event(
        self, kind: EventKind, message: MessageId | None = None, delivery: DeliveryId | None = None, **detail: object
    ) -> Event:
        return Event(EventId(self.ids.new()), self.now, kind, message, delivery, detail)

    def content(self, blob: BlobId, size: int = 100) -> Content:
        return Content(blob, 1, size, 20, b'("envelope")', b'("structure")', b'("body")', b"\x90", "<m@test>", "hello",
                       self.now)  # fmt: skip

    def remote(
        self,
        *forward_paths: str,
        dest: str = "mx:remote.test",
        owned: bool = True,
        due: timedelta = timedelta(minutes=30),
        content: bytes | None = None,
        **message: str,
    ) -> Acceptance:
        """A message for recipients elsewhere, born owned by this node or due for anybody."""
        content = b"Subject: hello\r\n\r\nbody\r\n" if content is None else content
        record = self.message(size=len(content), **message)
        deliveries = [
            Delivery(
                DeliveryId(self.ids.new()), record.id, dest, path, DeliveryState.QUEUED, due=self.now + due,
                tries=1 if owned else 0, expires=self.now + timedelta(days=5), owner=self.node if owned else None,
                epoch=self.epoch if owned else 0,
            )
            for path in forward_paths or ("r@remote.test",)
        ]  # fmt: skip
        events = [self.event(EventKind.RECEIVED, record.id, client="192.0.2.1")]
        events += [self.event(EventKind.QUEUED, record.id, delivery.id, dest=dest) for delivery in deliveries]
        return Acceptance(record, content, None, b"envelope", deliveries, events)

    def local(self, *mailboxes: MailboxId, content: bytes = b"Subject: hello\r\n\r\nbody\r\n") -> Acceptance:
        """A message born delivered into mailboxes."""
        record = self.message(size=len(content))
        prefix = b"Delivered-To: alice@local.test\r\n"
        deliveries, local = [], []
        events = [self.event(EventKind.RECEIVED, record.id)]
        for mailbox in mailboxes:
            delivery = DeliveryId(self.ids.new())
            deliveries.append(
                Delivery(delivery, record.id, "local", "alice@local.test", DeliveryState.DELIVERED, finished=self.now)
            )
            events.append(self.event(EventKind.DELIVERED, record.id, delivery, mailbox="INBOX"))
            size = len(prefix) + len(content)
            local.append(NewMailboxMessage(mailbox, record.blob, size, self.now, prefix=prefix, delivery=delivery))
        rendered = self.content(record.blob, len(content))
        return Acceptance(record, content, None, b"envelope", deliveries, events, local, rendered)

    def append(self, mailbox: MailboxId, content: bytes = b"Subject: draft\r\n\r\n", flags: int = 0) -> MailboxAppend:
        blob = BlobId(self.ids.new())
        new = NewMailboxMessage(mailbox, blob, len(content), self.now, flags)
        return MailboxAppend(blob, content, None, b"", self.content(blob, len(content)), new)

    def attempt(self, message: MessageId, dialogue: str = "> QUIT\n< 221 bye\n") -> Attempt:
        return Attempt(AttemptId(self.ids.new()), message, self.now, self.now, "mx.remote.test", "192.0.2.9:25",
                       "TLSv1.3", {"connect": 0.01}, dialogue)  # fmt: skip

    def outcome(
        self,
        delivery: Delivery,
        state: DeliveryState = DeliveryState.DELIVERED,
        *,
        due: timedelta | None = None,
        epoch: int | None = None,
        attempt: bool = True,
    ) -> Outcomes:
        """What one attempt came to, with its event."""
        final = state.is_final
        result = DeliveryResult(
            delivery.id, self.node, self.epoch if epoch is None else epoch, state,
            status(250, "2.0.0", "ok") if state is DeliveryState.DELIVERED else status(451, "4.3.0", "later"),
            delivery.tries, due=None if due is None else self.now + due, finished=self.now if final else None,
        )  # fmt: skip
        kind = FINAL_KIND.get(state, EventKind.DEFERRED)
        event = self.event(kind, delivery.message, delivery.id, host="mx.remote.test")
        return Outcomes([result], self.attempt(delivery.message) if attempt else None, [event])
