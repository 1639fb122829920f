"""Many reports that are due at once are made one after another, and others get their turn between them."""

import asyncio
from itertools import count

from postroad.adapters.random import SystemRandomness
from postroad.mail.dsn import Action
from postroad.mail.status import status
from postroad.ports.handoff import notice
from postroad.queue import bounces as module
from postroad.queue.bounces import Bounces, Manner
from postroad.testing.clock import JumpingClock
from postroad.testing.sending import make_delivery, make_message

GONE = status(550, "5.1.1", "no such user")


class Ids:
    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self) -> int:
        return next(self._numbers)


async def test_one_report_in_each_round_of_the_loop(monkeypatch):
    written = []
    monkeypatch.setattr(module, "write", lambda *_, **__: written.append(rounds[0]) or b"a report")
    rounds = [0]

    async def others() -> None:
        while True:
            rounds[0] += 1
            await asyncio.sleep(0)

    async def submit(*_, **__):
        return status(250, "2.0.0", "queued as 1")

    async def read(*_):
        return b"Subject: x\r\n\r\n"

    manner = Manner("mail.example.com", 65536)
    reporter = Bounces(
        None, submit, read, clock=JumpingClock(), ids=Ids(), random=SystemRandomness(), manner=manner
    )  # fmt: skip
    message = make_message()
    failed = [notice(Action.FAILED, make_delivery(1, message, "x@b.test"), GONE)]
    watching = asyncio.create_task(others())
    await asyncio.gather(*(reporter.report(message, failed) for _ in range(20)))
    watching.cancel()
    assert len(written) == 20
    assert len(set(written)) == 20
