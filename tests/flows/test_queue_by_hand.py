"""What people do to the queue with commands, beside the running server."""

from __future__ import annotations

from pathlib import Path

from postroad.lab.profiles.refusing import Refusing, reply_for
from postroad.lab.profiles.scripted import Scripted
from postroad.lab.temper import GO, Move
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState, QueueFilter
from postroad.reports.story import Story
from postroad.testing.site import ALICE, Site, delivery_to, kinds, running_site, states, until

BUSY = "someone@refuse.test"
PATIENT = {"delivery": {"retry_waits": [3600]}}  # by itself nothing is tried a second time


class Moody(Refusing):
    """Refuses for now, until it is `open`."""

    def __init__(self) -> None:
        super().__init__(451)
        self.open = False

    def rcpt(self, visit, address):
        return GO if self.open else super().rcpt(visit, address)


def is_deferred(story: Story) -> bool:
    return all(delivery.owner is None for delivery in story.deliveries) and story.deliveries[0].last_status is not None


async def test_hold_release_retry(tmp_path: Path) -> None:
    moody = Moody()
    async with running_site(tmp_path, PATIENT, tempers={"mx.refuse.test": moody}) as site:
        message = await site.submit(BUSY)
        story = await site.when(message, is_deferred)
        ident = id_text(delivery_to(story, BUSY).id)

        (part,) = await site.run_json("queue", "summary")
        assert (part["dest"], part["queued"], part["held"]) == ("mx:refuse.test", 1, 0)
        assert "try again later" in await site.run("queue", "list")
        assert "1 recipient held" in await site.run("queue", "hold", ident)
        story = await site.story(message)
        assert states(story) == {BUSY: DeliveryState.HELD}
        assert "held" in await site.run("queue", "show", ident)

        moody.open = True
        assert "1 recipient released" in await site.run("queue", "release", "--domain", "refuse.test")
        story = await site.settled(message)
        assert kinds(story, BUSY) == ["queued", "deferred", "held", "released", "delivered"]
        assert "empty" in await site.run("queue", "list")


async def test_retry_and_cancel(tmp_path: Path) -> None:
    moody = Moody()
    async with running_site(tmp_path, PATIENT, tempers={"mx.refuse.test": moody}) as site:
        first, second = await site.submit(BUSY, subject="one"), await site.submit(BUSY, subject="two")
        for message in (first, second):
            await site.when(message, is_deferred)
        assert "Would cancel 2" in await site.run("queue", "cancel", "--sender", ALICE, "--dry-run")
        assert "1 recipient cancelled" in await site.run("queue", "cancel", "--message", id_text(second))
        moody.open = True
        assert "1 recipient will be tried now" in await site.run("queue", "retry", "--all")
        story = await site.settled(first)
        assert kinds(story, BUSY) == ["queued", "deferred", "retry-asked", "delivered"]
        story = await site.settled(second)
        assert kinds(story, BUSY) == ["queued", "deferred", "cancelled"]
        assert await site.inbox(ALICE) == [], "a cancelled message is not reported"
        assert len(site.world.bag.letters) == 1


async def test_what_is_under_way_is_asked_for(tmp_path: Path) -> None:
    """A delivery in the middle of its attempt is its owner's: the wish is applied when the attempt has ended."""
    slow = Scripted(rcpt=[Move(reply_for(451), delay=0.5)])
    async with running_site(tmp_path, PATIENT, tempers={"mx.slow.test": slow}) as site:
        message = await site.submit("someone@slow.test")
        await dialled(site)
        done = await site.node.services.actions.hold(QueueFilter(), "a test")  # a command might come too late
        assert (done.changed, done.asked) == (0, 1)
        story = await site.when(message, lambda story: states(story)["someone@slow.test"] is DeliveryState.HELD)
        assert kinds(story, "someone@slow.test") == ["queued", "held"]
        await site.run("queue", "release", "--all")
        story = await site.settled(message)
        assert states(story) == {"someone@slow.test": DeliveryState.DELIVERED}


async def dialled(site: Site) -> None:
    """Somebody is connected to the laboratory."""

    async def connections() -> int:
        return site.world.bag.connections

    await until(connections, bool)
