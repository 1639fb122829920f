"""What follows the mail at a distance."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from postroad.app import follower as following
from postroad.app.follower import Follower
from postroad.config.schema import Retention
from postroad.events.stats import StatKind, counted_before
from postroad.observe.metrics import COUNTERS
from postroad.ports.search import Coverage
from postroad.ports.store import StoreUnavailable
from postroad.reports.statistics import Span, Statistics
from postroad.testing.clock import JumpingClock
from postroad.testing.stores import Mail, open_store


class Index:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.slices = 1
        self.asked: list[datetime] = []
        self.rewound: list[datetime] = []
        self.trimmed: list[datetime] = []
        self.fails = False

    async def coverage(self) -> Coverage | None:
        return None

    async def advance(self, until: datetime) -> bool:
        if self.fails:
            raise StoreUnavailable("no space")
        self.asked.append(until)
        return len(self.asked) % self.slices != 0

    def rewind(self, to: datetime) -> None:
        self.rewound.append(to)

    async def trim(self, before: datetime) -> int:
        self.trimmed.append(before)
        return 0


class HurriedClock(JumpingClock):
    """Sleeping is what moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._elapsed += seconds


@pytest.fixture
def clock() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
async def store(tmp_path, clock) -> AsyncIterator[object]:
    async with open_store(tmp_path, clock=clock) as store:
        yield store


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def follower(store, clock, index) -> Follower:
    return Follower(store, clock, index, Retention())


async def busy_second(clock, follower, messages: int) -> None:
    await clock.advance(2)
    COUNTERS.accepted += messages
    await follower.look()


async def test_the_index_waits_for_a_quiet_moment(follower, index, clock) -> None:
    await busy_second(clock, follower, 0)
    assert len(index.asked) == 1
    for _ in range(10):
        await busy_second(clock, follower, 300)
    assert len(index.asked) == 1
    await busy_second(clock, follower, 1)
    assert len(index.asked) == 2
    assert index.asked[-1] == clock.now() - timedelta(seconds=10), "what is young is left alone"


async def test_it_does_not_wait_for_ever(follower, index, clock) -> None:
    await busy_second(clock, follower, 0)
    for _ in range(17):
        await busy_second(clock, follower, 300)
    assert len(index.asked) == 2, "a few thousand messages are too many to be read one by one"
    for _ in range(29):
        await busy_second(clock, follower, 100)
    assert len(index.asked) == 2
    await busy_second(clock, follower, 100)
    assert len(index.asked) == 3, "a minute is too long"


async def test_slices_rest_while_mail_flows(follower, index, clock) -> None:
    plain = index.advance

    async def advance(until: datetime) -> bool:
        clock._elapsed += 0.01
        return await plain(until)

    index.advance = advance
    index.slices = 3
    await busy_second(clock, follower, 0)
    assert clock.slept == [0, 0, 0]
    clock.slept.clear()
    clock._elapsed += 70
    COUNTERS.accepted += 100_000
    await follower.look()
    assert clock.slept == [pytest.approx(0.03)] * 3


async def test_figures_are_counted_minute_by_minute(follower, store, clock) -> None:
    mail = Mail(clock)
    await store.accept(mail.remote("bob@far.test"))
    await clock.advance(75)
    await follower.look()
    assert await store.read(counted_before) == clock.now().replace(second=0)
    series = await Statistics(store, clock).series(Span.HOUR)
    assert series.totals[StatKind.IN] == 1


async def test_after_trouble_it_looks_again(follower, index, store, clock, monkeypatch) -> None:
    await busy_second(clock, follower, 0)
    begin = clock.now()
    trouble = True
    monkeypatch.setattr(type(store), "stop_dialling", property(lambda _: trouble))
    for _ in range(3):
        await busy_second(clock, follower, 0)
    assert not index.rewound
    trouble = False
    await busy_second(clock, follower, 0)
    assert index.rewound == [begin + timedelta(seconds=2 - 20)]
    await busy_second(clock, follower, 0)
    assert len(index.rewound) == 1


async def test_what_is_kept_no_longer_goes(follower, index, store, clock) -> None:
    mail = Mail(clock)
    await store.accept(mail.remote("bob@far.test"))
    await clock.advance(180)
    await follower.look()
    assert index.trimmed == [clock.now() - timedelta(days=45)]
    await clock.advance(60 * 86400)
    await follower.look()
    everything = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    assert await store.read(lambda tx: [tx.figures.sums(width, *everything) for width in (60, 3600)]) == [[], []]


async def test_trouble_of_the_index_is_told_once_and_waited_for(follower, index, clock, monkeypatch) -> None:
    class Log:
        told: ClassVar[list[str]] = []

        def warning(self, text: str, **_: object) -> None:
            self.told.append(text)

    class Enough(Exception):
        pass

    async def sleep(seconds: float) -> None:
        clock._elapsed += seconds
        if clock.monotonic() >= 10:
            index.fails = False
        if clock.monotonic() >= 20:
            raise Enough

    monkeypatch.setattr(following, "_log", Log())
    monkeypatch.setattr(clock, "sleep", sleep)
    index.fails = True
    with pytest.raises(Enough):
        await follower.run()
    assert len(Log.told) == 1
    assert index.asked


async def test_what_must_not_happen_does_not_stop_the_mail(follower, index, clock, monkeypatch) -> None:
    class Enough(BaseException):
        pass

    failures: list[Exception] = []

    class Log:
        def exception(self, _: str, error: Exception) -> None:
            failures.append(error)

    async def advance(_: datetime) -> bool:
        if len(failures) == 2:
            raise Enough
        raise ZeroDivisionError

    monkeypatch.setattr(following, "_log", Log())
    index.advance = advance
    with pytest.raises(Enough):
        await follower.run()
    assert clock.monotonic() >= 2 * following.AFTER_FAILURE
