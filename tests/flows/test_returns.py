"""What comes back: return addresses on the wire, late bounces and complaints tied to their message, suppression."""

from __future__ import annotations

from contextlib import asynccontextmanager

from postroad.ports.uuids import parse_uuid
from postroad.testing.site import ALICE, Site, configuration, kinds, running_world
from postroad.testing.web import web_node


@asynccontextmanager
async def shop_site(folder):
    async with running_world() as world, web_node(folder, extra=configuration(world)) as (node, client):
        site = Site(node, world)
        await site.tenants.add_domain("here.test")
        await site.tenants.add_account(ALICE, "secret")
        sending = node.services.sending
        token = await sending.add_token((await sending.add_server("shop")).id)

        async def send(*to, **fields):
            content = {"From": ALICE, "To": ", ".join(to), "Subject": "hello", "TextBody": "Hi"} | fields
            return await client.post("/email", json=content, headers={"X-Postmark-Server-Token": token.secret})

        yield site, send


async def test_a_hard_bounce_at_once_suppresses_and_the_next_is_refused(tmp_path):
    async with shop_site(tmp_path) as (site, send):
        answer = await send("550@remote.test")
        message = parse_uuid(answer.json()["MessageID"])
        story = await site.settled(message)
        assert "suppressed" in kinds(story, "550@remote.test")
        again = await send("550@remote.test")
        assert again.status_code == 422, again.text
        assert again.json()["ErrorCode"] == 406
