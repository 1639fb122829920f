"""The queue's pages: groups, recipients, the preview of an action, the action itself."""

import html
import re
from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.adapters.clock import SystemClock
from postroad.mail.status import status
from postroad.ports.ids import id_text
from postroad.ports.store import DeliveryState, QueueFilter
from postroad.queue.actions import NAMES
from postroad.testing.stores import Mail
from postroad.web.console import works
from postroad.web.console.queue import DEEDS
from postroad.web.console.works import Work, Works


@pytest.fixture
def mail():
    return Mail(SystemClock())


async def queue_up(alice, mail, *paths, dest="mx:far.test", reply="", held=False, **message):
    """Waiting recipients; deferred with `reply` where there is one, and held."""
    made = []
    for path in paths:
        acceptance = mail.remote(path, dest=dest, owned=bool(reply), **message)
        await alice.services.store.accept(acceptance)
        delivery = acceptance.deliveries[0]
        if reply:
            outcome = mail.outcome(delivery, DeliveryState.QUEUED, due=timedelta(hours=1), attempt=False)
            results = [replace(outcome.results[0], status=status(450, "4.2.0", reply))]
            await alice.services.store.outcomes(replace(outcome, results=results, events=[]))
        if held:
            await alice.services.actions.hold(QueueFilter(delivery=delivery.id), "test")
        made.append(delivery)
    return made


async def states(alice, deliveries):
    store = alice.services.store
    return [(await store.read(lambda tx, d=d: tx.deliveries.get(d.id))).state.value for d in deliveries]


def words(response):
    """What a reader sees, roughly."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


class TestGroups:
    async def test_an_empty_queue_says_so(self, alice):
        answer = await alice.get("queue")
        assert answer.status_code == 200
        assert "Nothing waits" in answer.text

    async def test_by_destination(self, alice, mail):
        await queue_up(alice, mail, "a@far.test", "b@far.test", reply="Greylisted, try in 5 seconds")
        await queue_up(alice, mail, "c@xn--mnchen-3ya.example", dest="mx:xn--mnchen-3ya.example", held=True)
        shown = words(await alice.get("queue"))
        assert "far.test Greylisted 2" in shown
        assert "münchen.example Not tried yet 1 1 held" in shown
        assert "Queued 2" in shown
        assert "Held 1" in shown

    async def test_by_cause_and_by_age(self, alice, mail):
        await queue_up(alice, mail, "a@far.test", reply="try again in 5 seconds")
        await queue_up(alice, mail, "b@near.test", dest="mx:near.test", reply="come back in 9 seconds")
        assert "Greylisted near.test and 1 other destination 2" in words(await alice.get("queue?by=cause"))
        assert "Under 5 min Greylisted 2" in words(await alice.get("queue?by=age"))
        assert (await alice.get("queue?by=colour")).status_code == 404

    async def test_the_search_narrows_the_groups(self, alice, mail):
        await queue_up(alice, mail, "a@far.test")
        await queue_up(alice, mail, "b@near.test", dest="mx:near.test")
        shown = words(await alice.get("queue?q=NEAR"))
        assert "near.test" in shown
        assert "far.test" not in shown
        assert "No group fits" in words(await alice.get("queue?q=nowhere"))

    async def test_a_long_queue_is_counted_while_the_page_stands(self, alice, mail, monkeypatch):
        monkeypatch.setattr("postroad.web.console.queue.PATIENCE", 0.0)
        await queue_up(alice, mail, "a@far.test")
        assert "Counting what waits." in words(await alice.get("queue"))
        monkeypatch.setattr("postroad.web.console.queue.PATIENCE", 60.0)
        assert "far.test Not tried yet 1" in words(await alice.get("queue"))

    async def test_htmx_gets_the_groups_alone(self, alice):
        answer = await alice.get("queue", HX_Request="true", HX_Target="queue_groups")
        assert answer.text.lstrip().startswith('<div id="queue_groups"')

    async def test_buttons_that_can_do_nothing_are_not_there(self, alice, mail):
        await queue_up(alice, mail, "a@far.test")
        page = (await alice.get("queue")).text
        assert 'value="hold dest:mx:far.test"' in page
        assert 'value="release dest:mx:far.test"' not in page


class TestRecipients:
    async def test_of_a_group(self, alice, mail):
        (delivery,) = await queue_up(alice, mail, "a@far.test", reply="later", subject="Hello <b>")
        await queue_up(alice, mail, "b@near.test", dest="mx:near.test")
        answer = await alice.get("queue/recipients?dest=mx%3Afar.test")
        shown = words(answer)
        assert "a@far.test from sender@client.test · Hello <b>" in shown
        assert "450 4.2.0 later" in shown
        assert "b@near.test" not in shown
        assert f"/console/messages/{id_text(delivery.message)}" in answer.text

    async def test_narrowed_down(self, alice, mail):
        await queue_up(alice, mail, "a@far.test", reply="mailbox full")
        await queue_up(alice, mail, "b@far.test")
        await queue_up(alice, mail, "c@far.test", reply="never", held=True, reverse_path="boss@client.test")
        for query, expected in (
            ("cause=-", ["b"]),
            ("cause=mailbox_full", ["a"]),
            ("state=held", ["c"]),
            ("recipient=B%40", ["b"]),
            ("sender=boss", ["c"]),
            ("age=0", ["a", "b", "c"]),
            ("age=3", []),
            ("dest=mx%3Anowhere.test", []),
        ):
            page = (await alice.get(f"queue/recipients?{query}")).text
            assert re.findall(r">(\w)@far\.test</a>", page) == expected, query

    async def test_what_can_be_done_to_all_follows_the_narrowing(self, alice, mail):
        """The buttons come with the list: they never mean more than what is shown."""
        await queue_up(alice, mail, "a@far.test", "b@far.test")
        page = await alice.get("queue/recipients?recipient=a%40", HX_Request="true", HX_Target="queue_recipients")
        buttons = re.search(r'<form class="buttons".*?</form>', page.text, re.DOTALL)[0]
        assert 'name="recipient" value="a@"' in buttons
        assert 'value="cancel all:"' in buttons

    async def test_nonsense_is_not_found(self, alice):
        for query in ("age=x", "age=99", "state=delivered", "message=1"):
            assert (await alice.get(f"queue/recipients?{query}")).status_code == 404, query

    async def test_in_pages(self, alice, mail, monkeypatch):
        monkeypatch.setattr("postroad.queue.view.PAGE", 2)
        await queue_up(alice, mail, "a@far.test", "b@far.test", "c@far.test")
        first = (await alice.get("queue/recipients")).text
        link = html.unescape(re.search(r'href="/console/(queue/recipients\?after=\w+)"', first)[1])
        second = (await alice.get(link)).text
        assert "c@far.test" in second
        assert "a@far.test" not in second


class TestPreview:
    async def test_tells_how_many_whose_and_what_will_happen(self, alice, mail):
        await queue_up(alice, mail, "a@far.test", "b@far.test", subject="Invoice")
        await queue_up(alice, mail, "c@far.test", reply="later", held=True)
        shown = words(await alice.post("queue/preview", {"only": "hold dest:mx:far.test", "by": "dest"}))
        assert "Hold 2 recipients?" in shown
        assert "No more attempts are made until somebody releases them." in shown
        assert "2 of 2 messages" in shown
        assert "sender@client.test 2" in shown
        assert "a@far.test Invoice" in shown
        assert "1 more is held and stays as it is." in shown

    async def test_changes_nothing(self, alice, mail):
        made = await queue_up(alice, mail, "a@far.test")
        await alice.post("queue/preview", {"only": "cancel dest:mx:far.test"})
        assert await states(alice, made) == ["queued"]

    async def test_more_than_are_counted(self, alice, mail, monkeypatch):
        monkeypatch.setattr("postroad.queue.view.COUNTED", 2)
        await queue_up(alice, mail, "a@far.test", "b@far.test", "c@far.test")
        shown = words(await alice.post("queue/preview", {"only": "cancel dest:mx:far.test"}))
        assert "Cancel more than 2 recipients for good?" in shown
        assert "There are more than are counted here" in shown

    async def test_of_nothing(self, alice, mail):
        await queue_up(alice, mail, "a@far.test")
        assert "Tick the rows" in words(await alice.post("queue/preview", {"deed": "hold"}))
        shown = words(await alice.post("queue/preview", {"only": "release dest:mx:far.test"}))
        assert "nothing of it is held" in shown

    async def test_an_unknown_action_is_refused(self, alice):
        assert (await alice.post("queue/preview", {"deed": "burn"})).status_code == 400


class TestAct:
    @pytest.mark.parametrize(
        ("deed", "expected"),
        [
            ("retry", ["queued", "held", "queued"]),
            ("hold", ["held", "held", "queued"]),
            ("release", ["queued", "queued", "queued"]),
            ("cancel", ["cancelled", "cancelled", "queued"]),
        ],
    )
    async def test_on_a_group(self, alice, mail, deed, expected):
        made = await queue_up(alice, mail, "a@far.test")
        made += await queue_up(alice, mail, "b@far.test", reply="later", held=True)
        made += await queue_up(alice, mail, "c@near.test", dest="mx:near.test")
        answer = await alice.post("queue/act", {"deed": deed, "pick": "dest:mx:far.test", "by": "dest"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/queue?by=dest")
        assert await states(alice, made) == expected

    async def test_on_what_was_ticked(self, alice, mail):
        made = await queue_up(alice, mail, "a@far.test", "b@far.test", "c@far.test")
        picks = [f"delivery:{id_text(delivery.id)}" for delivery in made[:2]]
        answer = await alice.post("queue/act", {"deed": "hold", "pick": picks, "dest": "mx:far.test"})
        assert answer.headers["location"] == "/console/queue/recipients?dest=mx%3Afar.test"
        assert await states(alice, made) == ["held", "held", "queued"]
        assert "2 recipients held." in words(await alice.get("queue"))

    async def test_on_all_that_fits(self, alice, mail):
        made = await queue_up(alice, mail, "a@far.test", "b@near.test")
        await alice.post("queue/act", {"deed": "cancel", "pick": "all:", "recipient": "near"})
        assert await states(alice, made) == ["queued", "cancelled"]

    async def test_on_a_cause_and_on_an_age(self, alice, mail):
        made = await queue_up(alice, mail, "a@far.test", reply="greylisted")
        made += await queue_up(alice, mail, "b@far.test")
        await alice.post("queue/act", {"deed": "hold", "pick": "cause:greylisted"})
        assert await states(alice, made) == ["held", "queued"]
        await alice.post("queue/act", {"deed": "hold", "pick": "age:0"})
        assert await states(alice, made) == ["held", "held"]

    async def test_nothing_left_is_told(self, alice):
        await alice.post("queue/act", {"deed": "hold", "pick": "dest:mx:far.test"})
        assert "Nothing of this is there any more" in words(await alice.get("queue"))

    async def test_a_selection_of_nothing_changes_nothing(self, alice, mail):
        made = await queue_up(alice, mail, "a@far.test")
        await alice.post("queue/act", {"deed": "cancel"})
        await alice.post("queue/act", {"deed": "cancel", "pick": "nonsense"})
        assert await states(alice, made) == ["queued"]

    async def test_it_stands_in_the_audit_log(self, alice, mail):
        await queue_up(alice, mail, "a@far.test", "b@far.test")
        await alice.post("queue/act", {"deed": "hold", "pick": "dest:mx:far.test"})
        shown = words(await alice.get("audit"))
        assert "alice@example.com held 2 recipients to far.test" in shown


class TestDeeds:
    def test_are_the_actions_that_there_are(self):
        assert set(DEEDS) == set(NAMES)


class TestWorks:
    async def test_a_long_one_goes_on_and_is_shown(self, alice, mail, monkeypatch):
        monkeypatch.setattr(works, "AT_ONCE", 0.0)
        made = await queue_up(alice, mail, "a@far.test")
        answer = await alice.post("queue/act", {"deed": "hold", "pick": "dest:mx:far.test", "by": "dest"})
        assert answer.status_code == 303
        shown = words(await alice.get("queue"))
        assert "this goes on" in shown
        assert "Hold: 1 recipient" in shown
        while await states(alice, made) != ["held"]:  # each look lets it go on
            continue

    async def test_trouble_is_told(self, alice):
        async def part(tell):
            raise RuntimeError("the disk is full")

        kept = Works(alice.services.clock)
        work = await kept.begin(Work("Hold", "1 recipient", 1), [part], lambda: None)
        assert work.trouble == "the disk is full"
        assert kept.current() == [work]
        kept.forget(work)
        assert kept.current() == []
