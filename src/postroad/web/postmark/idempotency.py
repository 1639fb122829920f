"""`Idempotency-Key`: a request that is sent again within a day is carried out once, and gets the first answer again.

The answer is kept in the transaction that takes the messages, so that neither is there without the other. Requests that
changed nothing (errors) are not kept. Of two at the same time the second waits for the first.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from postroad.ports.clock import Clock
from postroad.ports.ids import MessageId, ServerId
from postroad.ports.sending import IdempotencyRecord
from postroad.ports.store import Store, Tx
from postroad.web.postmark.errors import invalid

T = TypeVar("T")

KEPT = timedelta(hours=24)
_KEY = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it is known again."""

    server: ServerId
    key: str
    digest: bytes


class OnceOnly:
    """One for a process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._running: dict[tuple[ServerId, str], asyncio.Future[None]] = {}

    async def run(self, asked: Asked, work: Callable[[], Awaitable[T]]) -> T | IdempotencyRecord:
        """What `work` comes to; or the record of an earlier request. Raises ApiError, StoreUnavailable."""
        name = asked.server, asked.key
        while (running := self._running.get(name)) is not None:
            await asyncio.shield(running)
        self._running[name] = asyncio.get_running_loop().create_future()
        try:
            found = await self.find(asked)
            return await work() if found is None else found
        finally:
            self._running.pop(name).set_result(None)

    async def find(self, asked: Asked) -> IdempotencyRecord | None:
        """What was answered before. Raises ApiError when something else was asked under this key."""
        now = self._clock.now()
        found = await self._store.read(lambda tx: tx.idempotency.get(asked.server, asked.key, now))
        if found is not None and found.digest != asked.digest:
            raise invalid(
                f"The Idempotency-Key '{asked.key}' was used for another request within the last 24 hours;"
                " a new request needs a new key."
            )
        return found

    def record(self, asked: Asked, status: int, answer: bytes) -> IdempotencyRecord:
        """The row that is kept of an answer."""
        expires = self._clock.now() + KEPT
        return IdempotencyRecord(asked.server, asked.key, asked.digest, status, answer, expires)

    def keeping(self, asked: Asked, status: int, answer: bytes, messages: Sequence[MessageId]) -> Callable[[Tx], None]:
        """For the transaction of a batch, behind its rows: keep the answer, if it came true of all `messages`."""
        record, now = self.record(asked, status, answer), self._clock.now()

        def keep(tx: Tx) -> None:
            if all(tx.messages.get(message) for message in messages):
                tx.idempotency.put(record, now)

        return keep

    async def keep(self, asked: Asked, status: int, answer: bytes) -> None:
        """Afterwards, when only some of a batch were taken."""
        record, now = self.record(asked, status, answer), self._clock.now()
        await self._store.write(lambda tx: tx.idempotency.put(record, now))


def read_key(value: bytes, server: ServerId, path: str, body: bytes | bytearray) -> Asked:
    """The header field, in quotes or without them. Raises ApiError."""
    key = value.decode("latin-1").strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise invalid("An Idempotency-Key has 1 to 255 characters of ASCII.")
    digest = hashlib.sha256(path.encode() + b"\0")
    digest.update(body)
    return Asked(server, key, digest.digest())
