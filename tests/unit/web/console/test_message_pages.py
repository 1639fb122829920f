"""The pages of messages: the search, one message with all that is known of it, and what may be done about it."""

import html
import re
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.adapters.clock import SystemClock
from postroad.events.model import EventKind
from postroad.mail.status import status
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState
from postroad.ports.uuids import uuid_text
from postroad.testing.stores import Mail
from postroad.web.console import messages
from postroad.web.console.messages import MAX_PAGES, PAGE, Wish


@pytest.fixture
def mail():
    return Mail(SystemClock())


async def accept(alice, mail, *paths, subject="hello", tag="", **more):
    acceptance = mail.remote(*paths, subject=subject, **more)
    acceptance.message = replace(acceptance.message, tag=tag)
    await alice.services.store.accept(acceptance)
    return acceptance


async def defer(alice, mail, delivery, reply="Greylisted"):
    outcome = mail.outcome(delivery, DeliveryState.QUEUED, due=timedelta(hours=1))
    results = [replace(outcome.results[0], status=status(450, "4.2.0", reply))]
    attempt = replace(outcome.attempt, dialogue="> EHLO mail.here.test\n< 250 <b>hello</b>\n* left out 20 octets")
    await alice.services.store.outcomes(replace(outcome, results=results, attempt=attempt))
    return attempt


async def deliver(alice, mail, delivery):
    await alice.services.store.outcomes(mail.outcome(delivery))


def words(response):
    """What a reader sees, roughly."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def path(acceptance, more=""):
    return f"messages/{id_text(acceptance.message.id)}{more}"


class TestSearch:
    async def test_nothing_yet(self, alice):
        assert "No messages yet" in (await alice.get("messages")).text

    async def test_rows_say_what_became_of_each(self, alice, mail):
        done = await accept(alice, mail, "a@far.test", "b@far.test", "c@far.test", subject="<Order>", tag="receipt")
        await deliver(alice, mail, done.deliveries[0])
        await defer(alice, mail, done.deliveries[1])
        shown = words(await alice.get("messages"))
        assert "2 of 3 deferred <Order> sender@client.test → to a@far.test , b@far.test and 1 more receipt" in shown

    async def test_a_query_narrows(self, alice, mail):
        await accept(alice, mail, "a@far.test", subject="first letter")
        await accept(alice, mail, "b@far.test", subject="second letter")
        shown = words(await alice.get("messages?q=to:b@far"))
        assert "second letter" in shown
        assert "first letter" not in shown
        assert "No message fits" in words(await alice.get("messages?q=third"))

    async def test_choices_are_part_of_the_query(self, alice, mail):
        waiting = await accept(alice, mail, "a@far.test", subject="waits")
        done = await accept(alice, mail, "a@far.test", subject="done")
        await deliver(alice, mail, done.deliveries[0])
        shown = words(await alice.get("messages?state=delivered&time=1h"))
        assert id_text(waiting.message.id) not in shown
        assert "done" in shown
        assert Wish.read({"q": "x", "state": "failed", "time": "7d"}).query == "x state:failed since:7d"
        assert Wish.read({"state": "lost", "time": "never", "pages": "x", "after": "?"}) == Wish("", "", "", None, 1)

    async def test_a_query_that_cannot_be_understood_is_explained(self, alice):
        answer = await alice.get("messages?q=state:lost")
        assert answer.status_code == 200
        assert "There is no state" in words(answer)

    async def test_pages_follow_one_another(self, alice, mail):
        made = [await accept(alice, mail, subject=f"number {n}") for n in range(PAGE + 1)]
        first = await alice.get("messages")
        assert first.text.count('class="mail"') == PAGE
        following = html.unescape(re.search(r'id="more"><a [^>]*href="/console/([^"]+)"', first.text)[1])
        second = await alice.get(following)
        assert second.text.count('class="mail"') == 1
        assert id_text(made[0].message.id) in second.text
        assert (await alice.get("messages?pages=2")).text.count('class="mail"') == PAGE + 1
        assert 'id="more"' not in (await alice.get(f"messages?pages={MAX_PAGES}")).text

    async def test_the_address_keeps_step(self, alice):
        htmx = {"hx_request": "true", "hx_target": "found"}
        typed = await alice.get("messages?q=a%20b&state=&time=", hx_trigger_name="q", **htmx)
        assert typed.headers["hx-replace-url"] == "/console/messages?q=a+b"
        chosen = await alice.get("messages?q=a&state=held", **htmx)
        assert chosen.headers["hx-push-url"] == "/console/messages?q=a&state=held"
        assert "<html" not in chosen.text

    async def test_refused_mail(self, alice):
        await alice.services.store.write(lambda tx: tx.refusals.add([messages_refusal(alice)]))
        shown = words(await alice.get("messages/refused?q=carol"))
        assert "550 5.1.1 no such user here" in shown
        assert "carol@example.com" in shown
        assert "No refused mail fits" in words(await alice.get("messages/refused?q=dave"))


def messages_refusal(alice):
    return messages.Refusal(
        alice.services.clock.now(), "mx", "c1", "192.0.2.7", "client.test", "", "x@far.test", "carol@example.com",
        "rcpt", 550, "5.1.1", "no such user here", "unknown recipient",
    )  # fmt: skip


class TestMessage:
    async def test_all_that_is_known(self, alice, mail):
        made = await accept(alice, mail, "bob@far.test", "carol@far.test", subject="Hello <b>")
        await deliver(alice, mail, made.deliveries[0])
        attempt = await defer(alice, mail, made.deliveries[1], "Try <later>")
        answer = await alice.get(path(made))
        shown = words(answer)
        assert "Of 2 recipients, 1 has it and 1 waits." in shown
        assert "mx.remote.test took it" in shown
        assert "450 4.2.0 Try <later>" in shown
        assert "Next try" in shown
        assert "Hello <b>" in shown
        assert id_text(attempt.id) in answer.text
        assert uuid_text(made.message.id) in shown
        assert 'hx-trigger="every 3s"' in answer.text
        assert "<b>hello" not in answer.text

    async def test_other_names_lead_to_it(self, alice, mail):
        made = await accept(alice, mail)
        for name in (uuid_text(made.message.id), id_text(made.deliveries[0].id), id_text(made.message.id).upper()):
            answer = await alice.get(f"messages/{name}")
            assert answer.headers["location"] == f"/console/{path(made)}"
        for name in ("nobody", "0000000000000", "../x"):
            assert (await alice.get(f"messages/{name}")).status_code == 404

    async def test_it_is_renewed_only_when_something_has_happened(self, alice, mail):
        made = await accept(alice, mail)
        seen = re.search(r"seen=([^\"&]+)", (await alice.get(path(made))).text)[1]
        htmx = {"hx_request": "true", "hx_target": "message_state"}
        assert (await alice.get(path(made, f"?seen={seen}"), **htmx)).status_code == 204
        await deliver(alice, mail, made.deliveries[0])
        renewed = await alice.get(path(made, f"?seen={seen}"), **htmx)
        assert renewed.text.lstrip().startswith('<div id="message_state"')
        assert "every 3s" not in renewed.text
        assert "Delivered to its recipient." in renewed.text

    async def test_many_recipients_do_not_make_a_long_page(self, alice, mail):
        made = await accept(alice, mail, *(f"r{n}@far.test" for n in range(300)))
        await deliver(alice, mail, made.deliveries[7])
        answer = await alice.get(path(made))
        assert answer.text.count('class="person"') == 50
        assert "250 more recipients" in words(answer)
        assert "r0@far.test , r1@far.test , r2@far.test and 297 more queued" in words(answer)

    async def test_the_dialogue(self, alice, mail):
        made = await accept(alice, mail)
        attempt = await defer(alice, mail, made.deliveries[0])
        answer = await alice.get(path(made, f"/attempts/{id_text(attempt.id)}"))
        assert "we: EHLO mail.here.test" in words(answer)
        assert "they: 250 <b>hello</b>" in words(answer)
        assert "note: left out 20 octets" in words(answer)
        assert (await alice.get(path(made, f"/attempts/{id_text(made.message.id)}"))).status_code == 404

    async def test_a_message_that_reports_on_another_says_so(self, alice, mail):
        made = await accept(alice, mail)
        report = mail.remote("x@far.test", reverse_path="")
        report.message = replace(report.message, bounce_of=made.message.id)
        await alice.services.store.accept(report)
        await alice.services.store.write(
            lambda tx: tx.events.add(
                [
                    mail.event(
                        EventKind.REPORT_SENT, made.message.id, made.deliveries[0].id, report=id_text(report.message.id)
                    )
                ]
            )
        )
        assert f"Reports on {id_text(made.message.id)}" in words(await alice.get(path(report)))


class TestActions:
    async def state(self, alice, delivery):
        found = await alice.services.store.read(lambda tx: tx.deliveries.get(delivery.id))
        return found.state

    async def test_each_asks_first_and_says_what_was_done(self, alice, mail):
        made = await accept(alice, mail, "bob@far.test", owned=False)
        (delivery,) = made.deliveries
        chosen = id_text(delivery.id)
        for deed, question, state in (
            ("hold", "Hold bob@far.test?", DeliveryState.HELD),
            ("release", "Release bob@far.test?", DeliveryState.QUEUED),
            ("retry", "Try bob@far.test now?", DeliveryState.QUEUED),
            ("cancel", "Cancel bob@far.test for good?", DeliveryState.CANCELLED),
        ):
            asked = await alice.get(path(made, f"/act?do={deed}&delivery={chosen}"))
            assert question in words(asked)
            answer = await alice.post(path(made, "/act"), {"do": deed, "delivery": chosen})
            assert answer.headers["location"] == f"/console/{path(made)}"
            assert await self.state(alice, delivery) is state
        told = await alice.get(path(made))
        assert "bob@far.test: cancelled." in words(told)
        assert "Cancelled" in words(told)
        assert alice.alice.email in words(told)

    async def test_who_did_it_stands_in_the_audit_log(self, alice, mail):
        made = await accept(alice, mail, owned=False)
        await alice.post(path(made, "/act"), {"do": "hold"})
        rows = await alice.services.audit.page()
        assert alice.alice.email in str(rows[0])

    async def test_what_has_moved_on_is_left_alone(self, alice, mail):
        made = await accept(alice, mail)
        await deliver(alice, mail, made.deliveries[0])
        assert "Not possible any more" in words(await alice.get(path(made, "/act?do=hold")))
        await alice.post(path(made, "/act"), {"do": "hold"})
        assert "nothing was changed" in words(await alice.get(path(made)))
        assert await self.state(alice, made.deliveries[0]) is DeliveryState.DELIVERED

    @pytest.mark.parametrize(
        ("query", "code"), [("do=explode", 400), ("do=hold&delivery=x", 400), ("do=hold&delivery=0000000000001", 404)]
    )
    async def test_addresses_that_no_button_has(self, alice, mail, query, code):
        made = await accept(alice, mail)
        assert (await alice.get(path(made, f"/act?{query}"))).status_code == code

    async def test_a_request_without_our_token_changes_nothing(self, alice, mail):
        made = await accept(alice, mail, owned=False)
        answer = await alice.client.post(f"/console/{path(made, '/act')}", data={"do": "cancel"})
        assert answer.status_code == 403
        assert await self.state(alice, made.deliveries[0]) is DeliveryState.QUEUED
