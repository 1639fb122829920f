"""Large bodies: how long each may be, and how much memory they take together."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException

from postroad.web.wire import SMALL, Message, Receive


class BodyTooLong(HTTPException):
    """More body than the route takes. Starlette's applications answer it by themselves."""

    def __init__(self) -> None:
        super().__init__(413)


class Busy(HTTPException):
    """Too many large bodies are in memory, and none has gone in time."""

    def __init__(self) -> None:
        super().__init__(503, headers={"retry-after": "10"})


class BodyRoom:
    """Memory for large bodies, in octets: who finds none waits, which the client sees as a slow reader."""

    def __init__(self, octets: int, patience: float = 10.0) -> None:
        self._free = self._all = octets
        self._patience = patience
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def take(self, octets: int) -> int:
        """Wait for room; what `give_back` wants in the end. Raises Busy."""
        octets = min(octets, self._all)  # one body always fits
        if not self._waiting and octets <= self._free:
            self._free -= octets
            return octets
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((octets, turn))
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            self._resign(turn, octets)
            if isinstance(error, TimeoutError):
                raise Busy from None
            raise
        return octets

    def _resign(self, turn: asyncio.Future[None], octets: int) -> None:
        """Whoever waited is gone; its turn may have come in the same moment."""
        if turn.done() and not turn.cancelled():
            self.give_back(octets)
        else:
            self._waiting = [entry for entry in self._waiting if entry[1] is not turn]
            self._wake()

    def give_back(self, octets: int) -> None:
        self._free += octets
        self._wake()

    def _wake(self) -> None:
        """In order of arrival, so that a large body is not overtaken for ever."""
        while self._waiting and self._waiting[0][0] <= self._free:
            octets, turn = self._waiting.pop(0)
            if not turn.done():
                self._free -= octets
                turn.set_result(None)


class Body:
    """`receive` for a body that is large or comes in chunks. Room is asked for at the first read, so that whoever is
    refused by its header fields holds none."""

    __slots__ = ("_chunked", "_limit", "_need", "_receive", "_room", "_seen", "_taken")

    def __init__(self, receive: Receive, room: BodyRoom, *, limit: int, length: int | None) -> None:
        self._receive = receive
        self._room = room
        self._limit = limit
        self._chunked = length is None
        self._need = length or 0
        self._seen = self._taken = 0

    async def __call__(self) -> Message:
        if self._need:
            self._taken, self._need = await self._room.take(self._need), 0
        message = await self._receive()
        if self._chunked:
            await self._count(len(message.get("body", b"")))
        return message

    async def _count(self, octets: int) -> None:
        self._seen += octets
        if self._seen > self._limit:
            raise BodyTooLong
        if self._seen > SMALL and not self._taken:
            self._taken = await self._room.take(self._limit)

    def forget(self) -> None:
        """The request is over."""
        if self._taken:
            self._room.give_back(self._taken)
            self._taken = 0
