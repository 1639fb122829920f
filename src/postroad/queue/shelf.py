"""Bodies of what waits: kept while there is room, read ahead a few at a time, and let go when they are done with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from itertools import islice
from typing import Any, Protocol

from postroad.delivery.agent import AttemptRequest
from postroad.queue.lanes import Lane

MAX_CACHED = 64 * 1024 * 1024  # octets of bodies in memory
READ_AHEAD = 4  # bodies of one destination that are read before their turn


class Loader(Protocol):
    """queue.bodies.Bodies."""

    async def load(self, requests: Sequence[AttemptRequest]) -> None: ...


class Shelf:
    """One for a process. `unreadable` is told of requests whose bodies cannot be had, `loaded` of lanes that may go
    on."""

    def __init__(
        self,
        loader: Loader,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        loaded: Callable[[Lane], None],
        unreadable: Callable[[Lane, Sequence[AttemptRequest], Exception], None],
    ) -> None:
        self._loader = loader
        self._spawn = spawn
        self._loaded = loaded
        self._unreadable = unreadable
        self.octets = 0

    def has_room_for(self, content: bytes) -> bool:
        return self.octets + len(content) <= MAX_CACHED

    def put(self, request: AttemptRequest) -> None:
        if request.content is not None and not request.cached:
            request.cached = len(request.content)
            self.octets += request.cached

    def drop(self, request: AttemptRequest) -> None:
        self.octets -= request.cached
        request.cached = 0

    def read_ahead(self, lane: Lane) -> None:
        """Begin to read the next few bodies that are not in memory."""
        wanted = [
            request
            for request in islice(lane.ready, READ_AHEAD)
            if request.content is None and request.stream is None and not request.loading
        ]
        for request in wanted:
            request.loading = True
        if wanted:
            self._spawn(self._read(lane, wanted))

    async def _read(self, lane: Lane, requests: list[AttemptRequest]) -> None:
        try:
            await self._loader.load(requests)
        except Exception as error:
            self._unreadable(lane, requests, error)
        finally:
            for request in requests:
                request.loading = False
                self.put(request)
        self._loaded(lane)
