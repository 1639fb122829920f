"""The demo's day: lived through by the real machinery, so its rows must hold, and be the same each time."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from postroad.adapters.ids import NodeIds, made_at
from postroad.app.ledger import prove
from postroad.app.services import node_name, open_services
from postroad.config.load import load
from postroad.lab.day.ground import Base, Logins
from postroad.lab.day.letters import ALICE, BOB, CAROL
from postroad.lab.day.pictures import document, picture
from postroad.lab.day.play import LENGTH, live_through
from postroad.ports.store import DeliveryState, MessageFilter
from postroad.reports.story import read_story
from postroad.testing.server import write_configuration

NOW = datetime(2026, 5, 4, 15, 30, tzinfo=UTC)
PEOPLE = dict.fromkeys((ALICE, BOB, CAROL), "demo")


@asynccontextmanager
async def empty_server(folder):
    """Services of a server with the demo's people, and its settings."""
    settings = load(write_configuration(folder), {})
    async with open_services(settings) as services:
        for domain in ("one.test", "two.test"):
            await services.administration.add_domain(domain)
        for address, password in PEOPLE.items():
            await services.administration.add_account(address, password)
        await services.administration.add_alias("info@one.test", [CAROL, BOB])
        yield settings, services


async def live(settings, services, **options):
    number = await services.store.write(lambda tx: tx.nodes.number(node_name(settings), now=NOW))
    parts = (services.workers, services.signals, services.credentials, services.tokens, services.sending)
    base = Base(settings, services.store, services.blobs, *parts)
    return await live_through(
        base, Logins(PEOPLE), lambda clock: NodeIds(number, clock), node=node_name(settings), now=NOW, **options
    )


async def stories(services):
    def read(tx):
        return [read_story(tx, message) for message in tx.messages.search(MessageFilter(), limit=1000)]

    return (await services.store.read(read))[::-1]


async def test_a_day_has_every_fate_and_its_ledger_holds(tmp_path):
    async with empty_server(tmp_path) as (settings, services):
        count = await live(settings, services)
        told = await stories(services)
        refusals = await services.store.read(lambda tx: tx.refusals.search(limit=100))
        depth, _ = await services.store.read(lambda tx: tx.deliveries.depth())
    states = Counter(delivery.state for story in told for delivery in story.deliveries)
    assert count >= 30
    assert set(states) == set(DeliveryState)
    assert depth == states[DeliveryState.QUEUED] + states[DeliveryState.HELD] >= 4
    assert any(story.message.bounce_of for story in told)
    assert {refusal.stage for refusal in refusals} >= {"auth", "rcpt"}
    report = await prove(settings, deep=True)
    assert report.is_clean, report.problems


async def test_everything_lies_in_the_past_and_ids_tell_their_time(tmp_path):
    async with empty_server(tmp_path) as (settings, services):
        await live(settings, services)
        told = await stories(services)
    for story in told:
        assert NOW - LENGTH <= story.message.created <= NOW
        assert abs(made_at(story.message.id) - story.message.created) < timedelta(seconds=1)
        assert all(event.at <= NOW for event in story.events)
        for attempt, _ in story.attempts:
            assert story.message.created <= attempt.started <= attempt.ended <= NOW
        assert all(delivery.due > NOW for delivery in story.deliveries if delivery.due)


async def test_attempts_look_like_attempts(tmp_path):
    async with empty_server(tmp_path) as (settings, services):
        await live(settings, services)
        told = await stories(services)
    attempts = [attempt for story in told for attempt, _ in story.attempts if attempt.host == "mx1.bigmail.test"]
    first = attempts[0]
    assert first.address == "198.51.100.10:25"
    assert first.tls == "TLSv1.3 TLS_AES_256_GCM_SHA384"
    assert {"connect", "greeting", "ehlo", "tls", "mail", "rcpt", "data"} <= set(first.timings)
    assert all(seconds >= 0 for seconds in first.timings.values())
    assert "< 220 mx1.bigmail.test" in first.dialogue
    assert "> STARTTLS" in first.dialogue
    replies = {str(status) for story in told for _, statuses in story.attempts for status in statuses.values()}
    assert any("Greylisted" in reply for reply in replies)
    assert any("does not exist here" in reply for reply in replies)


async def test_mailboxes_have_read_and_unread_mail_and_what_was_sent(tmp_path):
    async with empty_server(tmp_path) as (settings, services):
        await live(settings, services)

        def read(tx):
            account = tx.accounts.by_address(ALICE)
            return {record.name: record for record in tx.mailboxes.list(account.id)}

        mailboxes = await services.store.read(read)
    assert 0 < mailboxes["INBOX"].unseen < mailboxes["INBOX"].total
    assert mailboxes["Sent"].total >= 5
    assert mailboxes["Sent"].unseen == 0


async def test_the_same_hour_and_seed_give_the_same_rows(tmp_path):
    days = []
    for name in ("first", "second"):
        async with empty_server(tmp_path / name) as (settings, services):
            await live(settings, services, seed=7)
            days.append(await stories(services))
    first, second = days
    assert [story.lines() for story in first] == [story.lines() for story in second]
    assert [story.message.id for story in first] == [story.message.id for story in second]
    assert [[attempt for attempt, _ in story.attempts] for story in first] == [
        [attempt for attempt, _ in story.attempts] for story in second
    ]


async def test_a_day_is_lived_through_once(tmp_path):
    async with empty_server(tmp_path) as (settings, services):
        assert await live(settings, services) > 0
        assert await live(settings, services) == 0


def test_pictures_and_documents_are_what_they_say():
    assert picture(8, 4).startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture(8, 4)) < len(picture(80, 40))
    written = document("A (very) small page", ["one", "two"])
    assert written.startswith(b"%PDF-1.4")
    assert rb"A \(very\) small page" in written
