"""Counters of a sender: windows, limits, jumps. Times are given."""

from __future__ import annotations

import pytest

from postroad.accounts.allowance import DAY, HISTORY, HOUR, MAX_DISTINCT, Allowed, Jumps, Tally, Window

NOW = 1_790_000_040
NEVER = Jumps(0, 5.0, 0, 25.0)


def people(n: int, start: int = 0) -> list[str]:
    return [f"r{number}@far.test" for number in range(start, start + n)]


def test_a_window_is_never_shorter_than_it_says() -> None:
    window = Window(HOUR, 60)
    window.add(NOW, 3)
    window.add(NOW + 59, 2)
    assert window.sum(NOW + HOUR) == 5
    assert window.sum(NOW + HOUR + 120) == 0


def test_slices_are_few() -> None:
    window = Window(DAY, 900)
    for second in range(0, 3 * DAY, 60):
        window.add(NOW + second, 1)
        window.sum(NOW + second)
    assert len(window.slices()) <= 98
    assert window.sum(NOW + 3 * DAY - 60) in range(1440, 1471)


@pytest.mark.parametrize(("sent", "spare"), [(0, 100), (99, 1), (100, 0), (130, 0)])
def test_what_may_still_go_in_an_hour(sent: int, spare: int) -> None:
    tally = Tally()
    tally.sent(NOW, people(sent))
    assert tally.spare(NOW, Allowed(100, 500)) == spare
    assert tally.spare(NOW, Allowed()) is None
    assert tally.spare(NOW + HOUR + 120, Allowed(100, 500)) == 100


def test_the_day_counts_beside_the_hour() -> None:
    tally = Tally()
    for hour in range(5):
        tally.sent(NOW + hour * 2 * HOUR, people(100))
    later = NOW + 10 * HOUR
    assert tally.spare(later, Allowed(100, 500)) == 0
    assert tally.exceeded(later, Allowed(100, 500)) == "more than 500 recipients a day"
    assert tally.exceeded(later, Allowed(100, 0)) == "more than 100 recipients an hour"
    assert tally.spare(NOW + DAY + 1800, Allowed(100, 500)) == 100


def test_different_recipients_are_those_of_the_last_hour() -> None:
    tally = Tally()
    tally.sent(NOW, people(10))
    tally.sent(NOW + 1800, people(10, 5))
    assert tally.distinct(NOW + 1800) == 15
    assert tally.distinct(NOW + HOUR) == 10
    assert tally.distinct(NOW + 2 * HOUR) == 0


def test_memory_of_recipients_is_bounded() -> None:
    tally = Tally()
    tally.sent(NOW, people(MAX_DISTINCT + 500))
    assert tally.distinct(NOW) == MAX_DISTINCT


def old(per_hour: int) -> Tally:
    """A sender that had so many recipients an hour, known for long enough."""
    tally = Tally()
    for hour in range(3):
        tally.sent(NOW - HISTORY - hour, people(per_hour))
    tally.sent(NOW - HISTORY + 2 * HOUR, people(per_hour))
    tally.sent(NOW - DAY, people(1))
    return tally


@pytest.mark.parametrize(
    ("usual", "now", "jumps"),
    [
        (10, 200, False),  # the floor
        (10, 201, True),
        (100, 400, False),  # less than five times as many
        (100, 501, True),
    ],
)
def test_a_jump_in_recipients(usual: int, now: int, jumps: bool) -> None:
    tally = old(usual)
    tally.sent(NOW, people(now, 10_000))
    assert bool(tally.jump(NOW, Jumps())) is jumps
    assert not tally.jump(NOW, NEVER)
    if jumps:
        assert f"{now} different recipients within an hour" in tally.jump(NOW, Jumps())


def test_the_same_people_again_are_no_jump_and_new_senders_have_limits_instead() -> None:
    tally = old(10)
    for _ in range(50):
        tally.sent(NOW, people(10))
    assert not tally.jump(NOW, Jumps())
    new = Tally()
    new.sent(NOW, people(900))
    assert not new.jump(NOW, Jumps())


@pytest.mark.parametrize(
    ("sent", "failed", "jumps"), [(0, 19, False), (0, 20, True), (80, 20, True), (81, 20, False), (1000, 250, True)]
)
def test_a_jump_in_failures(sent: int, failed: int, jumps: bool) -> None:
    tally = Tally()
    tally.sent(NOW, people(sent))
    tally.failed(NOW, failed)
    assert bool(tally.jump(NOW, Jumps())) is jumps
    assert not tally.jump(NOW, NEVER)
    assert not tally.jump(NOW + 2 * HOUR, Jumps())


def test_what_is_forgiven_is_usual_from_then_on() -> None:
    tally = old(10)
    tally.sent(NOW, people(300))
    assert tally.jump(NOW, Jumps())
    tally.forgive(NOW)
    assert tally.spare(NOW, Allowed(100, 500)) == 100
    tally.sent(NOW, people(1200))
    assert not tally.jump(NOW, Jumps())
    assert 149 < tally.usual(NOW + 30 * DAY) < 151  # half as much after a month


def test_it_is_kept_but_for_who_was_written_to() -> None:
    tally = old(100)
    tally.sent(NOW, people(7))
    tally.failed(NOW, 2)
    tally.told = NOW
    again = Tally.decode(tally.encode())
    assert (again.hour(NOW), again.day(NOW), again.told) == (7, tally.day(NOW), NOW)
    assert again.usual(NOW) == tally.usual(NOW)
    assert again.distinct(NOW) == 0
    assert len(tally.encode()) < 200
