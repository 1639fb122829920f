"""A host with addresses of both families, one of which is dead; and one whose address is our own."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from postroad.app import build
from postroad.ports.store import DeliveryState
from postroad.testing.site import delivery_to, running_site, states


async def test_a_dead_family_costs_a_moment(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        dns = site.world.dns
        dns.put("two.test", "MX", "10 mx.two.test.")
        dns.put("mx.two.test", "AAAA", "::1")  # nobody listens there
        dns.put("mx.two.test", "A", "127.0.0.19", "127.0.0.12")  # nor at the first of these
        story = await site.settled(await site.submit("bob@two.test"))
        assert set(states(story).values()) == {DeliveryState.DELIVERED}
        ((attempt, _),) = story.attempts
        assert attempt.address == f"127.0.0.12:{site.world.port}", "the address that took it is on record"
        assert story.deliveries[0].tries == 1


async def test_mail_for_an_address_of_ours_would_circle(tmp_path: Path) -> None:
    with patch.object(build, "own_places", lambda _: lambda endpoint: endpoint.host == "127.0.0.18"):
        async with running_site(tmp_path) as site:
            dns = site.world.dns
            dns.put("circle.test", "MX", "10 mx.plain.test.", "20 onlya.test.")
            story = await site.settled(await site.submit("bob@circle.test"))
            delivery = delivery_to(story, "bob@circle.test")
            assert delivery.state is DeliveryState.BOUNCED
            assert delivery.last_status
            assert str(delivery.last_status.enhanced) == "5.4.6"
            assert not site.world.bag.letters, "hosts behind it are not tried: they would bring it back"
