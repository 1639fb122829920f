"""The queue's clock beside a wall clock that is set, or runs wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postroad.queue.steady import FOLLOWED, STOPPED_FOR, TOLERATED, SteadyClock
from postroad.testing.clock import JumpingClock

SECOND, YEAR = timedelta(seconds=1), timedelta(days=365)


class WrongClock(JumpingClock):
    """Its wall time can be set, and may run faster than it should."""

    def __init__(self):
        super().__init__()
        self.off, self.drift = timedelta(), 0.0

    def now(self):
        return super().now() + self.off + timedelta(seconds=self.monotonic() * self.drift)


@pytest.fixture
def wall():
    return WrongClock()


@pytest.fixture
def steady(wall):
    steady = SteadyClock(wall)
    steady.rings = []
    steady.rang = steady.rings.append
    return steady


async def test_it_shows_wall_time(wall, steady):
    await wall.advance(3600)
    assert steady.now() == wall.now()
    assert not steady.rings


@pytest.mark.parametrize("off", [YEAR, -timedelta(hours=1), TOLERATED + SECOND, -TOLERATED - SECOND])
async def test_a_jump_does_not_move_it_and_rings_once(wall, steady, off):
    before = wall.now()
    await wall.advance(60)
    wall.off = off
    assert steady.now() == before + timedelta(seconds=60)
    await wall.advance(3600)
    assert steady.now() == before + timedelta(seconds=3660)
    (ring,) = steady.rings
    assert ring.off == off


@pytest.mark.parametrize("off", [TOLERATED, -TOLERATED])
def test_a_small_step_is_followed(wall, steady, off):
    wall.off = off
    assert steady.now() == wall.now()
    assert steady.jump is None


async def test_when_the_clock_is_put_right_all_is_well(wall, steady):
    wall.off = YEAR
    steady.now()
    await wall.advance(600)
    wall.off = timedelta()
    assert steady.now() == wall.now()
    assert steady.jump is None


async def test_a_fast_drift_adds_up_to_a_jump(wall, steady):
    start, wall.drift = wall.now(), 0.1
    for _ in range(300):
        await wall.advance(60)
        steady.now()
    assert len(steady.rings) == 1
    passed = steady.now() - start
    assert timedelta(hours=5) <= passed <= timedelta(hours=5) * (1 + FOLLOWED)


async def test_a_slow_drift_is_the_clock_itself(wall, steady):
    wall.drift = FOLLOWED / 2
    for _ in range(300):
        await wall.advance(600)
        steady.now()
    assert not steady.rings
    assert steady.now() == wall.now()


def test_a_person_may_say_that_it_is_right(wall, steady):
    wall.off = YEAR
    steady.now()
    steady.trust()
    assert steady.now() == wall.now()
    assert steady.jump is None


@pytest.mark.parametrize(("gap", "believed"), [(STOPPED_FOR, True), (STOPPED_FOR + SECOND, False)])
def test_a_start_long_after_the_last_sign_of_life_is_not_believed(wall, steady, gap, believed):
    steady.begin(wall.now() - gap)
    assert (steady.now() == wall.now()) is believed
    assert (steady.jump is None) is believed


async def test_a_moment_that_is_known_is_taken_as_it_is_until_the_clock_jumps(wall, steady):
    assert steady.of(wall.now()) == wall.now()
    await wall.advance(5)
    wall.off = YEAR
    assert steady.of(wall.now()) == wall.now() - YEAR
    await wall.advance(5)
    wall.off = timedelta()
    assert steady.of(wall.now()) == wall.now()
    assert steady.jump is None
