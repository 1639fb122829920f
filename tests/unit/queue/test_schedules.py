"""Curves by stream and by cause, and what is learned instead of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from postroad.config.schema import DeliverySettings, RetrySettings
from postroad.delivery.providers import Providers
from postroad.mail.status import EnhancedCode, Status
from postroad.queue.advice import AT_ONCE, MARGIN, Advice
from postroad.queue.groups import Groups, Window
from postroad.queue.schedule import FULL_WAITS, GREYLIST_WAITS, Schedules, usual_schedule
from postroad.routing.routes import RouteSettings, transport
from postroad.testing.clock import START
from postroad.testing.sending import make_delivery, make_message

USUAL = usual_schedule(DeliverySettings())


class TestSchedules:
    def test_a_full_mailbox_waits_longer_than_the_network(self):
        schedule = Schedules(USUAL).of("")
        assert schedule.wait_after(1, "mailbox-full") == FULL_WAITS[0] > schedule.wait_after(1, "network")
        assert schedule.wait_after(1, "greylisted") == GREYLIST_WAITS[0] < schedule.wait_after(1)

    def test_waits_that_somebody_chose_hold_for_all(self):
        schedule = usual_schedule(DeliverySettings(retry_waits=(7.0,)))
        assert {schedule.wait_after(1, cause) for cause in ("", "mailbox-full", "greylisted")} == {7.0}

    def test_a_stream_has_its_own(self):
        schedules = Schedules(USUAL, [RetrySettings("outbound", waits=(60.0,), expire_after=7200.0)])
        assert (schedules.of("outbound").wait_after(9), schedules.of("outbound").expire_after) == (60.0, 7200.0)
        assert schedules.of("broadcast").expire_after == USUAL.expire_after
        assert schedules.of("").wait_after(1) == USUAL.wait_after(1)

    def test_a_cause_has_its_own_in_every_stream(self):
        rows = [RetrySettings(cause="mailbox-full", waits=(99.0,)), RetrySettings("outbound", warn_after=5.0)]
        schedules = Schedules(USUAL, rows)
        assert schedules.of("outbound").wait_after(1, "mailbox-full") == 99.0
        assert schedules.of("outbound").warn_after == 5.0
        assert schedules.of("other").wait_after(1, "mailbox-full") == 99.0

    def test_the_first_row_decides(self):
        rows = [RetrySettings("s", waits=(1.0,)), RetrySettings("s", waits=(2.0,), expire_after=3.0)]
        assert (Schedules(USUAL, rows).of("s").wait_after(1), Schedules(USUAL, rows).of("s").expire_after) == (1.0, 3.0)


class TestWindow:
    @pytest.mark.parametrize(
        ("steps", "learned"),
        [
            ([("refused", 60), ("passed", 180)], 180),
            ([("passed", 400), ("passed", 180)], 180),
            ([("passed", 180), ("refused", 200)], 0),
            ([("refused", 300), ("passed", 200)], 0),
        ],
    )
    def test_when_a_greylist_opens(self, steps, learned):
        window = Window()
        for step, waited in steps:
            getattr(window, step)(waited)
        assert window.open == learned


def later(words):
    code, enhanced, _ = words.split(" ", 2)
    return Status(int(code), EnhancedCode.parse(enhanced), words, "", "mx.b.test", words)


class TestAdvice:
    def advice(self, other_way=None):
        groups = Groups(Providers(()), 10)
        self.group = groups.of(transport("b.test", None, RouteSettings()), ("mx.b.test",))
        return Advice(Schedules(USUAL), groups, other_way)

    def wait(self, words, advice=None, since=0.0, tries=1):
        message = replace(make_message(), created=START)
        delivery = make_delivery(1, message, "x@b.test", tries=tries)
        advice = advice or self.advice()
        return advice.wait(message, delivery, later(words), "mx:b.test", START + timedelta(seconds=since))

    def test_the_usual_curve(self):
        assert self.wait("451 4.3.0 try again later") == USUAL.waits[0]

    def test_a_greylist_that_says_when(self):
        assert self.wait("450 4.2.0 Greylisted, try again in 287 seconds") == 287 + MARGIN

    def test_a_greylist_whose_window_is_known(self):
        advice = self.advice()
        self.group.grey.passed(320.0)
        assert self.wait("451 4.7.1 Greylisted, come back later", advice, since=20.0) == 300 + MARGIN

    def test_one_that_is_not_known_is_felt_for(self):
        assert self.wait("451 4.7.1 Greylisted, come back later", tries=2) == GREYLIST_WAITS[1]

    def test_another_way_is_taken_at_once(self):
        assert self.wait("451 4.3.0 later", self.advice(lambda *_: True)) == AT_ONCE
