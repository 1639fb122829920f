"""Figures: what is kept agrees with the rows, always."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from postroad.events.model import EventKind
from postroad.events.stats import AGAIN, FIGURES, KEEP_MINUTES, RollUp, StatKind, counted_before
from postroad.ports.figures import HOUR, MINUTE, Figure
from postroad.ports.ids import ServerId
from postroad.ports.store import DeliveryState
from postroad.reports import statistics
from postroad.reports.statistics import SCALES, Span, Statistics

STATES = (DeliveryState.DELIVERED, DeliveryState.QUEUED, DeliveryState.BOUNCED, DeliveryState.EXPIRED)


async def mail_flows(store, mail, clock, choose, messages: int, gap: float) -> None:
    for _ in range(messages):
        acceptance = mail.remote("a@far.test", "b@far.test")
        server = choose.choice((None, ServerId(1), ServerId(2)))
        acceptance.message = msgspec.structs.replace(
            acceptance.message, server=server, stream=choose.choice(("outbound", "broadcast")) if server else ""
        )
        await store.accept(acceptance)
        for delivery in acceptance.deliveries:
            state = choose.choice(STATES)
            due = None if state.is_final else timedelta(minutes=5)
            await store.outcomes(mail.outcome(delivery, state, due=due, attempt=False))
        await clock.advance(gap)


async def counted(store, since: datetime, server: int | None = None, stream: str | None = None) -> Counter[StatKind]:
    """The rows themselves, one by one."""

    def count(tx) -> Counter[StatKind]:
        found: Counter[StatKind] = Counter()
        for event in tx.events.since(None, 10_000):
            message = tx.messages.get(event.message)
            mine = server in (None, message.server) and stream in (None, message.stream)
            if event.kind in FIGURES and event.at >= since and mine:
                found[FIGURES[EventKind(event.kind)]] += 1
        return found

    return await store.read(count)


def totals(series) -> Counter[StatKind]:
    return +Counter(series.totals)


async def follow(roll_up: RollUp) -> None:
    while await roll_up.advance():
        pass


async def test_totals_agree_with_the_rows_however_far_they_are_counted(store, mail, clock) -> None:
    choose = random.Random(3)
    roll_up, figures = RollUp(store, clock), Statistics(store, clock)
    for gap in (1.0, 400.0, 7.0, 47.0):
        await mail_flows(store, mail, clock, choose, 7, gap)
        live = await figures.all_series()
        for span in Span:
            series = await figures.series(span)
            rows = await counted(store, series.start)
            assert totals(series) == rows, (gap, span)
            assert totals(live[span]) == rows, (gap, span)
            assert series.counts == live[span].counts
            for server, stream in ((1, None), (2, "outbound"), (None, "broadcast"), (3, None)):
                some = await figures.series(span, ServerId(server) if server else None, stream)
                assert totals(some) == await counted(store, series.start, server, stream), (gap, span, server, stream)
        await follow(roll_up)


async def test_each_step_holds_what_happened_in_it(store, mail, clock) -> None:
    for wait in (0, 61, 61):
        await clock.advance(wait)
        await store.accept(mail.remote("a@far.test"))
    await follow(RollUp(store, clock))
    series = await Statistics(store, clock).series(Span.HOUR)
    assert series.times[-1] == mail.now.replace(second=0)
    assert len(series.times) == 60
    assert series.counts[StatKind.IN][-4:] == [0, 1, 1, 1]
    month = await Statistics(store, clock).series(Span.MONTH)
    assert month.counts[StatKind.IN][-1] == 3
    assert month.step * SCALES[Span.MONTH].steps == timedelta(days=30)


async def test_asking_every_second_sees_the_next_event(store, mail, clock) -> None:
    figures = Statistics(store, clock)
    roll_up = RollUp(store, clock)
    for second in range(75):
        if second % 3 == 0:
            await store.accept(mail.remote("a@far.test"))
        if second == 70:
            await follow(roll_up)
        series = await figures.all_series()
        assert totals(series[Span.HOUR]) == await counted(store, series[Span.HOUR].start), second
        await clock.advance(1)


async def test_counting_again_changes_nothing(store, mail, clock) -> None:
    await mail_flows(store, mail, clock, random.Random(1), 10, 30)
    await clock.advance(120)
    await follow(RollUp(store, clock))
    before = await kept(store)
    assert before
    again = RollUp(store, clock)
    await follow(again)
    again.rewind(mail.now - timedelta(hours=1))
    await follow(again)
    assert await kept(store) == before


async def test_what_is_committed_late_is_counted_with_its_minute(store, mail, clock) -> None:
    roll_up = RollUp(store, clock)
    await store.accept(mail.remote("a@far.test"))
    late, later = mail.remote("b@far.test"), mail.remote("c@far.test")
    minute = mail.now
    await clock.advance(120)
    await follow(roll_up)
    assert await kept_in(store, minute) == {"in": 1, "out": 1}
    await store.accept(late)
    await clock.advance(60)
    await follow(roll_up)
    assert await kept_in(store, minute) == {"in": 1, "out": 1}
    await clock.advance(AGAIN.total_seconds())
    await follow(roll_up)
    assert await kept_in(store, minute) == {"in": 2, "out": 2}, "looked at once more"
    await clock.advance(3600)
    await store.accept(later)
    roll_up.rewind(minute)
    await follow(roll_up)
    assert await kept_in(store, minute) == {"in": 3, "out": 3}, "and after trouble"
    await clock.advance(60)
    assert totals(await Statistics(store, clock).series(Span.DAY))[StatKind.IN] == 3


async def kept(store) -> list[object]:
    since, to = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    return await store.read(lambda tx: [sorted(tx.figures.sums(width, since, to)) for width in (MINUTE, HOUR)])


async def kept_in(store, minute: datetime) -> dict[str, int]:
    begin = minute.replace(second=0, microsecond=0)
    found = await store.read(lambda tx: tx.figures.sums(MINUTE, begin, begin + timedelta(minutes=1)))
    return {one.kind: one.n for one in found}


async def test_nothing_is_written_while_nothing_happens(store, mail, clock) -> None:
    roll_up = RollUp(store, clock)
    await store.accept(mail.remote("a@far.test"))
    await clock.advance(90)
    await follow(roll_up)
    mark = await store.read(counted_before)
    await clock.advance(3600)
    assert roll_up.is_due()
    await follow(roll_up)
    assert not roll_up.is_due()
    assert await store.read(counted_before) == mark


async def test_old_mail_is_counted_in_stretches(store, mail, clock, monkeypatch) -> None:
    monkeypatch.setattr("postroad.events.stats.DENSE", 10)
    await mail_flows(store, mail, clock, random.Random(1), 10, 61)
    await mail_flows(store, mail, clock, random.Random(1), 10, 0.5)
    await clock.advance(3600)
    stretches, roll_up = 0, RollUp(store, clock)
    while await roll_up.advance():
        stretches += 1
    assert stretches > 4
    assert totals(await Statistics(store, clock).series(Span.DAY)) == await counted(store, mail.now - timedelta(days=1))


async def test_times_long_ago_are_counted_by_the_hour(store, mail, clock, monkeypatch) -> None:
    """Minutes of them are not kept; where both meet nothing is lost, and nothing counted twice."""
    monkeypatch.setattr("postroad.events.stats.ROWS", 3)
    await mail_flows(store, mail, clock, random.Random(2), 30, 4 * 3600 + 7)
    await follow(RollUp(store, clock))
    minutes, hours = await kept(store)
    series = await Statistics(store, clock).series(Span.MONTH)
    assert totals(series) == await counted(store, series.start)
    day = await Statistics(store, clock).series(Span.DAY)
    assert totals(day) == await counted(store, day.start)
    assert len({one.bucket for one in hours}) == 30
    assert 11 <= len({one.bucket for one in minutes}) <= 18


async def test_while_very_much_is_uncounted_only_the_youngest_is_shown(store, mail, clock, monkeypatch) -> None:
    monkeypatch.setattr(statistics, "MANY", 10)
    for _ in range(8):
        await store.accept(mail.remote("a@far.test"))
        await clock.advance(300)
    figures = Statistics(store, clock)
    series, live = await figures.series(Span.DAY), (await figures.all_series())[Span.DAY]
    assert not series.is_complete
    assert not live.is_complete
    assert series.totals[StatKind.IN] == live.totals[StatKind.IN] == 3
    await follow(RollUp(store, clock))
    series, live = await figures.series(Span.DAY), (await figures.all_series())[Span.DAY]
    assert series.is_complete
    assert live.is_complete
    assert series.totals[StatKind.IN] == live.totals[StatKind.IN] == 8


async def test_minutes_are_kept_for_two_days_and_hours_as_long_as_asked(store, mail, clock) -> None:
    roll_up = RollUp(store, clock)
    for _ in range(6):
        await store.accept(mail.remote("a@far.test"))
        await clock.advance(86400)
    await follow(roll_up)
    while await roll_up.trim(mail.now - timedelta(days=4, hours=12)):
        pass
    minutes, hours = await kept(store)
    oldest = {width: min(one.bucket for one in some) for width, some in ((MINUTE, minutes), (HOUR, hours))}
    assert oldest[MINUTE] >= (mail.now - KEEP_MINUTES).timestamp()
    assert len(hours) == 8, "four days, two kinds"
    assert totals(await Statistics(store, clock).series(Span.MONTH))[StatKind.IN] == 4


async def test_deleted_messages_stay_counted_until_their_hour_goes(store, mail, clock) -> None:
    acceptance = mail.remote("a@far.test")
    await store.accept(acceptance)
    await store.outcomes(mail.outcome(acceptance.deliveries[0]))
    await clock.advance(3600)
    await follow(RollUp(store, clock))
    before = mail.now
    assert await store.write(lambda tx: tx.retention.messages(before)) == 1
    await clock.advance(3600)
    await follow(RollUp(store, clock))
    assert totals(await Statistics(store, clock).series(Span.DAY))[StatKind.DELIVERED] == 1


async def test_two_nodes_that_count_the_same_are_no_trouble(store, mail, clock) -> None:
    await mail_flows(store, mail, clock, random.Random(1), 4, 40)
    await clock.advance(120)
    nodes = [RollUp(store, clock) for _ in range(4)]
    await asyncio.gather(*(follow(node) for node in nodes))
    assert totals(await Statistics(store, clock).series(Span.HOUR)) == await counted(
        store, mail.now - timedelta(hours=1)
    )


async def test_hours_are_sums_of_their_minutes(store, mail) -> None:
    begin = mail.now.replace(minute=0, second=0, microsecond=0)
    at = int(begin.timestamp())

    def put(tx) -> None:
        for number in (0, 59, 60):
            one = Figure(1, "outbound", "in", at + number * MINUTE, 5)
            start = begin + timedelta(minutes=number)
            tx.figures.put(MINUTE, start, start + timedelta(minutes=1), [one])
        tx.figures.put(MINUTE, begin, begin + timedelta(minutes=1), [Figure(1, "outbound", "in", at, 7)])

    await store.write(put)
    assert (await kept(store))[1] == [("in", at, 12), ("in", at + HOUR, 5)]


@pytest.mark.parametrize("queued", [0, 3])
async def test_troubles_are_destinations_with_mail_that_was_tried(store, mail, clock, queued) -> None:
    for _ in range(queued):
        acceptance = mail.remote("a@far.test", dest="mx:far.test")
        await store.accept(acceptance)
        await store.outcomes(
            mail.outcome(acceptance.deliveries[0], DeliveryState.QUEUED, due=timedelta(minutes=5), attempt=False)
        )
        await clock.advance(60)
    await store.accept(mail.remote("b@new.test", dest="mx:new.test", owned=False))
    found = await store.read(lambda tx: tx.figures.troubles(10))
    assert [(one.dest, one.queued, one.last_reply) for one in found] == (
        [("mx:far.test", 3, "451 4.3.0 later")] if queued else []
    )
    if queued:
        assert found[0].oldest == mail.now - timedelta(minutes=3)
        assert found[0].next_due == mail.now + timedelta(minutes=2)
