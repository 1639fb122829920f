"""A refusal on the page of a message: what it means, whose move it is, and what we know of our own side."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.adapters.clock import SystemClock
from postroad.mail.status import Status, status
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState
from postroad.testing.stores import Mail


@pytest.fixture
def mail():
    return Mail(SystemClock())


async def refused(alice, mail, verdict, state=DeliveryState.QUEUED):
    acceptance = mail.remote("bob@far.test")
    await alice.services.store.accept(acceptance)
    due = timedelta(hours=1) if state is DeliveryState.QUEUED else None
    outcome = mail.outcome(acceptance.deliveries[0], state, due=due) if due else mail.outcome(
        acceptance.deliveries[0], state
    )  # fmt: skip
    await alice.services.store.outcomes(replace(outcome, results=[replace(outcome.results[0], status=verdict)]))
    return await alice.get(f"messages/{id_text(acceptance.message.id)}")


async def test_a_full_mailbox_is_the_recipients_move(alice, mail):
    shown = (await refused(alice, mail, status(452, "4.2.2", "over quota"))).text
    assert "<b>Mailbox full.</b>" in shown
    assert "The mailbox bob@far.test has no room left." in shown
    assert "The recipient&#39;s move:" in shown or "The recipient's move:" in shown


async def test_what_is_ours_to_mend_comes_with_our_facts(alice, mail):
    verdict = Status(550, None, "x", "", "gmail-smtp-in.l.google.com", "550 5.7.25 does not have a PTR record - gsmtp")
    shown = (await refused(alice, mail, verdict, DeliveryState.BOUNCED)).text
    assert "No valid PTR record." in shown
    assert alice.services.hostname in shown
    assert "SPF:" in shown


async def test_a_guess_is_called_one(alice, mail):
    assert "words are not known" in (await refused(alice, mail, status(450, "4.2.2", "zzq"))).text


async def test_nothing_is_explained_where_nothing_failed(alice, mail):
    acceptance = mail.remote("bob@far.test")
    await alice.services.store.accept(acceptance)
    await alice.services.store.outcomes(mail.outcome(acceptance.deliveries[0]))
    assert 'class="why"' not in (await alice.get(f"messages/{id_text(acceptance.message.id)}")).text
