"""Messages that a server does not take as they are: rewritten in time, or kept for the next connection."""

import asyncio

import pytest

from postroad.delivery.agent import AttemptRequest
from postroad.delivery.rewriting import INLINE, Rewriter
from postroad.mail.sevenbit import CannotConvert
from postroad.testing.sending import make_delivery, make_message

CONTENT = b"Subject: x\r\n\r\n" + "Grüße\r\n".encode()


class Slow:
    """Workers that wait for the test."""

    def __init__(self):
        self.begun, self.go = 0, asyncio.Event()

    async def run(self, function):
        self.begun += 1
        await self.go.wait()
        return function()


def request(content=CONTENT, *, streamed=False):
    message = make_message(size=len(content))
    made = AttemptRequest("mx:b.test", message, [make_delivery(1, message, "x@b.test")])

    async def stream():
        yield content[:5]
        yield content[5:]

    if streamed:
        made.stream = stream
    else:
        made.content = content
    return made


@pytest.mark.parametrize("streamed", [False, True])
async def test_it_is_done_once_for_each_kind_of_server(streamed):
    asked = request(streamed=streamed)
    first = await Rewriter().rewrite(asked, eight_bit=False)
    assert first.isascii()
    assert await Rewriter().rewrite(asked, eight_bit=False) is first
    assert await Rewriter().rewrite(asked, eight_bit=True) == CONTENT


async def test_the_limit_on_both_sides():
    await Rewriter(len(CONTENT)).rewrite(request(), eight_bit=False)
    with pytest.raises(CannotConvert):
        await Rewriter(len(CONTENT) - 1).rewrite(request(), eight_bit=False)


async def test_large_ones_wait_for_one_another():
    workers = Slow()
    rewriter = Rewriter(workers=workers)
    large = [request(CONTENT * INLINE) for _ in range(3)]
    tasks = [asyncio.ensure_future(rewriter.rewrite(each, eight_bit=False)) for each in large]
    small = await rewriter.rewrite(request(), eight_bit=False)
    assert small.isascii(), "small ones do not"
    await asyncio.sleep(0)
    assert workers.begun == 1
    workers.go.set()
    assert all(made.isascii() for made in await asyncio.gather(*tasks))
