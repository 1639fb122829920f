"""Internationalized addresses from end to end (RFC 6531): in, to a mailbox, to a next hop, and back as a report."""

from __future__ import annotations

from base64 import b64decode
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from postroad.mail.envelope import BodyFlag
from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import DeliveryState
from postroad.testing.conversation import Talk
from postroad.testing.site import ALICE, Site, delivery_to, running_site

BUECHER = "bücher@here.test"
GRETE = "grete@xn--mnchen-3ya.test"
LETTER = "From: Büchershop <alice@here.test>\r\nTo: <grete@münchen.test>\r\nSubject: Grüße\r\n\r\nHallo\r\n".encode()


async def send(site: Site, sender: str, recipient: str, letter: bytes = LETTER, *, account: str = ALICE) -> str:
    async with Talk(site) as talk:
        await talk.login(account)
        assert await talk.say(f"MAIL FROM:<{sender}> SMTPUTF8 BODY=8BITMIME") == 250
        assert await talk.say(f"RCPT TO:<{recipient}>") == 250
        return await talk.body(letter)


async def test_a_mailbox_with_letters_beyond_ascii(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_account(BUECHER, "secret")
        async with Talk(site, "mx") as talk:
            assert "SMTPUTF8" in talk.offered
            assert await talk.say("MAIL FROM:<grete@münchen.test> SMTPUTF8") == 250
            assert await talk.say(f"RCPT TO:<{BUECHER.upper().replace('HERE.TEST', 'here.test')}>") == 250
            await talk.body(LETTER)
        (raw,) = await site.raw_inbox(BUECHER)
        assert raw.startswith(f"Return-Path: <{GRETE}>\r\nDelivered-To: {BUECHER}\r\nReceived: ".encode())
        assert raw.endswith(LETTER)
        assert raw[: raw.index(b"From: ")].partition(b"Received")[2].isascii()


async def test_two_spellings_of_one_letter_are_one_mailbox(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_account(BUECHER, "secret")
        async with Talk(site, "mx") as talk:
            await talk.say("MAIL FROM:<> SMTPUTF8")
            assert await talk.say("RCPT TO:<bu\u0308cher@here.test>") == 250
            await talk.body(b"Subject: x\r\n\r\nx\r\n")
        assert len(await site.inbox(BUECHER)) == 1


async def test_without_smtputf8_no_such_address_is_taken(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_account(BUECHER, "secret")
        async with Talk(site, "mx") as talk:
            assert await talk.say("MAIL FROM:<grété@far.test>") == 553
            assert await talk.say("MAIL FROM:<a@far.test>") == 250
            assert await talk.say(f"RCPT TO:<{BUECHER}>") == 553


async def test_a_next_hop_that_takes_it_gets_it_octet_for_octet(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.settled(await _sent(site, ALICE, "grüße@onlya.test"))
        (letter,) = site.world.bag.to("grüße@onlya.test")
        assert letter.parameters.utf8
        assert letter.content is not None
        assert letter.content.endswith(LETTER)


async def test_a_next_hop_that_does_not_is_never_asked(tmp_path: Path) -> None:
    """Nothing is downgraded: 5.6.7, and the report tells its sender in letters of ASCII."""
    async with running_site(tmp_path) as site:
        story = await site.settled(await _sent(site, ALICE, "grüße@plain.test"))
        delivery = delivery_to(story, "grüße@plain.test")
        assert delivery.state is DeliveryState.BOUNCED
        assert "5.6.7" in str(delivery.last_status)
        assert not site.world.bag.to("grüße@plain.test")
        (raw,) = await site.raw_inbox(ALICE)
        _, status, returned = message_from_bytes(raw, policy=policy.default).iter_parts()
        assert status.get_content_type() == "message/delivery-status"
        assert status.get_payload()[1]["Final-Recipient"] == r"utf-8; gr\x{FC}\x{DF}e@plain.test"
        assert returned.get_content_type() == "message/global"
        encoded = raw.partition(b"message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n")[2]
        assert LETTER in b64decode(encoded.partition(b"--")[0])
        assert raw[raw.index(b"Reporting-MTA") :].isascii()


async def test_header_fields_beyond_ascii_need_it_too(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        story = await site.settled(await _sent(site, ALICE, "dora@plain.test"))
        assert BodyFlag.UTF8 in story.message.flags
        assert "5.6.7" in str(delivery_to(story, "dora@plain.test").last_status)


async def test_mail_that_is_ascii_goes_anywhere_whatever_its_client_says(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        plain = "From: <alice@here.test>\r\nSubject: hi\r\n\r\nGrüße\r\n".encode()
        story = await site.settled(await _sent(site, ALICE, "dora@plain.test", plain))
        assert delivery_to(story, "dora@plain.test").state is DeliveryState.DELIVERED
        assert BodyFlag.UTF8 not in story.message.flags


async def test_a_report_to_such_a_sender_takes_the_forms_of_rfc_6533(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_account(BUECHER, "secret")
        own = LETTER.replace(ALICE.encode(), BUECHER.encode())
        await site.settled(await _sent(site, BUECHER, "grüße@refuse.test", own, account=BUECHER))
        (raw,) = await site.raw_inbox(BUECHER)
        assert f"To: <{BUECHER}>\r\n".encode() in raw
        report = message_from_bytes(raw, policy=policy.default)
        _, status, returned = report.iter_parts()
        assert status.get_content_type() == "message/global-delivery-status"
        assert "Final-Recipient: utf-8; grüße@refuse.test\r\n".encode() in raw
        assert returned.get_content_type() == "message/global"
        assert own in raw


@pytest.mark.parametrize("name", ["münchen.test", "xn--mnchen-3ya.test", "MÜNCHEN.test"])
async def test_a_domain_of_ours_is_known_by_both_of_its_names(tmp_path: Path, name: str) -> None:
    async with running_site(tmp_path) as site:
        await site.tenants.add_domain("münchen.test")
        await site.tenants.add_account("grete@münchen.test", "secret")
        async with Talk(site, "mx") as talk:
            await talk.say("MAIL FROM:<a@far.test> SMTPUTF8")
            assert await talk.say(f"RCPT TO:<grete@{name}>") == 250
            await talk.body(b"Subject: x\r\n\r\nx\r\n")
        assert len(await site.inbox(GRETE)) == 1


async def _sent(site: Site, sender: str, recipient: str, letter: bytes = LETTER, *, account: str = ALICE) -> MessageId:
    answer = await send(site, sender, recipient, letter, account=account)
    return MessageId(parse_id(answer.rpartition(" ")[2]) or 0)
