"""Ids: grow with time, never repeat, sort as their text does."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from postroad.adapters.ids import EPOCH, MAX_NODE, NodeIds, first_id_at, made_at
from postroad.ports.ids import id_text, parse_id


class Milliseconds:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Milliseconds(int(datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1000))


def test_an_id_says_when_and_where_it_was_made(time):
    number = NodeIds(5, time).new()
    assert made_at(number) == datetime(2026, 5, 1, tzinfo=UTC)
    assert number >> 12 & 511 == 5
    assert 0 < number < 1 << 63


def test_ids_of_one_millisecond_and_of_a_clock_that_goes_back_still_grow(time):
    ids = NodeIds(1, time)
    numbers = [ids.new() for _ in range(10_000)]  # more than the 4,096 of a millisecond
    time.now -= 60_000
    numbers += [ids.new() for _ in range(10)]
    time.now += 120_000
    numbers += [ids.new() for _ in range(10)]
    assert numbers == sorted(set(numbers))
    texts = [id_text(number) for number in numbers]
    assert texts == sorted(texts)
    assert parse_id(texts[7]) == numbers[7]


def test_two_nodes_never_make_the_same(time):
    one, other = NodeIds(0, time), NodeIds(MAX_NODE, time)
    assert not {one.new() for _ in range(5000)} & {other.new() for _ in range(5000)}


def test_threads_share_a_source():
    ids = NodeIds(1)
    made = []
    threads = [threading.Thread(target=lambda: made.extend([ids.new() for _ in range(2000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8000


def test_what_was_made_before_a_moment_is_below_its_first_id(time):
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    ids = NodeIds(MAX_NODE, time)
    assert ids.new() >= first_id_at(moment)
    time.now -= 1
    assert NodeIds(MAX_NODE, time).new() < first_id_at(moment)
    assert first_id_at(EPOCH - timedelta(days=1)) == 0


@pytest.mark.parametrize("node", [-1, MAX_NODE + 1])
def test_a_node_number_has_nine_bits(node):
    with pytest.raises(ValueError, match="node"):
        NodeIds(node)
