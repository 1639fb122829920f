"""Messages made fit for servers that take less than 8 bits or binary: loaded whole, within a limit, and rewritten."""

from __future__ import annotations

from functools import partial

from postroad.delivery.agent import AttemptRequest
from postroad.delivery.target import Craft
from postroad.mail.sevenbit import CannotConvert, rewritten

INLINE = 16 * 1024  # octets that are rewritten on the loop


class Rewriter:
    """For one message."""

    __slots__ = ("_craft",)

    def __init__(self, craft: Craft) -> None:
        self._craft = craft

    async def rewrite(self, request: AttemptRequest, *, eight_bit: bool) -> bytes:
        """The content as it can be sent. Raises CannotConvert."""
        if request.message.size > self._craft.convert_limit:
            raise CannotConvert(f"it has more than the {self._craft.convert_limit} octets that are rewritten here")
        content = request.content if request.content is not None else await _whole(request)
        make = partial(rewritten, content, eight_bit=eight_bit)
        workers = self._craft.workers
        return make() if workers is None or len(content) <= INLINE else await workers.run(make)


async def _whole(request: AttemptRequest) -> bytes:
    assert request.stream is not None
    return b"".join([chunk async for chunk in request.stream()])
