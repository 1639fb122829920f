"""Mailboxes on a real store, with the IMAP front end over them: what the tests of reading share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from postroad.accounts.authenticator import Authenticator
from postroad.accounts.credentials import Credentials
from postroad.accounts.guesses import Guesses
from postroad.adapters.clock import SystemClock
from postroad.adapters.ids import NodeIds
from postroad.adapters.random import SystemRandomness
from postroad.adapters.signals.local import LocalSignals
from postroad.adapters.sql.database import Database, open_database
from postroad.adapters.workers import ThreadWorkers
from postroad.config.schema import Limits, Storage
from postroad.mailbox.append import Appender, AppendOrder
from postroad.mailbox.reading import Reader
from postroad.mailbox.service import MailboxService
from postroad.ports.apppasswords import Scope
from postroad.ports.clock import Clock
from postroad.ports.ids import AccountId, IdSource, Uid
from postroad.ports.net import Endpoint
from postroad.ports.store import AccountRecord
from postroad.proto.imap.profile import ImapProfile
from postroad.proto.imap.server import ImapServer
from postroad.sessions.idle import IdlePoll
from postroad.sessions.imap import ImapServices, ImapSession
from postroad.sessions.login import Logins
from postroad.testing.dialogue import DialogueError
from postroad.testing.imap import ADDRESS, PASSWORD
from postroad.testing.network import MemoryNetwork, Talker

IMAP = Endpoint("192.0.2.2", 143)
PROFILE = ImapProfile("mail.example.test", plaintext_login=True)


class OnePassword:
    """Logins of a test: every account has the same password. Stands for accounts.credentials.Credentials."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self.remembered: dict[str, AccountRecord] = {}

    def fingerprint(self, name: str, password: str) -> bytes:
        return f"{name} {password}".encode()

    def cached(self, name: str, password: str) -> AccountRecord | None:
        return self.remembered.get(name) if password == PASSWORD else None

    async def verify(self, name: str, password: str) -> AccountRecord | None:
        account = await self._store.read(lambda tx: tx.accounts.by_address(name))
        if account is None or password != PASSWORD:
            return None
        self.remembered[name] = account
        return account


class Eager(SystemClock):
    """A clock whose sleeps are over at once, and known."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Post:
    """A store with accounts, and everything that reads and changes mailboxes."""

    def __init__(self, store: Database) -> None:
        self.store = store
        self.ids = NodeIds(1)
        self.clock = Eager()
        self.signals = LocalSignals()
        self.workers = ThreadWorkers(2)
        self.mailboxes = MailboxService(store, self.signals, self.ids)
        self.reader = Reader(store, store.blobs, self.workers)
        self.appender = Appender(
            store, store.blobs, signals=self.signals, clock=self.clock, ids=self.ids, workers=self.workers
        )
        self.logins = open_logins(store, self.clock, self.ids, OnePassword(store))
        self.poll = IdlePoll(self.clock)
        self.services = ImapServices(
            self.mailboxes,
            self.reader,
            self.appender,
            self.logins,
            self.poll,
        )

    async def account(self, address: str = ADDRESS, *, quota: int = 0) -> AccountId:
        record = AccountRecord(AccountId(self.ids.new()), address, self.clock.now(), quota_bytes=quota)
        await self.store.write(lambda tx: tx.accounts.add(record))
        return record.id

    async def put(self, account: AccountId, content: bytes, name: str = "INBOX", *, flags: int = 0) -> Uid:
        """A message into a mailbox, as APPEND does it."""
        record = await self.mailboxes.find(account, name)
        appending = self.appender.open(AppendOrder(record, len(content), flags))
        waiting = appending.write(content)
        if waiting is not None:
            await waiting
        return await appending.finish()

    def connect(self, profile: ImapProfile = PROFILE) -> tuple[ImapServer, ImapSession]:
        """Machine and session of one connection."""
        machine = ImapServer(profile)
        return machine, ImapSession(machine, self.services)


def open_logins(store: Database, clock: Clock, ids: IdSource, credentials: OnePassword | Credentials) -> Logins:
    """Logins as a listener for reading has them, over rows of a test."""
    guesses = Guesses(store, clock, ids)
    authenticator = Authenticator(store, credentials, guesses, clock)  # type: ignore[arg-type]
    return Logins("test", Scope.READ, authenticator, clock, SystemRandomness())


@asynccontextmanager
async def open_post(folder: Path) -> AsyncIterator[Post]:
    """A Post on SQLite in `folder`, closed at the end."""
    store = open_database(Storage(), folder, SystemClock(), Limits(min_free=0), ballast=0)
    await store.start()
    post = Post(store)
    try:
        yield post
    finally:
        post.workers.close()
        await store.close()


class ImapClient:
    """Says commands over the in-memory network and hears answers."""

    def __init__(self, talker: Talker) -> None:
        self._talker = talker
        self._count = 0

    @classmethod
    async def connect(cls, network: MemoryNetwork, endpoint: Endpoint = IMAP) -> ImapClient:
        client = cls(await network.talk(endpoint))
        await client.line()
        return client

    @classmethod
    async def logged_in(cls, network: MemoryNetwork, mailbox: str = "", *, address: str = ADDRESS) -> ImapClient:
        """Logged in, and with `mailbox` selected where one is named."""
        client = await cls.connect(network)
        await client.ok(f"LOGIN {address} {PASSWORD}")
        if mailbox:
            await client.ok(f"SELECT {mailbox}")
        return client

    async def line(self) -> str:
        return (await self._talker.until(b"\r\n")).decode("utf-8", "backslashreplace").removesuffix("\r\n")

    def say(self, data: str) -> None:
        self._talker.say(data.encode("utf-8") + b"\r\n")

    async def raw(self, command: str | bytes) -> bytes:
        """Everything said up to the tagged line, and that line."""
        self._count += 1
        tag = b"t%d" % self._count
        words = command.encode("utf-8") if isinstance(command, str) else command
        self._talker.say(tag + b" " + words + b"\r\n")
        said = b""
        while True:
            line = await self._talker.until(b"\r\n")
            said += line
            if line.startswith(tag + b" "):
                return said

    async def command(self, command: str | bytes) -> list[str]:
        """The answer as lines; the tag of the last one is taken off."""
        lines = (await self.raw(command)).decode("utf-8", "backslashreplace").split("\r\n")[:-1]
        return [*lines[:-1], lines[-1].partition(" ")[2]]

    async def ok(self, command: str | bytes) -> list[str]:
        """The untagged lines of a command that must succeed."""
        lines = await self.command(command)
        assert lines[-1].startswith("OK"), lines
        return lines[:-1]


class FrontPeer:
    """The whole front end over the in-memory network, as `testing.dialogue.play` needs its server."""

    def __init__(self, talker: Talker, network: MemoryNetwork) -> None:
        self._talker = talker
        self._network = network

    async def send(self, data: bytes) -> None:
        self._talker.say(data)

    async def line(self) -> str | None:
        try:
            async with asyncio.timeout(10):
                line = await self._talker.until(b"\r\n")
        except EOFError:
            return None
        return line.removesuffix(b"\r\n").decode("utf-8", "backslashreplace")

    async def closed(self) -> bool:
        async with asyncio.timeout(10):
            return await self._talker.rest() == b""

    async def directive(self, name: str) -> None:
        if name != "eof":
            raise DialogueError(f"the front end cannot be given `! {name}` here")
        self._talker.transport.write_eof()

    def unread(self) -> bytes:
        return b""  # more may be on its way; the next expectation will meet it
