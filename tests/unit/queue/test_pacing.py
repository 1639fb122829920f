"""What one destination gets, learned from how it went."""

import pytest

from postroad.queue.pacing import SMOOTHED_OVER, SOON, Pace


def test_nothing_is_soon_while_it_is_unknown_how_long_a_message_takes():
    assert not Pace(10).soon(1, 1)


@pytest.mark.parametrize(
    ("waiting", "busy", "soon"), [(4, 1, True), (6, 1, False), (6, 2, True), (1, 0, False), (0, 1, False)]
)
def test_what_waits_is_left_to_the_busy_while_they_will_come_for_it_soon(waiting, busy, soon):
    pace = Pace(10)
    pace.carried(SOON / 5, 0.0)
    assert pace.soon(waiting, busy) is soon


def test_one_slow_message_does_not_decide_alone():
    pace = Pace(10)
    pace.carried(0.001, 0.0)
    pace.carried(0.001 + SMOOTHED_OVER * 0.001, 0.0)
    assert pace.took == pytest.approx(0.002)
