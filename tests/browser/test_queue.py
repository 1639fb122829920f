"""What is done to mail that waits: each action, with a look at what is meant, from each place that offers it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.browser.harness import Stage, Visit

from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import DeliveryState

DEEDS = {
    "Try now": ("try", DeliveryState.QUEUED),
    "Hold": ("hold", DeliveryState.HELD),
    "Cancel": ("cancel", DeliveryState.CANCELLED),
}


def state(stage: Stage, message: str) -> DeliveryState:
    async def read(node):
        number = MessageId(parse_id(message) or 0)
        return (await node.services.store.read(lambda tx: tx.deliveries.of_message(number)))[0].state

    return stage.ask(read)


def say_yes(visit: Visit, deed: str) -> None:
    """In the dialog that shows what is meant."""
    yes = visit.page.get_by_role("dialog").get_by_role("button", name=re.compile(f"^{deed.partition(' ')[0]}"))
    expect(yes).to_be_visible()
    with visit.changing():
        yes.click()
    expect(visit.page.locator("#told p").first).to_be_visible()


@pytest.mark.parametrize("deed", DEEDS)
def test_from_the_message(visit: Visit, stage: Stage, deed: str) -> None:
    name, expected = DEEDS[deed]
    address = f"{name}-one@down.test"
    message = stage.waiting(address, f"{deed} from the message")
    visit.open(f"/console/messages/{message}")
    visit.page.get_by_role("button", name=f"{deed}: {address}").click()
    expect(visit.page.get_by_role("dialog")).to_contain_text(address)
    visit.settle().look(f"message-act-{name}")
    say_yes(visit, deed)
    assert state(stage, message) is expected
    visit.page.reload()


@pytest.mark.parametrize("deed", DEEDS)
def test_from_the_queue(visit: Visit, stage: Stage, deed: str) -> None:
    subject = f"{deed} from the queue"
    name, expected = DEEDS[deed]
    message = stage.waiting(f"{name}-two@down.test", subject)
    visit.open(f"/console/queue/recipients?message={message}")
    visit.page.get_by_role("main").get_by_role("checkbox").last.check()
    visit.page.get_by_role("main").get_by_role("button", name=deed, exact=True).last.click()
    expect(visit.page.get_by_role("dialog")).to_contain_text(subject)
    say_yes(visit, deed)
    assert state(stage, message) is expected


def test_release(visit: Visit, stage: Stage) -> None:
    message = stage.waiting("release-me@down.test", "Release")
    visit.open(f"/console/messages/{message}")
    visit.page.get_by_role("button", name="Hold: release-me@down.test").click()
    say_yes(visit, "Hold")
    visit.page.get_by_role("button", name="Release: release-me@down.test").click()
    say_yes(visit, "Release")
    assert state(stage, message) is DeliveryState.QUEUED


def test_nothing_happens_without_a_yes(visit: Visit, stage: Stage) -> None:
    message = stage.waiting("leave-me@down.test", "Leave me")
    visit.open(f"/console/messages/{message}")
    visit.page.get_by_role("button", name="Cancel: leave-me@down.test").click()
    visit.page.get_by_role("dialog").get_by_text("as it is").click()
    expect(visit.page.get_by_role("dialog")).to_be_hidden()
    assert state(stage, message) is DeliveryState.QUEUED


@pytest.mark.parametrize("by", ["cause", "age"])
def test_other_ways_to_see_it(visit: Visit, by: str) -> None:
    visit.open(f"/console/queue?by={by}").look(f"queue-by-{by}")


def test_recipients(visit: Visit) -> None:
    visit.open("/console/queue/recipients").look("queue-recipients")


def test_a_whole_destination_with_a_look_at_what_is_meant(visit: Visit) -> None:
    page = visit.open("/console/queue").page
    page.get_by_role("checkbox", name="Choose servfail.test").check()
    visit.look("queue-chosen")
    page.get_by_role("button", name="Hold: servfail.test").click()
    expect(page.get_by_role("dialog")).to_contain_text("printers@servfail.test")
    visit.settle().look("queue-preview")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
