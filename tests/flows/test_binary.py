"""Binary content (RFC 3030): taken by BDAT, kept octet for octet, and sent on in chunks, rewritten, or bounced."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import DeliveryState
from postroad.testing.conversation import Talk
from postroad.testing.site import ALICE, BOB, Site, delivery_to, running_site, states

OCTETS = bytes(range(256)) * 40 + b"\r\n.\r\nMAIL FROM:<eve@evil.test>\r\n\n.\n\r.\r"
HEAD = b"From: <alice@here.test>\r\nMIME-Version: 1.0\r\n"
BINARY = HEAD + b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n" + OCTETS
TEXT = (
    HEAD
    + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + "Grüße aus Köln\r\n".encode()
)
FAR, PLAIN = "dora@onlya.test", "dora@plain.test"


async def send(site: Site, *recipients: str, content: bytes = BINARY) -> MessageId:
    async with Talk(site) as talk:
        await talk.login(ALICE)
        assert await talk.say(f"MAIL FROM:<{ALICE}> BODY=BINARYMIME") == 250, talk.answer
        for recipient in recipients:
            assert await talk.say(f"RCPT TO:<{recipient}>") == 250, talk.answer
        answer = await talk.chunk(content)
    return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)


async def test_a_mailbox_here_keeps_every_octet(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await send(site, BOB)
        (raw,) = await site.raw_inbox(BOB)
        assert raw.endswith(OCTETS)


async def test_a_next_hop_that_takes_it_gets_it_in_chunks(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await send(site, FAR))
        (letter,) = site.world.bag.to(FAR)
        assert letter.parameters.body == "BINARYMIME"
        assert letter.content is not None
        assert letter.content.endswith(OCTETS)
        assert "BDAT" in story.attempts[0][0].dialogue


@pytest.mark.parametrize("size", [1, 40], ids=["small", "large"])
async def test_one_that_does_not_gets_it_rewritten(tmp_path: Path, size: int) -> None:
    """The server of plain.test takes 7 bits alone."""
    async with running_site(tmp_path) as site:
        await site.settled(await send(site, PLAIN, content=BINARY + OCTETS * size))
        (letter,) = site.world.bag.to(PLAIN)
        assert letter.content is not None
        assert letter.content.isascii()
        message = message_from_bytes(letter.content, policy=policy.default)
        assert message["Content-Transfer-Encoding"] == "base64"
        assert message.get_payload(decode=True) == OCTETS * (1 + size)


async def test_what_is_signed_is_bounced_instead(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await send(site, PLAIN, FAR, content=b"DKIM-Signature: v=1; b=x\r\n" + BINARY))
        assert states(story) == {PLAIN: DeliveryState.BOUNCED, FAR: DeliveryState.DELIVERED}
        assert "5.6.3" in str(delivery_to(story, PLAIN).last_status)
        assert not site.world.bag.to(PLAIN)
        (report,) = await site.inbox(ALICE)
        assert list(report.iter_parts())[2].get_content_type() == "text/rfc822-headers"


async def test_what_is_too_large_to_be_rewritten_is_bounced(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"delivery": {"convert_limit": len(BINARY)}}) as site:
        story = await site.settled(await send(site, PLAIN))  # with our Received field it is larger
        assert "5.6.3" in str(delivery_to(story, PLAIN).last_status)


@pytest.mark.parametrize("way", ["as-is", "convert"])
async def test_eight_bits_go_as_they_are_unless_a_setting_says_otherwise(tmp_path: Path, way: str) -> None:
    async with running_site(tmp_path, {"delivery": {"eight_bit": way}}) as site:
        await site.settled(await send(site, PLAIN, content=TEXT))
        (letter,) = site.world.bag.to(PLAIN)
        assert letter.content is not None
        assert letter.content.isascii() == (way == "convert")
        message = message_from_bytes(letter.content, policy=policy.default)
        assert message.get_content().replace("\r\n", "\n") == "Grüße aus Köln\n"


async def test_a_server_that_takes_few_gets_few_at_once(tmp_path: Path) -> None:
    """LIMITS (RFC 9422): recipients of one transaction, messages of one conversation."""
    async with running_site(tmp_path) as site:
        receiver = site.world.receivers["onlya.test"]
        receiver.profile = replace(receiver.profile, max_recipients=2, max_transactions=1)
        recipients = [f"r{number}@onlya.test" for number in range(5)]
        story = await site.settled(await send(site, *recipients, content=TEXT))
        assert set(states(story).values()) == {DeliveryState.DELIVERED}
        assert [len(letter.recipients) for letter in site.world.bag.letters] == [2, 2, 1]
        assert site.world.bag.refusals == 0
        assert site.world.bag.connections >= 3
