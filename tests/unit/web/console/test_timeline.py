"""A message's way as a picture, and where each recipient stands in words."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from postroad.events.model import EventKind
from postroad.mail.envelope import BodyFlag, Origin
from postroad.mail.status import status
from postroad.ports.ids import AttemptId, BlobId, DeliveryId, EventId, MessageId
from postroad.ports.store import Attempt, Delivery, DeliveryState, Event, Message, Wish
from postroad.reports.story import FRONT_DOOR, SCANNED, Story
from postroad.web.console.standing import GRAVITY, headline, standing
from postroad.web.console.timeline import FIRST, LAST, STEPS, Phase, bar, life, steps, summed, tried

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MESSAGE = Message(MessageId(1), NOW, Origin("mx", "c"), "a@x.test", 10, BodyFlag.NONE, BlobId(1))
GREY = status(451, "4.7.1", "Greylisted", "they greylist")


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def delivery(number=1, state=DeliveryState.QUEUED, **more):
    return Delivery(DeliveryId(number), MessageId(1), "mx:far.test", f"r{number}@far.test", state, **more)


def event(seconds, kind, of=1, **detail):
    return Event(EventId(1), after(seconds), kind, MessageId(1), DeliveryId(of) if of else None, detail)


def attempt(start, end, number=1, **timings):
    return Attempt(
        AttemptId(number), MessageId(1), after(start), after(end), "mx.far.test", "192.0.2.1:25", "", timings
    )


def told(deliveries, events=(), attempts=()):
    return Story(MESSAGE, tuple(deliveries), tuple(events), tuple((one, {}) for one in attempts))


class TestAttempt:
    def test_phases_come_in_their_order(self):
        one = tried(attempt(1, 2, data=0.5, connect=0.1, tls=0.4, rcpt=0.0))
        assert [phase.kind for phase in one.phases] == ["connect", "tls", "data"]
        assert (one.began, one.seconds, one.is_reused) == (after(1), 1.0, False)
        assert one.words == "Attempt with mx.far.test, 1.0 s: Connect 100 ms, TLS 400 ms, DATA 500 ms."

    def test_what_no_phase_tells_is_the_rest(self):
        assert [phase.text for phase in tried(attempt(1, 2, data=0.5)).phases] == ["DATA 500 ms", "Other 500 ms"]

    def test_the_connection_may_have_begun_before_the_record(self):
        one = tried(attempt(1, 2, connect=3.0))
        assert (one.began, one.seconds) == (after(-1), 3.0)

    def test_nothing_was_reached(self):
        assert tried(attempt(1, 1)).phases == ()
        assert tried(attempt(1, 1)).words == "Attempt with mx.far.test, 0 ms."


class TestLife:
    def test_taken_tried_waited_tried(self):
        attempts = [attempt(1, 2, 1, data=1.0), attempt(62, 63, 2, data=1.0)]
        done = event(63, EventKind.DELIVERED)
        story = told([delivery(state=DeliveryState.DELIVERED)], [done], attempts)
        parts = life(story, [tried(one) for one in attempts], after(999))
        assert [(part.kind, part.seconds) for part in parts] == [
            ("taken", 1.0),
            ("try", 1.0),
            ("wait", 60.0),
            ("try", 1.0),
        ]
        assert [(part.kind, part.seconds) for part in summed(parts)] == [("taken", 1.0), ("try", 2.0), ("wait", 60.0)]

    def test_at_the_same_time_counts_once(self):
        attempts = [attempt(1, 5, 1, data=4.0), attempt(2, 3, 2, data=1.0), attempt(4, 6, 3, data=2.0)]
        story = told([delivery()], (), attempts)
        parts = life(story, [tried(one) for one in attempts], after(10))
        assert [(part.kind, part.seconds) for part in parts] == [
            ("taken", 1.0),
            ("try", 4.0),
            ("try", 1.0),
            ("wait", 4.0),
        ]

    def test_without_any_attempt(self):
        assert [part.kind for part in life(told([delivery()]), [], after(5))] == ["taken"]
        assert life(told([delivery(state=DeliveryState.CANCELLED)]), [], after(5)) == ()


class TestBar:
    def test_widths_are_shares_and_slivers_are_seen(self):
        picture = bar([Phase("wait", "w", 99.999), Phase("try", "<t>", 0.001)], words='a "b"')
        root = ElementTree.fromstring(picture)
        assert root.attrib["aria-label"] == 'a "b"'
        wide, sliver = [float(part.attrib["width"]) for part in root]
        assert sliver == pytest.approx(4, abs=0.1)
        assert wide + sliver == pytest.approx(1000, abs=0.1)
        assert "style" not in picture
        assert "&lt;t&gt; 1 ms" in picture

    def test_of_a_longer_time(self):
        (part,) = ElementTree.fromstring(bar([Phase("data", "DATA", 1.0)], words="", of=4.0))
        assert part.attrib["width"] == "250.0"

    def test_of_nothing(self):
        assert bar([], words="nothing").count("<rect") == 0


class TestSteps:
    def test_every_kind_has_its_picture(self):
        assert set(STEPS) == (set(EventKind) - {EventKind.ADMIN}) | {FRONT_DOOR, SCANNED}

    def test_the_same_of_several_recipients_is_one_step(self):
        events = [
            event(0, EventKind.RECEIVED, 0),
            *(event(0, EventKind.QUEUED, n, dest="mx:far.test") for n in (1, 2, 3)),
        ]
        found = steps(told([delivery(n) for n in (1, 2, 3)], events), [])
        assert [(step.whom, step.what) for step in found] == [
            ((), "Received"),
            (("r1@far.test", "r2@far.test", "r3@far.test"), "queued for the mail hosts of far.test"),
        ]

    def test_waits_are_told_and_attempts_fill_them(self):
        attempts = [attempt(10, 20)]
        events = [event(0, EventKind.QUEUED), event(20, EventKind.DEFERRED, next=after(1820).isoformat())]
        found = steps(told([delivery()], events, attempts), [tried(one, 3) for one in attempts])
        assert [step.wait for step in found] == [0, 10, 0]
        assert found[1].tried.recipients == 3
        assert found[1].whom == ()
        assert found[2].line.next == after(1820)

    def test_a_long_story_is_cut_in_the_middle(self):
        events = [event(n, EventKind.DEFERRED, reply=f"no {n}") for n in range(FIRST + LAST + 5)]
        found = steps(told([delivery()], events), [])
        assert len(found) == FIRST + LAST
        assert found[FIRST].skipped == 5
        assert found[-1].line.what.endswith(f"{FIRST + LAST + 4}")
        assert not steps(told([delivery()], events[:-5]), [])[FIRST].skipped


class TestStanding:
    @pytest.mark.parametrize("state", DeliveryState)
    def test_every_state_says_what_and_what_next(self, state):
        found = standing(delivery(state=state), [])
        assert found.badge
        assert found.happened
        assert "{}" not in found.next or found.at is not None or state is DeliveryState.QUEUED

    def test_waiting(self):
        assert standing(delivery(), []).next == "It is tried within moments."
        later = standing(delivery(tries=2, last_status=GREY, due=after(60)), [])
        assert (later.badge, later.reply, later.cause, later.at) == (
            "deferred",
            "451 4.7.1 Greylisted",
            "they greylist",
            after(60),
        )
        assert "after 2 tries" in later.happened
        assert "again now" in standing(delivery(tries=2, last_status=GREY, owner=1), []).next
        assert "asked to be held" in standing(delivery(tries=2, last_status=GREY, owner=1, wish=Wish.HOLD), []).next

    def test_delivered(self):
        here = standing(delivery(state=DeliveryState.DELIVERED), [event(1, EventKind.DELIVERED, mailbox="INBOX")])
        assert here.happened == "In the mailbox here, in INBOX, {}."
        back = event(2, EventKind.RETURNED, type="HardBounce", reply="550 5.1.1 gone", report="0abc", unproven="yes")
        came = standing(
            delivery(state=DeliveryState.DELIVERED), [event(1, EventKind.DELIVERED, host="mx.x.test"), back]
        )
        assert came.happened.startswith("mx.x.test took it {}, and reported afterwards that it failed. Nothing proves")
        assert (came.badge, came.reply, came.report) == ("bounced", "550 5.1.1 gone", "0abc")
        off = event(3, EventKind.SUPPRESSED, stream="outbound", reason="spam complaint")
        spam = standing(delivery(state=DeliveryState.DELIVERED), [event(2, EventKind.COMPLAINED, report="0abc"), off])
        assert spam.next == "It gets nothing more on the stream outbound."
        late = standing(delivery(state=DeliveryState.DELIVERED), [event(2, EventKind.RETURNED, type="Transient")])
        assert late.badge == "delivered"
        there = standing(
            delivery(state=DeliveryState.DELIVERED), [event(1, EventKind.DELIVERED, host="mx.far.test", reply="250 ok")]
        )
        assert (there.happened, there.reply) == ("mx.far.test took it {}.", "250 ok")

    def test_failed(self):
        failed = delivery(state=DeliveryState.BOUNCED, last_status=GREY, finished=NOW)
        assert "within moments" in standing(failed, []).next
        sent = standing(failed, [event(1, EventKind.REPORT_SENT, report="0abc", to="a@x.test")])
        assert (sent.next, sent.report) == ("Its sender, a@x.test, was told.", "0abc")
        assert (
            "Nobody was told: no sender"
            in standing(failed, [event(1, EventKind.REPORT_WITHHELD, why="no sender")]).next
        )
        assert "after 5 tries" in standing(delivery(state=DeliveryState.EXPIRED, tries=5), []).happened

    def test_by_hand(self):
        assert standing(delivery(state=DeliveryState.HELD, held_for="by carol"), []).happened == "Held: by carol."
        found = standing(delivery(state=DeliveryState.CANCELLED), [event(1, EventKind.CANCELLED, by="carol")])
        assert found.happened == "Cancelled {} by carol."

    def test_the_whole(self):
        assert set(GRAVITY) == set(DeliveryState)
        assert headline([]) == "It has no recipients."
        assert headline([delivery()]) == "Waiting for its recipient."
        assert headline([delivery(n, DeliveryState.BOUNCED) for n in (1, 2)]) == "Refused for both recipients."
        mixed = [
            delivery(1),
            delivery(2, DeliveryState.DELIVERED),
            delivery(3, DeliveryState.DELIVERED),
            delivery(4, DeliveryState.HELD),
        ]
        assert headline(mixed) == "Of 4 recipients, 2 have it, 1 waits and 1 is held."
