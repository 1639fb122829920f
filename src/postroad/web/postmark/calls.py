"""One request of a known sender, what its handler works with, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from postroad.accounts.audit import Actor
from postroad.accounts.tokens import Access
from postroad.intake.transaction import API_SERVICE
from postroad.mail.envelope import Origin
from postroad.ports.sending import ServerRecord, StreamRecord
from postroad.web.postmark.errors import WRONG_TOKEN, ApiError, error
from postroad.web.postmark.idempotency import OnceOnly
from postroad.web.postmark.outbox import Outbox
from postroad.web.services import WebServices
from postroad.web.wire import Receive, Scope, read_body

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: JSON, whatever happened."""

    body: bytes
    status: int = 200
    code: int = 0  # ErrorCode, for the header field that repeats it
    fields: tuple[tuple[bytes, bytes], ...] = ()


def answer(content: Any) -> Answer:
    """200: every success is, creation and deletion too."""
    return Answer(_ENCODER.encode(content))


def refused(problem: ApiError) -> Answer:
    """The two keys that every error has."""
    return Answer(_ENCODER.encode({"ErrorCode": problem.code, "Message": problem.text}), problem.status, problem.code)


@dataclass(frozen=True, slots=True)
class Api:
    """What all calls share. One for a process."""

    services: WebServices
    outbox: Outbox
    once: OnceOnly


@dataclass(slots=True)
class Call:
    """One request."""

    api: Api
    scope: Scope
    receive: Receive
    header: Mapping[bytes, bytes]
    id: str  # in the log, in the answer's X-Request-Id
    access: Access | None  # None: the test token, which opens nothing
    words: Mapping[str, str] = field(default_factory=dict)  # of the path

    @property
    def server(self) -> ServerRecord:
        """Whose token it is."""
        assert self.access is not None
        assert self.access.server is not None
        return self.access.server

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        assert self.access is not None
        return Actor("token", self.access.token.name, self.client)

    @property
    def client(self) -> str:
        peer = self.scope.get("client")
        return str(peer[0]) if peer else ""

    @property
    def origin(self) -> Origin:
        """How and from whom mail comes."""
        peer: tuple[str | None, int | None] = self.scope.get("client") or (None, None)
        return Origin(API_SERVICE, self.id, peer[0] or "", peer[1] or 0, account=self.server.name)

    def stream(self) -> StreamRecord:
        """The stream that the path names. Raises ApiError 1226."""
        assert self.access is not None
        found = self.access.streams.get(self.words["stream"])
        if found is None:
            raise error(1226)
        return found

    def query(self) -> dict[str, str]:
        """Keys in lower case and without underscores; empty values are left out."""
        pairs = parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), errors="replace")
        return {key.lower().replace("_", ""): value for key, value in pairs}

    async def body(self) -> bytes | bytearray:
        """All of it. It may have taken its time: whose token has been revoked meanwhile is refused. Raises ApiError."""
        body = await read_body(self.receive)
        if self.access is not None:
            self.access = await self.api.services.tokens.current(self.access)
            if self.access is None:
                raise error(10, WRONG_TOKEN)
        return body


Handler = Callable[[Call], Awaitable[Answer]]
