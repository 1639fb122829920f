"""Messages made fit for servers that take less than 8 bits or binary: loaded whole, within a limit, and rewritten."""

from __future__ import annotations

import asyncio
from functools import partial

from postroad.delivery.agent import AttemptRequest
from postroad.mail.sevenbit import CannotConvert, rewritten
from postroad.ports.workers import Workers

INLINE = 16 * 1024  # octets that are rewritten on the loop
LIMIT = 50 * 1024 * 1024  # octets that are rewritten at most


class Rewriter:
    """One for a process. One large message at a time is in memory for it."""

    __slots__ = ("_large", "_limit", "_workers")

    def __init__(self, limit: int = LIMIT, workers: Workers | None = None) -> None:
        """Without `workers` large messages are rewritten on the loop."""
        self._limit = limit
        self._workers = workers
        self._large = asyncio.Lock()

    async def rewrite(self, request: AttemptRequest, *, eight_bit: bool) -> bytes:
        """The content as it can be sent. It stays with the request: should the connection not last so long, the next
        one finds it done. Raises CannotConvert."""
        done = request.rewritten
        if done is None or done[0] != eight_bit:
            done = request.rewritten = (eight_bit, await self._made(request, eight_bit))
        return done[1]

    async def _made(self, request: AttemptRequest, eight_bit: bool) -> bytes:
        if request.message.size > self._limit:
            raise CannotConvert(f"it has more than the {self._limit} octets that are rewritten here")
        content = request.content
        if content is not None and len(content) <= INLINE:
            return rewritten(content, eight_bit=eight_bit)
        async with self._large:
            make = partial(rewritten, content if content is not None else await _whole(request), eight_bit=eight_bit)
            return make() if self._workers is None else await self._workers.run(make)


async def _whole(request: AttemptRequest) -> bytes:
    assert request.stream is not None
    return b"".join([chunk async for chunk in request.stream()])
