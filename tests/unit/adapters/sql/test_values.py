"""Columns and records: times, outcomes, lists, patterns."""

from datetime import UTC, datetime, timedelta

import pytest

from postroad.adapters.sql.connection import in_list, insert_statements, slices
from postroad.adapters.sql.names import Names
from postroad.adapters.sql.values import (
    clean,
    contains,
    moment,
    moment_or_none,
    origin_of,
    origin_text,
    status_of,
    status_text,
    time_of,
    time_or_none,
)
from postroad.content.classify import reasoned
from postroad.mail.envelope import Origin, TlsInfo
from postroad.mail.status import EnhancedCode, Status, status


@pytest.mark.parametrize("microseconds", [0, 1, 499_999, 999_999])
@pytest.mark.parametrize("year", [1971, 2026, 2099])
def test_times_keep_their_microseconds(year, microseconds):
    time = datetime(year, 7, 1, 3, 4, 5, microseconds, UTC)
    assert time_of(moment(time)) == time
    assert moment(time + timedelta(microseconds=1)) == moment(time) + 1


def test_no_time():
    assert moment_or_none(None) is None
    assert time_or_none(None) is None
    assert time_or_none(0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "outcome",
    [
        status(250, "2.0.0", "ok"),
        Status(421, None, "bye"),
        Status(550, EnhancedCode(5, 1, 1), 'no "such" user', "cause\n", "mx.test", "550 5.1.1 <x>: größe \0"),
        None,
    ],
)
def test_outcomes_survive(outcome):
    assert status_of(status_text(outcome)) == (reasoned(outcome) if outcome else None)


@pytest.mark.parametrize(
    "origin",
    [
        Origin("local", "c1"),
        Origin("mx", "c2", "192.0.2.1", 25, "helo\0 ü", "a@b.test", False, TlsInfo("TLSv1.3", "X", verified=True)),
    ],
)
def test_origins_survive(origin):
    assert origin_of(origin_text(origin)) == origin


def test_patterns_take_text_as_it_is():
    assert contains("50%_!") == "%50!%!_!!%"


def test_text_is_cleaned():
    assert clean("plain ü text") == "plain ü text"
    assert clean("tab\tkept") == "tab\tkept"
    assert clean("a\0b\ud800") == "a\ufffdb?"


@pytest.mark.parametrize(("number", "width"), [(0, 1), (1, 1), (2, 2), (3, 4), (5, 8), (500, 512)])
def test_lists_are_padded(number, width):
    listed, params = in_list(list(range(number)))
    assert listed.count("?") == len(params) == width
    assert set(params) == (set(range(number)) or {None})


def test_slices():
    assert list(slices(list(range(5)), 2)) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("number", [0, 1, 3, 64, 200])
def test_rows_are_inserted_in_few_statements(number):
    rows = [(n, str(n)) for n in range(number)]
    statements = list(insert_statements("t", ("a", "b"), rows, ""))
    assert [value for _, params in statements for value in params] == [value for row in rows for value in row]
    assert all(sql.count("?") == len(params) for sql, params in statements)
    assert len(statements) <= number // 64 + 7


class Table:
    """A connection that knows one table of names."""

    def __init__(self):
        self.ids = {}
        self.asked = 0

    def insert(self, table, columns, rows, tail=""):
        for (name,) in rows:
            self.ids.setdefault(name, len(self.ids) + 1)

    def rows(self, sql, params=()):
        self.asked += 1
        return [(name, self.ids[name]) for name in set(params) if name in self.ids]


def test_names_are_learned_once_and_only_for_good_when_committed():
    table, names = Table(), Names("dest")
    assert names.ids(table, ["a", "b"]) == {"a": 1, "b": 2}
    names.ids(table, ["a"])
    assert table.asked == 1
    names.rolled_back()
    table.ids.clear()
    assert names.ids(table, ["b"]) == {"b": 1}
    names.committed()
    names.rolled_back()
    assert names.ids(table, ["b"]) == {"b": 1}
    assert table.asked == 2


def test_remembered_names_are_bounded(monkeypatch):
    monkeypatch.setattr("postroad.adapters.sql.names._REMEMBERED", 10)
    table, names = Table(), Names("dest")
    for number in range(50):
        names.ids(table, [str(number)])
        names.committed()
    assert len(names._known) <= 12
