"""Ways out that the settings name: to an LMTP server, and from one way to the next when the first fails."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from postroad.lab.world import World
from postroad.ports.store import DeliveryState
from postroad.testing.server import running_node
from postroad.testing.site import PASSWORD, Site, delivery_to, kinds, running_site, states

CAROL = "carol@shop.test"


async def test_by_lmtp_each_recipient_is_told_by_itself(tmp_path: Path) -> None:
    async with running_node(tmp_path / "shop", ("lmtp", "metrics"), extra="[limits]\nmin_free = 1048576\n") as shop:
        tenants = Site(shop, cast(World, None)).tenants
        await tenants.add_domain("shop.test")
        await tenants.add_account(CAROL, PASSWORD)
        port = shop.endpoints["lmtp"][0].port
        route = {"domain": "shop.test", "via": [f"lmtp://127.0.0.1:{port}"]}
        async with running_site(tmp_path, {"route": [route]}) as site:
            story = await site.settled(await site.submit(CAROL, "nobody@shop.test"))
            assert states(story) == {CAROL: DeliveryState.DELIVERED, "nobody@shop.test": DeliveryState.BOUNCED}
            ((attempt, _),) = story.attempts
            assert "> LHLO " in attempt.dialogue
            assert delivery_to(story, CAROL).dest == f"lmtp:[127.0.0.1]:{port}"


async def test_what_the_first_way_does_not_take_goes_by_the_second(tmp_path: Path) -> None:
    route = {"sender": "@here.test", "via": ["smtp://127.0.0.19:1", "mx"]}
    async with running_site(tmp_path, {"route": [route]}) as site:
        story = await site.settled(await site.submit("someone@onlya.test"))
        assert kinds(story, "someone@onlya.test") == ["queued", "deferred", "delivered"]
        assert [attempt.host for attempt, _ in story.attempts] == ["127.0.0.19", "onlya.test"]
        assert delivery_to(story, "someone@onlya.test").dest == "mx:onlya.test"


async def test_a_pool_says_its_own_name_from_its_own_address(tmp_path: Path) -> None:
    sections = {
        "route": [{"via": ["mx"], "pool": "bulk"}],
        "pool": [{"name": "bulk", "addresses": ["127.0.0.77"], "helo": "bulk.here.test"}],
    }
    async with running_site(tmp_path, sections) as site:
        story = await site.settled(await site.submit("someone@onlya.test"))
        assert states(story) == {"someone@onlya.test": DeliveryState.DELIVERED}
        (letter,) = site.world.bag.letters
        assert (letter.client, letter.helo) == ("127.0.0.77", "bulk.here.test")
        assert delivery_to(story, "someone@onlya.test").dest == "mx:onlya.test#bulk"
