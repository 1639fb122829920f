"""The Postmark-compatible API in tests: an application in memory, a server with its token, and calls in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx

from postroad.accounts import accounts
from postroad.accounts.passwords import Secret
from postroad.ports.ids import MessageId
from postroad.ports.sending import ServerRecord
from postroad.ports.store import Delivery, Event, Message, MessageFilter, Refusal, Tx
from postroad.ports.uuids import parse_uuid
from postroad.testing.web import Web, bare_web
from postroad.web.app import WebApplication
from postroad.web.fronts import sending_front
from postroad.web.services import WebServices

ALICE = "Alice <alice@here.test>"
JSON = {"Accept": "application/json", "Content-Type": "application/json"}


class Postmark:
    """One server of a node."""

    def __init__(self, web: Web, server: ServerRecord, token: str) -> None:
        self.web = web
        self.server = server
        self.token = token
        self.store = web.services.store

    async def post(self, path: str, content: Any, **header: str) -> httpx.Response:
        """As clients do it: JSON with the server's token."""
        return await self.web.client.post(path, json=content, headers=self.header(**header))

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.web.client.get(path, params=query, headers=self.header())

    def header(self, **more: str) -> dict[str, str]:
        return {**JSON, "X-Postmark-Server-Token": self.token} | {
            name.replace("_", "-"): value for name, value in more.items()
        }

    async def send(self, **fields: Any) -> httpx.Response:
        """POST /email; what a test does not care about has a plain value."""
        return await self.post("/email", letter(**fields))

    async def sent(self, **fields: Any) -> MessageId:
        """The same, which must succeed; whose message it became."""
        return message_of(await self.send(**fields))

    # --- what became of it --------------------------------------------------------------------------------------------

    async def message(self, message: MessageId) -> Message:
        found = await self.store.read(lambda tx: tx.messages.get(message))
        assert found is not None
        return found

    async def content(self, message: MessageId) -> bytes:
        """As it is stored."""
        blob = (await self.message(message)).blob
        place = await self.store.read(lambda tx: tx.messages.place(blob))
        assert place is not None
        return await self.web.services.blobs.read(place)

    async def mail(self, message: MessageId) -> EmailMessage:
        """As a reader understands it."""
        return message_from_bytes(await self.content(message), policy=policy.default)

    async def deliveries(self, message: MessageId) -> list[Delivery]:
        return await self.store.read(lambda tx: tx.deliveries.of_message(message))

    async def events(self, message: MessageId) -> list[Event]:
        return await self.store.read(lambda tx: tx.events.of_message(message))

    async def messages(self) -> list[Message]:
        """All that the server has sent, newest first."""
        found = await self.store.read(lambda tx: tx.messages.search(MessageFilter(), limit=1000))
        return [message for message in found if message.server == self.server.id]

    async def refusals(self) -> list[Refusal]:
        """What it could not send, once that is written down."""
        await self.web.services.intake.close()
        found = await self.store.read(lambda tx: tx.refusals.search())
        return [refusal for refusal in found if refusal.account == self.server.name]


def letter(**fields: Any) -> dict[str, Any]:
    """A message, with other or more fields."""
    return {"From": ALICE, "To": "carol@far.test", "Subject": "Hello", "TextBody": "How are you?"} | fields


def message_of(response: httpx.Response) -> MessageId:
    """Whose MessageID an answer has; it must be a good one."""
    assert response.status_code == 200, response.text
    found = parse_uuid(response.json()["MessageID"])
    assert found is not None
    return found


def problem_of(response: httpx.Response) -> tuple[int, int, str]:
    """(HTTP status, ErrorCode, Message) of an answer that must be an error in Postmark's shape."""
    body = response.json()
    assert sorted(body) == ["ErrorCode", "Message"]
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["x-pm-apierrorcode"] == str(body["ErrorCode"])
    return response.status_code, body["ErrorCode"], body["Message"]


def _alone(services: WebServices) -> WebApplication:
    """Without the other front ends."""
    return WebApplication({}, sending_front(services), http=services.settings.http, ids=services.ids)


@asynccontextmanager
async def postmark_node(folder: Path, *, extra: str = "") -> AsyncIterator[Web]:
    """A node in memory that has here.test with two accounts, whose passwords nobody knows."""
    async with bare_web(folder, extra=extra, make=_alone) as web:
        services = web.services
        await services.administration.add_domain("here.test")
        now, ids = services.clock.now(), services.ids

        def add(tx: Tx) -> None:
            for name in ("alice", "bob"):
                accounts.add(tx, f"{name}@here.test", Secret("", b""), now=now, ids=ids)

        await services.store.write(add)
        yield web


async def server_on(web: Web, name: str, *, sandbox: bool = False) -> Postmark:
    """Another server of a node, with nothing in it."""
    sending = web.services.sending
    server = await sending.add_server(name, sandbox=sandbox)
    return Postmark(web, server, (await sending.add_token(server.id)).secret)


@asynccontextmanager
async def postmark_api(folder: Path, *, sandbox: bool = False, extra: str = "") -> AsyncIterator[Postmark]:
    """A node of its own, with one server, called shop."""
    async with postmark_node(folder, extra=extra) as web:
        yield await server_on(web, "shop", sandbox=sandbox)
