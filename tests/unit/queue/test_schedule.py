"""The laws of retry times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from postroad.config.schema import DeliverySettings
from postroad.queue.schedule import SPREAD, Schedule

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = DeliverySettings()
SCHEDULE = Schedule(SETTINGS.retry_waits, SETTINGS.expire_after)

tries = st.integers(1, 60)
spreads = st.floats(0, 1, exclude_max=True)
ahead = st.timedeltas(timedelta(days=-10), timedelta(days=10))


def test_the_curve():
    waits = [SCHEDULE.wait_after(number) for number in range(1, 9)]
    assert waits == [300, 900, 1800, 3600, 7200, 10800, 10800, 10800]
    assert SCHEDULE.expires(NOW) == NOW + timedelta(days=5)


@given(tries, ahead, spreads)
def test_the_next_try_is_in_the_future_and_before_the_end(count, left, spread):
    expires = NOW + left
    due = SCHEDULE.next_due(count, now=NOW, expires=expires, spread=spread)
    if due is None:
        assert count >= 2
        assert expires <= NOW
    else:
        assert due > NOW
        assert due <= expires or count < 2


@given(tries, spreads)
def test_spread_lengthens_a_wait_by_a_tenth_at_most(count, spread):
    due = SCHEDULE.next_due(count, now=NOW, expires=None, spread=spread)
    wait = SCHEDULE.wait_after(count)
    assert wait <= (due - NOW).total_seconds() <= wait * (1 + SPREAD) + 0.001


@given(tries, spreads, spreads)
def test_waits_never_shrink(count, one, other):
    early = SCHEDULE.next_due(count, now=NOW, expires=None, spread=0)
    late = SCHEDULE.next_due(count + 1, now=NOW, expires=None, spread=0)
    assert early <= late
    assert (SCHEDULE.next_due(count, now=NOW, expires=None, spread=max(one, other))) >= early


@given(ahead, spreads)
def test_a_wrong_clock_never_expires_what_was_tried_once(left, spread):
    assert SCHEDULE.next_due(1, now=NOW, expires=NOW + left, spread=spread) is not None


@given(spreads, st.integers(0, 1000))
def test_tries_go_on_to_the_end_and_then_stop(spread, seed):
    now, expires, count = NOW, SCHEDULE.expires(NOW), 1
    while (due := SCHEDULE.next_due(count, now=now, expires=expires, spread=spread)) is not None:
        now, count = due, count + 1
        assert count < 100
    assert now == expires  # the last try was at the very end
    assert count > 20
