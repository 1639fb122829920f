"""Mail that waits when the server ends is tried by the next one."""

from __future__ import annotations

from pathlib import Path

from postroad.lab.profiles.scripted import Scripted
from postroad.lab.temper import DROP, refuse
from postroad.ports.store import DeliveryState
from postroad.testing.server import HOSTNAME
from postroad.testing.site import (
    ALICE,
    BOB,
    PASSWORD,
    Site,
    kinds,
    node_in,
    running_site,
    running_world,
    states,
)


async def test_deferred_mail_continues(tmp_path: Path) -> None:
    busy = refuse(451, "4.3.0", "not now")
    async with running_world({"mx.refuse.test": Scripted(rcpt=[busy])}) as world:
        slow = {"delivery": {"retry_waits": [3600]}}
        async with node_in(world, tmp_path, slow) as node:
            site = Site(node, world)
            await site.tenants.add_domain("here.test")
            await site.tenants.add_account(ALICE, PASSWORD)
            message = await site.submit("someone@refuse.test")
            story = await site.when(message, lambda story: "deferred" in kinds(story, "someone@refuse.test"))
            assert story.deliveries[0].owner is None
        assert not world.bag.letters
        async with node_in(world, tmp_path) as node:
            site = Site(node, world)
            await site.run("queue", "retry", "--all")
            story = await site.settled(message)
            assert kinds(story, "someone@refuse.test") == ["queued", "deferred", "retry-asked", "delivered"]
            assert len(world.bag.letters) == 1


async def test_mail_of_a_server_that_is_stopping_is_not_lost(tmp_path: Path) -> None:
    """Stopped right behind the 250: what was not yet begun is given back and sent by the next server, once."""
    async with running_world({"mx.plain.test": Scripted(connect=[DROP])}) as world:
        async with node_in(world, tmp_path) as node:
            site = Site(node, world)
            await site.tenants.add_domain("here.test")
            await site.tenants.add_account(ALICE, PASSWORD)
            recipients = [f"u{number}@plain.test" for number in range(20)]
            messages = [await site.submit(recipient, BOB_ELSEWHERE) for recipient in recipients]
        async with node_in(world, tmp_path) as node:
            site = Site(node, world)
            for message in messages:
                story = await site.settled(message)
                assert set(states(story).values()) == {DeliveryState.DELIVERED}
        taken = [recipient for letter in world.bag.letters for recipient in letter.recipients]
        assert sorted(taken) == sorted([*recipients, *[BOB_ELSEWHERE] * 20])


BOB_ELSEWHERE = "bob@remote.test"


async def test_the_same_folder_again(tmp_path: Path) -> None:
    """Accounts, mailboxes and the epoch of the node outlive the process."""
    for round_ in range(2):
        async with running_site(tmp_path) as site:
            await site.receive(BOB, subject=str(round_))
            assert [mail["Subject"] for mail in await site.inbox(BOB)] == [str(each) for each in range(round_ + 1)]
            assert site.node.settings.hostname == HOSTNAME
