"""A whole server inside the test's loop, with the simulated internet beside it: what the tests of flows work on.

Real sockets, real DNS messages, short waits. `Site.submit` is what a person's mail program does, `Site.receive` what a
stranger's server does; what became of a message is read from the rows, as the commands read it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import aiosmtplib

from postroad.app.build import Node
from postroad.intake import refusals
from postroad.lab.temper import Temper
from postroad.lab.world import World
from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import Delivery, DeliveryState, Message, MessageFilter, Refusal, Tx
from postroad.queue import claims, pacing
from postroad.reports.story import Story, read_story
from postroad.testing.network import authority, write_certificate
from postroad.testing.server import HOSTNAME, PROGRAM, ServerFailed, clean_environment, running_node

ALICE = "alice@here.test"
BOB = "bob@here.test"
PASSWORD = "secret"  # noqa: S105 - of every account of a test
PATIENCE = 20.0  # seconds for what should take a few hundredths
_LOOK = 0.01
T = TypeVar("T")

Sections = Mapping[str, Mapping[str, object] | Sequence[Mapping[str, object]]]  # a list of tables has several
_FOR_TESTS: Sections = {
    "delivery": {"retry_waits": [0.2], "idle_timeout": 1.0, "check_at": []},
    "limits": {"min_free": 1 << 20},
}


class Site:
    """One node and its world."""

    def __init__(self, node: Node, world: World) -> None:
        self.node = node
        self.world = world
        self.store = node.services.store
        self.tenants = node.services.administration

    # -- mail in -----------------------------------------------------------------------------------------------

    async def submit(self, *recipients: str, sender: str = ALICE, account: str = ALICE, **fields: str) -> MessageId:
        """What a person's mail program does, over TLS and with a login; every recipient must be taken."""
        return await self._send("submissions", sender, recipients, fields, account)

    async def receive(self, *recipients: str, sender: str = "stranger@far.test", **fields: str) -> MessageId:
        """What a stranger's server does."""
        return await self._send("mx", sender, recipients, fields, "")

    async def _send(
        self, service: str, sender: str, recipients: tuple[str, ...], fields: dict[str, str], account: str
    ) -> MessageId:
        async with self.client(service) as client:
            if account:
                await client.login(account, PASSWORD)
            content = letter(sender or account, recipients[0], **fields)
            refused, answer = await client.sendmail(sender, recipients, content)
        assert not refused, refused
        return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)

    def client(self, service: str) -> aiosmtplib.SMTP:
        """A client for `async with`; on `submissions` it trusts our certificate."""
        endpoint = self.node.endpoints[service][0]
        context = trusting() if service == "submissions" else None
        return aiosmtplib.SMTP(
            hostname=endpoint.host,
            port=endpoint.port,
            use_tls=context is not None,
            start_tls=False,
            tls_context=context,
            timeout=PATIENCE,
            local_hostname="client.test",
        )

    # -- what became of it -------------------------------------------------------------------------------------

    async def story(self, message: MessageId) -> Story:
        return await self.store.read(lambda tx: _story(tx, message))

    async def settled(self, message: MessageId) -> Story:
        """The story, once every recipient has a final state."""
        return await self.when(message, lambda story: story.is_finished)

    async def when(self, message: MessageId, condition: Callable[[Story], bool]) -> Story:
        """The story, once it fits the condition."""
        try:
            return await until(lambda: self.story(message), condition)
        except TimeoutError:
            told = "\n".join(line.text for line in (await self.story(message)).lines())
            raise ServerFailed(f"it did not come to that within {PATIENCE} s:\n{told}") from None

    async def refusals(self, count: int) -> list[Refusal]:
        """What was refused, newest first, once so much of it is on record."""
        read = self.store.read
        return await until(lambda: read(lambda tx: tx.refusals.search(limit=1000)), lambda rows: len(rows) >= count)

    async def messages(self) -> list[Message]:
        """All that was ever accepted, oldest first."""
        return (await self.store.read(lambda tx: tx.messages.search(MessageFilter(), limit=1000)))[::-1]

    async def inbox(self, address: str = ALICE) -> list[EmailMessage]:
        """What lies in an account's INBOX."""
        return [message_from_bytes(raw, policy=policy.default) for raw in await self.raw_inbox(address)]

    async def raw_inbox(self, address: str = ALICE) -> list[bytes]:
        """The same, octet by octet."""

        def rows(tx: Tx) -> list[tuple[bytes, Any]]:
            account = tx.accounts.by_address(address)
            assert account, address
            inbox = tx.mailboxes.by_name(account.id, "INBOX")
            assert inbox
            found = tx.mailbox_messages.page(inbox.id)
            places = tx.messages.places([row.blob for row in found])
            return [(row.prefix, places[row.blob]) for row in found]

        found = await self.store.read(rows)
        contents = await self.node.services.blobs.read_many([(place, 0, place.length) for _, place in found])
        return [prefix + content for (prefix, _), content in zip(found, contents, strict=True)]

    # -- beside it ---------------------------------------------------------------------------------------------

    async def run(self, *words: str, code: int = 0) -> str:
        """A command beside the running server; what it printed. It must exit with `code`."""
        config = self.node.settings.data_dir.parent / "postroad.toml"
        command = (*PROGRAM, "--config", str(config), *words)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=clean_environment())
        output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
        if process.returncode != code:
            said = (output + errors).decode()
            raise ServerFailed(f"postroad {' '.join(words)} exited {process.returncode}:\n{said}")
        return output.decode()

    async def run_json(self, *words: str) -> Any:
        """The same with --json, decoded."""
        return json.loads(await self.run(*words, "--json"))


async def until(read: Callable[[], Awaitable[T]], condition: Callable[[T], bool]) -> T:
    """What `read` gives, once it fits the condition. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while not condition(found := await read()):
            await asyncio.sleep(_LOOK)
    return found


@asynccontextmanager
async def running_site(
    folder: Path, sections: Sections | None = None, *, tempers: dict[str, Temper] | None = None
) -> AsyncIterator[Site]:
    """A server with here.test, Alice (the administrator) and Bob, in a world of its own. The ledger is proved at the
    end. `sections` is more configuration, by section."""
    async with running_world(tempers) as world, node_in(world, folder, sections) as node:
        site = Site(node, world)
        if not await site.tenants.domains():
            await site.tenants.add_domain("here.test")
            await site.tenants.add_account(ALICE, PASSWORD)
            await site.tenants.add_account(BOB, PASSWORD)
        yield site


@asynccontextmanager
async def running_world(tempers: dict[str, Temper] | None = None) -> AsyncIterator[World]:
    """The simulated internet on ports of the kernel's choice. A query outside its zones fails the test."""
    world = await World.start("127.0.0.1:0", 0, tempers=tempers)
    try:
        yield world
        assert not world.dns.strangers, f"asked for names outside the zones: {world.dns.strangers}"
    finally:
        await world.stop()


@asynccontextmanager
async def node_in(world: World, folder: Path, sections: Sections | None = None) -> AsyncIterator[Node]:
    """A node that sends into `world`. The same folder may be used again: that is a restart."""
    certificate, key = _certified(folder)
    services = ("mx", "submissions", "imap", "pop3", "metrics")
    extra = configuration(world, sections)
    with _hurried():
        async with running_node(folder / "node", services, certificate=certificate, key=key, extra=extra) as node:
            yield node


@contextmanager
def _hurried() -> Iterator[None]:
    """Waits that no setting has, as short as the others."""
    with (
        patch.object(claims, "POLL", 0.05),
        patch.object(pacing, "RESTS", (0.1,)),
        patch.object(refusals, "FLUSH_SECONDS", 0.02),
    ):
        yield


def _certified(folder: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return write_certificate(folder, "127.0.0.1", HOSTNAME)


def configuration(world: World, sections: Sections | None = None) -> str:
    """TOML by which a server finds `world` and does not wait long."""
    wanted: dict[str, Any] = {
        "dns": {"nameservers": [world.dns.address], "timeout": 2.0},
        "delivery": {"port": world.port},
    }
    for more in (_FOR_TESTS, sections or {}):
        for name, values in more.items():
            if isinstance(values, Mapping):
                wanted.setdefault(name, {}).update(values)
            else:
                wanted[name] = values
    lines = [f"{key} = {json.dumps(value)}" for key, value in wanted.pop("tls", {}).items()]  # [tls] has been begun
    for name, values in wanted.items():
        tables = [(f"[{name}]", values)] if isinstance(values, Mapping) else [(f"[[{name}]]", each) for each in values]
        for head, table in tables:
            lines += [head, *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def letter(sender: str, recipient: str, *, subject: str = "hello", text: str = "How are you?", **fields: str) -> bytes:
    """A message as a mail program writes it."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    head = f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\n{more}"
    return f"{head}Date: Mon, 23 Nov 2026 09:00:00 +0000\r\n\r\n{text}\r\n".encode()


def states(story: Story) -> dict[str, DeliveryState]:
    """Each recipient's state, by the address that it led to."""
    return {delivery.forward_path: delivery.state for delivery in story.deliveries}


def delivery_to(story: Story, address: str) -> Delivery:
    """The one recipient at `address`."""
    (found,) = (delivery for delivery in story.deliveries if delivery.forward_path == address)
    return found


def kinds(story: Story, address: str = "") -> list[str]:
    """Kinds of events in order: of one recipient, or of the message itself."""
    wanted = delivery_to(story, address).id if address else None
    return [event.kind for event in story.events if event.delivery == wanted]


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the test authority."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def _story(tx: Tx, message: MessageId) -> Story:
    found = tx.messages.get(message)
    assert found, message
    return read_story(tx, found)
