"""A program sends by HTTP to the simulated internet: what arrives, what bounces, and who hears of it."""

from postroad.ports.store import DeliveryState
from postroad.ports.uuids import parse_uuid
from postroad.testing.site import ALICE, Site, configuration, running_world, states
from postroad.testing.web import web_node


async def test_from_the_request_to_every_recipients_end(tmp_path):
    async with running_world() as world, web_node(tmp_path, extra=configuration(world)) as (node, client):
        site = Site(node, world)
        await site.tenants.add_domain("here.test")
        await site.tenants.add_account(ALICE, "secret")
        sending = node.services.sending
        token = await sending.add_token((await sending.add_server("shop")).id)
        content = {
            "From": ALICE, "To": "accept@remote.test", "Cc": "550@remote.test, nobody@here.test", "Bcc": ALICE,
            "Subject": "to all", "TextBody": "How are you?",
        }  # fmt: skip
        answer = await client.post("/email", json=content, headers={"X-Postmark-Server-Token": token.secret})
        message_id = answer.json()["MessageID"]
        story = await site.settled(parse_uuid(message_id))
        assert states(story) == {
            "accept@remote.test": DeliveryState.DELIVERED,
            "550@remote.test": DeliveryState.BOUNCED,
            "nobody@here.test": DeliveryState.BOUNCED,
            ALICE: DeliveryState.DELIVERED,
        }
        own, report = await site.inbox()
        assert own["x-pm-message-id"] == message_id
        assert own["bcc"] is None
        assert report.get_content_type() == "multipart/report"  # the sender is one of us, so it hears of the failure
        assert "550@remote.test" in report.as_string()
        assert "nobody@here.test" not in report.get_body().get_content()
