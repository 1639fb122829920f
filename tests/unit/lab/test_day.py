"""The demo's day: lived through by the real machinery, so its rows must hold, and be the same each time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postroad.adapters.ids import NodeIds, made_at
from postroad.app.ledger import prove
from postroad.app.services import node_name, open_services
from postroad.config.load import load
from postroad.lab.day.ground import Base, Logins
from postroad.lab.day.letters import ALICE, BOB, CAROL
from postroad.lab.day.pictures import document, picture
from postroad.lab.day.play import LENGTH, live_through
from postroad.lab.day.shop import SHOP
from postroad.ports.store import DeliveryState, MessageFilter
from postroad.reports.story import Story, read_story
from postroad.testing.server import write_configuration

NOW = datetime(2026, 5, 4, 15, 30, tzinfo=UTC)
PEOPLE = dict.fromkeys((ALICE, BOB, CAROL), "demo")


@dataclass
class Lived:
    """What a day left behind."""

    count: int
    stories: list[Story]
    refusals: list[Any]
    depth: int
    mailboxes: dict[str, Any]
    ledger: Any
    again: int


async def live(folder, *, twice: bool = False) -> Lived:
    settings = load(write_configuration(folder), {})
    async with open_services(settings) as services:
        for domain in ("one.test", "two.test"):
            await services.administration.add_domain(domain)
        for address, password in PEOPLE.items():
            await services.administration.add_account(address, password)
        await services.administration.add_alias("info@one.test", [CAROL, BOB])
        await services.administration.add_alias(SHOP, [CAROL])
        await services.sending.add_server("shop")
        token = (await services.sending.add_token("shop")).secret
        node = node_name(settings)
        number = await services.store.write(lambda tx: tx.nodes.number(node, now=NOW))
        parts = (services.workers, services.signals, services.credentials, services.tokens, services.sending)
        base = Base(settings, services.store, services.blobs, *parts)
        logins = Logins(PEOPLE, token)
        counts = [
            await live_through(base, logins, lambda clock: NodeIds(number, clock), node=node, now=NOW, seed=7)
            for _ in range(1 + twice)
        ]

        def read(tx):
            account = tx.accounts.by_address(ALICE)
            return Lived(
                counts[0],
                [read_story(tx, found) for found in tx.messages.search(MessageFilter(), limit=1000)][::-1],
                tx.refusals.search(limit=100),
                tx.deliveries.depth()[0],
                {record.name: record for record in tx.mailboxes.list(account.id)},
                None,
                counts[-1],
            )

        lived = await services.store.read(read)
    lived.ledger = await prove(settings, deep=True)
    return lived


@pytest.fixture(scope="module")
def day(tmp_path_factory) -> Lived:
    """One day for all tests that only look at it."""
    return asyncio.run(live(tmp_path_factory.mktemp("day"), twice=True))


def test_it_has_every_fate_and_its_ledger_holds(day):
    states = Counter(delivery.state for story in day.stories for delivery in story.deliveries)
    assert day.count >= 60
    assert set(states) == set(DeliveryState)
    assert day.depth == states[DeliveryState.QUEUED] + states[DeliveryState.HELD] >= 4
    assert any(story.message.bounce_of for story in day.stories)
    assert {refusal.stage for refusal in day.refusals} >= {"auth", "rcpt"}
    assert day.ledger.is_clean, day.ledger.problems


def test_it_is_lived_through_once(day):
    assert day.again == 0


def test_everything_lies_in_the_past_and_ids_tell_their_time(day):
    for story in day.stories:
        assert NOW - LENGTH <= story.message.created <= NOW
        assert abs(made_at(story.message.id) - story.message.created) < timedelta(seconds=1)
        assert all(event.at <= NOW for event in story.events)
        for attempt, _ in story.attempts:
            assert story.message.created <= attempt.started <= attempt.ended <= NOW
        waiting = [delivery.due for delivery in story.deliveries if delivery.state is DeliveryState.QUEUED]
        assert all(due > NOW - timedelta(seconds=60) for due in waiting)


def test_the_shop_sends_with_tags_streams_and_metadata(day):
    sent = [story.message for story in day.stories if story.message.server is not None]
    assert Counter(message.tag for message in sent).keys() == {"receipt", "password-reset", "newsletter"}
    assert {message.stream for message in sent} == {"outbound", "broadcast"}
    assert all(message.metadata for message in sent)


def test_attempts_look_like_attempts(day):
    attempts = [attempt for story in day.stories for attempt, _ in story.attempts if attempt.host == "mx1.bigmail.test"]
    first = attempts[0]
    assert first.address == "198.51.100.10:25"
    assert first.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    assert {"connect", "greeting", "ehlo", "tls", "mail", "rcpt", "data"} <= set(first.timings)
    assert all(seconds >= 0 for seconds in first.timings.values())
    assert "< 220 mx1.bigmail.test" in first.dialogue
    assert "> STARTTLS" in first.dialogue
    replies = {str(status) for story in day.stories for _, statuses in story.attempts for status in statuses.values()}
    assert any("Greylisted" in reply for reply in replies)
    assert any("does not exist here" in reply for reply in replies)


def test_mailboxes_have_read_and_unread_mail_and_what_was_sent(day):
    inbox, sent = day.mailboxes["INBOX"], day.mailboxes["Sent"]
    assert 0 < inbox.unseen < inbox.total
    assert sent.total >= 5
    assert sent.unseen == 0


def test_the_same_hour_and_seed_give_the_same_rows(day, tmp_path):
    other = asyncio.run(live(tmp_path))
    assert [story.lines() for story in other.stories] == [story.lines() for story in day.stories]
    assert [story.message.id for story in other.stories] == [story.message.id for story in day.stories]
    attempts = [[attempt for attempt, _ in story.attempts] for story in other.stories]
    assert attempts == [[attempt for attempt, _ in story.attempts] for story in day.stories]


def test_pictures_and_documents_are_what_they_say():
    assert picture(8, 4).startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture(8, 4)) < len(picture(80, 40))
    written = document("A (very) small page", ["one", "two"])
    assert written.startswith(b"%PDF-1.4")
    assert rb"A \(very\) small page" in written
