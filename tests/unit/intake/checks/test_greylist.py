from datetime import timedelta

import pytest

from postroad.intake.checks import greylist
from postroad.intake.checks.greylist import DAY, FLUSH_SECONDS, MAX_UNWRITTEN, Greylist
from postroad.intake.verdicts import Kind
from postroad.ports.store import StoreUnavailable
from postroad.testing.clock import JumpingClock, settle

KEY = ("192.0.2.0/24", "far.test", "bob@here.test")
DELAY, WINDOW, KEEP = 300.0, 2 * DAY, 36 * DAY


class Rows:
    """Stands for the store and `tx.greylist`."""

    def __init__(self):
        self.rows = {}
        self.fault = None
        self.reads = self.writes = 0

    @property
    def greylist(self):
        return self

    async def read(self, function):
        self.reads += 1
        if self.fault:
            raise self.fault
        return function(self)

    async def write(self, function, *, lane=None):
        self.writes += 1
        if self.fault:
            raise self.fault
        function(self)

    def get(self, keys):
        return [self.rows[key] for key in keys if key in self.rows]

    def put(self, records):
        self.rows |= {record.key: record for record in records}


@pytest.fixture
def rows():
    return Rows()


@pytest.fixture
def clock():
    return JumpingClock()


def make(rows, clock, *, learn=3, size=1000):
    return Greylist(rows, clock, delay=DELAY, window=WINDOW, keep=KEEP, learn=learn, size=size)


@pytest.fixture
async def grey(rows, clock):
    grey = make(rows, clock)
    yield grey
    await grey.close()


async def ask(grey, key=KEY):
    if not grey.has(key):
        await grey.load(key)
    return grey.judge(key)


async def kind(grey, key=KEY):
    return (await ask(grey, key))[0].kind


async def test_a_stranger_comes_again(grey, clock):
    verdict, _ = await ask(grey)
    assert verdict.kind is Kind.DEFER
    assert str(verdict.status) == "450 4.7.1 greylisted: please try again in 300 seconds"
    await clock.advance(DELAY - 1)
    verdict, _ = await ask(grey)
    assert (verdict.kind, verdict.status.text) == (Kind.DEFER, "greylisted: please try again in 1 seconds")
    await clock.advance(1)
    verdict, is_first = await ask(grey)
    assert (verdict.kind, verdict.reason, is_first) == (Kind.PASS, "it came again after 5 minutes", True)
    verdict, is_first = await ask(grey)
    assert (verdict.kind, is_first) == (Kind.PASS, False)


async def test_who_comes_again_too_late_is_a_stranger(grey, clock):
    await ask(grey)
    await clock.advance(WINDOW)
    assert await kind(grey) is Kind.PASS
    other = (*KEY[:2], "alice@here.test")
    await ask(grey, other)
    await clock.advance(WINDOW + 1)
    assert await kind(grey, other) is Kind.DEFER
    await clock.advance(DELAY)
    assert await kind(grey, other) is Kind.PASS


async def test_who_came_again_is_remembered_as_long_as_mail_comes(grey, clock):
    await ask(grey)
    await clock.advance(DELAY)
    await ask(grey)
    for _ in range(3):
        await clock.advance(KEEP)
        assert await kind(grey) is Kind.PASS
    await clock.advance(KEEP + 1)
    assert await kind(grey) is Kind.DEFER


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_each_part_of_the_triplet_counts(grey, clock, part):
    await ask(grey)
    await clock.advance(DELAY)
    other = [*KEY]
    other[part] = "other"
    assert await kind(grey, tuple(other)) is Kind.DEFER


async def test_a_network_that_has_come_again_often_is_let_in(grey, clock):
    for _ in range(2):
        grey.came_again(KEY[0])
    assert await kind(grey) is Kind.DEFER
    grey.came_again(KEY[0])
    verdict, is_first = await ask(grey)
    assert (verdict.kind, verdict.reason, is_first) == (Kind.PASS, "192.0.2.0/24 has come again 3 times", False)
    assert await kind(grey, ("192.0.3.0/24", *KEY[1:])) is Kind.DEFER
    await clock.advance(KEEP)
    assert await kind(grey) is Kind.PASS
    await clock.advance(KEEP + 1)
    assert await kind(grey) is Kind.DEFER
    grey.came_again(KEY[0])
    assert await kind(grey) is Kind.DEFER, "it begins anew"


async def test_it_survives_a_restart(grey, rows, clock):
    await ask(grey)
    for _ in range(3):
        grey.came_again("10.0.0.0/24")
    await grey.close()
    await clock.advance(DELAY)
    again = make(rows, clock)
    assert await kind(again) is Kind.PASS
    assert await kind(again, ("10.0.0.0/24", "x.test", "y@here.test")) is Kind.PASS
    await again.close()
    third = make(rows, clock)
    assert (await ask(third))[0].reason == "it has come again before"


async def test_rows_end_when_they_are_of_no_use(grey, rows, clock):
    await ask(grey)
    await clock.advance(FLUSH_SECONDS)
    assert rows.rows[KEY].expires == rows.rows[KEY].first + timedelta(seconds=WINDOW)
    await clock.advance(DELAY)
    await ask(grey)
    await clock.advance(FLUSH_SECONDS)
    assert rows.rows[KEY].passes == 1
    assert rows.rows[KEY].expires == rows.rows[KEY].last + timedelta(seconds=KEEP)


async def test_the_store_is_asked_once_and_written_seldom(grey, rows, clock):
    await ask(grey)
    await clock.advance(DELAY)
    for _ in range(100):
        await ask(grey)
    await clock.advance(FLUSH_SECONDS)
    assert (rows.reads, rows.writes) == (1, 2)
    await clock.advance(DAY + 1)
    await ask(grey)
    await clock.advance(FLUSH_SECONDS)
    assert rows.writes == 3


async def test_what_is_not_written_yet_is_known_though_memory_is_small(rows, clock):
    grey = make(rows, clock, size=2)
    await ask(grey)
    for number in range(20):
        await ask(grey, ("10.0.0.0/24", "x.test", f"n{number}@here.test"))
    await clock.advance(1.0)
    assert not grey.has(KEY)
    verdict, _ = await ask(grey)
    assert verdict.reason == "it came again 299 s too soon"
    await grey.close()
    assert len(rows.rows) == 21


async def test_a_crowd_of_strangers_does_not_fill_the_memory(rows, clock, monkeypatch):
    monkeypatch.setattr(greylist, "MAX_UNWRITTEN", 50)
    assert MAX_UNWRITTEN > 50
    grey = make(rows, clock)
    for number in range(200):
        assert await kind(grey, ("10.0.0.0/24", "x.test", f"n{number}@here.test")) is Kind.DEFER
    await grey.close()
    assert len(rows.rows) == 50


async def test_a_store_that_fails_costs_a_second_delay_and_no_more(grey, rows, clock):
    await ask(grey)
    rows.fault = StoreUnavailable("the disk is full")
    await clock.advance(FLUSH_SECONDS + 1)
    assert rows.rows == {}
    await clock.advance(DELAY)
    assert await kind(grey) is Kind.PASS, "memory still knows"
    with pytest.raises(StoreUnavailable):
        await ask(grey, ("10.0.0.0/24", "x.test", "y@here.test"))
    rows.fault = None
    await clock.advance(FLUSH_SECONDS + 1)
    assert rows.rows[KEY].passes == 1


async def test_a_bug_in_writing_does_not_end_it(grey, rows, clock):
    await ask(grey)
    rows.fault = RuntimeError("a bug")
    await clock.advance(FLUSH_SECONDS + 1)
    rows.fault = None
    await ask(grey, ("10.0.0.0/24", "x.test", "y@here.test"))
    await clock.advance(FLUSH_SECONDS + 1)
    await settle()
    assert list(rows.rows) == [("10.0.0.0/24", "x.test", "y@here.test")]
