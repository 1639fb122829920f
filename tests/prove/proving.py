"""A server process under load beside the simulated internet, and the counts by which nothing is lost or doubled.

The senders count final dots and acknowledgements, the receivers count letters, IMAP counts what lies in mailboxes; the
server's own rows are asked only which recipients were still open when it was killed.
"""

from __future__ import annotations

import asyncio
import imaplib
import os
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from postroad.app.access import reading
from postroad.app.ledger import prove
from postroad.config.load import load
from postroad.lab.receivers import Letter
from postroad.lab.world import World
from postroad.ports.ids import id_text
from postroad.ports.store import QueueFilter, QueueSummary, Tx
from postroad.testing.load import Parcel, Submitter, Tally
from postroad.testing.network import write_certificate
from postroad.testing.server import HOSTNAME, ServerProcess
from postroad.testing.site import configuration, running_world, trusting

MESSAGES = int(os.environ.get("POSTROAD_PROVE_MESSAGES", "600"))
KILLS = int(os.environ.get("POSTROAD_PROVE_KILLS", "2"))
SEED = int(os.environ.get("POSTROAD_PROVE_SEED") or secrets.randbelow(10**9))
SESSIONS = 50
PATIENCE = 60 + MESSAGES / 20  # seconds until everything has to be where it belongs

SENDER = "alice@prove.test"
LOCAL = ("bob@prove.test", "carol@prove.test")
REMOTE = ("remote.test", "onlya.test", "plain.test")
PASSWORD = "secret"
LARGE = 300_000  # octets: of these each has a file of its own
_PAGE = 1000
_LOOK = 0.02
_ID = re.compile(rb"^Received: [^;]*? id (\w+)", re.DOTALL)
_TOKEN = re.compile(rb"^Subject: (\S+)", re.MULTILINE | re.IGNORECASE)

Copy = tuple[str, str]  # the server's id of a message, and one recipient of it


def parcels(count: int) -> list[Parcel]:
    """A third for a mailbox here, a third for another server, a third for both; one in a hundred is large."""
    made = []
    for number in range(count):
        here = LOCAL[number % len(LOCAL)]
        there = f"u{number}@{REMOTE[number % len(REMOTE)]}"
        recipients = ((here,), (there,), (here, there))[number // 7 % 3]
        size = LARGE if number % 100 == 99 else 1024
        made.append(Parcel(f"token-{number}", SENDER, recipients, size))
    return made


@dataclass
class Proof:
    """One server, its world, its senders; and what they saw."""

    server: ServerProcess
    world: World
    tally: Tally = field(default_factory=Tally)
    allowed: Counter[Copy] = field(default_factory=Counter)  # copies that may arrive once more, each for one kill
    released: int = 0

    def __post_init__(self) -> None:
        self.settings = load(self.server.config, {})

    # -- the load ----------------------------------------------------------------------------------------------

    async def send(self, sent: list[Parcel]) -> None:
        submitter = Submitter("127.0.0.1", lambda: self.server.port("submissions"), SENDER, PASSWORD, trusting())
        await submitter.run(sent, SESSIONS, self.tally)

    @property
    def progress(self) -> int:
        """Acknowledgements and letters so far."""
        return len(self.tally.acknowledged) + len(self.world.bag.letters)

    async def reaches(self, progress: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.progress < progress:
                await asyncio.sleep(0.001)

    # -- the kill ----------------------------------------------------------------------------------------------

    async def kill(self) -> int:
        """SIGKILL, then wait until the receivers have read what was on its way to them. What they have by then and the
        rows still call open may come once more; how many of these there are."""
        await asyncio.to_thread(self.server.kill)
        async with asyncio.timeout(PATIENCE):
            while self.world.visitors:
                await asyncio.sleep(_LOOK)
        report = await prove(self.settings, deep=False)
        assert report.is_clean, report.problems
        doubtful = set(self.letters()) & await self._open()
        self.allowed.update(doubtful)
        return len(doubtful)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)

    async def _open(self) -> set[Copy]:
        """Recipients that wait, by the rows."""
        found: set[Copy] = set()
        async with reading(self.settings) as store:
            after = None
            while page := await store.read(
                lambda tx, after=after: tx.deliveries.queue(QueueFilter(), after=after, limit=_PAGE)
            ):
                found.update((id_text(entry.message.id), entry.delivery.forward_path) for entry in page)
                after = page[-1].delivery.id
        return found

    # -- the end -----------------------------------------------------------------------------------------------

    async def drained(self) -> None:
        """Nothing waits any more. What was held because the server died on it three times in a row is released: it is
        innocent here."""
        async with asyncio.timeout(PATIENCE), reading(self.settings) as store:
            while parts := await store.read(_summary):
                if any(part.held for part in parts):
                    said = await asyncio.to_thread(self.server.run, "queue", "release", "--all")
                    self.released += int(said.split()[0])
                await asyncio.sleep(_LOOK)

    def letters(self) -> Counter[Copy]:
        """What the receivers took, by message and recipient."""
        return Counter((ident(letter), name) for letter in self.world.bag.letters for name in letter.recipients)

    def remote(self) -> Counter[Copy]:
        """The same by token."""
        return Counter((token(letter), name) for letter in self.world.bag.letters for name in letter.recipients)

    async def local(self) -> Counter[Copy]:
        """What lies in the mailboxes, by token, as IMAP tells it."""
        return await asyncio.to_thread(self._read_mailboxes)

    def _read_mailboxes(self) -> Counter[Copy]:
        found: Counter[Copy] = Counter()
        for address in LOCAL:
            with imaplib.IMAP4_SSL("127.0.0.1", self.server.port("imaps"), ssl_context=trusting()) as client:
                client.login(address, PASSWORD)
                client.select("INBOX", readonly=True)
                _, parts = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
                subjects = [_TOKEN.match(part[1]) for part in parts if isinstance(part, tuple)]
                found.update((match[1].decode(), address) for match in subjects if match)
        return found


def _summary(tx: Tx) -> list[QueueSummary]:
    return tx.deliveries.summary()


def ident(letter: Letter) -> str:
    """The id that our server gave to the message."""
    match = _ID.match(letter.content or b"")
    assert match, letter.content
    return match[1].decode()


def token(letter: Letter) -> str:
    match = _TOKEN.search(letter.content or b"")
    assert match, letter.content
    return match[1].decode()


@asynccontextmanager
async def proving(folder: Path) -> AsyncIterator[Proof]:
    """A server process that listens, with its accounts; at the end it is stopped and its ledger proved."""
    certificate, key = write_certificate(folder, "127.0.0.1", HOSTNAME)
    async with running_world() as world:
        server = ServerProcess(
            folder / "node",
            ("submissions", "imaps"),
            certificate=certificate,
            key=key,
            extra=configuration(world, {"delivery": {"retry_waits": [1]}, "log": {"level": "warning"}}),
        )
        server.run("domain", "add", "prove.test")
        for address in (SENDER, *LOCAL):
            server.run("account", "add", address, "--password-stdin", text=PASSWORD + "\n")
        await asyncio.to_thread(server.start)
        server.keep_ports()
        try:
            yield Proof(server, world)
            await asyncio.to_thread(server.stop)
        finally:
            if server.process:
                server.process.kill()
                server.process.wait()


class Stopwatch:
    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began


def say(text: str) -> None:
    """Shown by `make prove` as it happens, and by pytest when a test fails."""
    print(text, flush=True, file=sys.stdout)
