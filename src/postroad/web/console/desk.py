"""Where messages are taken apart for people: in workers, a few at a time, and for no longer than anybody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import Message, Tx
from postroad.web.console.forms import services_of

if TYPE_CHECKING:
    from postroad.web.services import WebServices

MAX_LOOK = 64 * 1024 * 1024  # octets of a message that are taken apart
LARGE = 4 * 1024 * 1024  # messages from this size on are taken apart one at a time
SECONDS = 6.0  # that a reader waits for a message to be taken apart
T = TypeVar("T")


class TooBusy(Exception):  # noqa: N818
    """The message was not taken apart in time; says so in words."""


class Stored(NamedTuple):
    """A message and where its content lies: None when it is no longer kept."""

    message: Message
    place: BlobPlace | None


async def stored(request: Request) -> Stored:
    """The message that the address names. Raises 404."""
    number = parse_id(request.path_params["id"])

    def read(tx: Tx) -> Stored | None:
        message = tx.messages.get(MessageId(number)) if number else None
        return Stored(message, tx.messages.place(message.blob)) if message else None

    found = await services_of(request).store.read(read)
    if found is None:
        raise HTTPException(404)
    return found


class Desk:
    """Where messages are taken apart: a few small ones or one large one at a time. One for the console."""

    def __init__(self) -> None:
        self._small = asyncio.Semaphore(3)
        self._large = asyncio.Semaphore(1)

    async def work(self, request: Request, place: BlobPlace, function: Callable[[bytes, bool], T]) -> T:
        """`function` of the content and whether that is all of it, in a worker. Raises TooBusy.

        Who no longer waits leaves a thread behind that ends soon, for the work itself is bounded; until then its place
        is taken, so that hostile mail cannot take all workers.
        """
        services = services_of(request)
        places = self._large if place.length >= LARGE else self._small
        try:
            async with asyncio.timeout(SECONDS):
                await places.acquire()
        except TimeoutError:
            raise TooBusy("Other messages are being taken apart. Please try again in a moment.") from None
        task = asyncio.ensure_future(_read_and_work(services, place, function))
        task.add_done_callback(lambda done: _leave(done, places))
        try:
            return await asyncio.wait_for(asyncio.shield(task), SECONDS)
        except TimeoutError:
            raise TooBusy("It takes too long to take this message apart. Its source can be downloaded.") from None


async def _read_and_work(services: WebServices, place: BlobPlace, function: Callable[[bytes, bool], T]) -> T:
    content = await services.blobs.read(place, 0, MAX_LOOK)
    return await services.workers.run(lambda: function(content, place.length <= MAX_LOOK))


def _leave(done: asyncio.Future[T], places: asyncio.Semaphore) -> None:
    places.release()
    if not done.cancelled():
        done.exception()  # somebody may no longer wait for it


def desk_of(request: Request) -> Desk:
    state = request.app.state
    if not hasattr(state, "desk"):
        state.desk = Desk()
    found: Desk = state.desk
    return found
