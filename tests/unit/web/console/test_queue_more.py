"""Another way, a return by hand, providers and the picture over time, as the console's queue page has them."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from postroad.adapters.clock import SystemClock
from postroad.testing.stores import Mail
from postroad.web.console.charts import over_time


@pytest.fixture
def mail():
    return Mail(SystemClock())


def words(response):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


async def queue_up(alice, mail, *paths):
    for path in paths:
        await alice.services.store.accept(mail.remote(path, dest="mx:far.test", owned=False))


async def rows(alice):
    from postroad.ports.store import QueueFilter

    return await alice.services.store.read(lambda tx: tx.deliveries.queue(QueueFilter()))


async def test_by_provider(alice, mail):
    await queue_up(alice, mail, "a@far.test", "b@far.test")
    await alice.services.store.write(lambda tx: tx.deliveries.name_providers([("mx:far.test", "google")]))
    shown = words(await alice.get("queue?by=provider"))
    assert re.search(r"google\b.*\b2\b", shown)
    listed = words(await alice.get("queue/recipients?provider=google"))
    assert "a@far.test" in listed
    assert "b@far.test" in listed


async def test_another_way_asks_which_and_takes_it(alice, mail):
    await queue_up(alice, mail, "a@far.test")
    asked = await alice.post("queue/preview", {"deed": "reroute", "pick": "dest:mx:far.test"})
    assert 'name="to"' in asked.text
    await alice.post("queue/act", {"deed": "reroute", "pick": "dest:mx:far.test", "to": "relay.test:2525"})
    assert [entry.delivery.dest for entry in await rows(alice)] == ["to:relay.test:2525"]
    assert "relay.test:2525 (chosen by hand)" in words(await alice.get("queue"))


async def test_no_way_changes_nothing(alice, mail):
    await queue_up(alice, mail, "a@far.test")
    await alice.post("queue/act", {"deed": "reroute", "pick": "dest:mx:far.test", "to": "no way"})
    assert [entry.delivery.dest for entry in await rows(alice)] == ["mx:far.test"]


async def test_returned_by_hand(alice, mail):
    await queue_up(alice, mail, "a@far.test")
    asked = words(await alice.post("queue/preview", {"deed": "bounce", "pick": "dest:mx:far.test"}))
    assert "their senders get a report" in asked
    await alice.post("queue/act", {"deed": "bounce", "pick": "dest:mx:far.test"})
    assert [entry.delivery.wish.value for entry in await rows(alice)] == ["bounce"]


async def test_the_picture_over_time_is_drawn_and_told(alice, mail):
    await queue_up(alice, mail, "a@far.test")
    store, now = alice.services.store, alice.services.clock.now()
    for minutes in (20, 10, 0):
        at = now - timedelta(minutes=minutes)
        await store.write(lambda tx, at=at: tx.deliveries.take_sample(at, at - timedelta(days=1)))
    page = await alice.get("queue")
    assert '<svg class="spark"' in page.text
    assert "1 wait now; the most were 1" in words(page)


def test_one_sample_is_no_picture():
    assert over_time([], 3) is None
