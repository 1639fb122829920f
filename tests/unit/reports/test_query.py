"""The language of message searches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from postroad.ports.ids import MessageId, id_text
from postroad.ports.search import MessageQuery, SearchField, SearchTerm
from postroad.ports.store import DeliveryState
from postroad.ports.uuids import uuid_text
from postroad.reports.query import NAMES, QueryError, parse

EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2150, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")  # 23:30 there
ANYWHERE = (SearchField.SENDER, SearchField.RECIPIENT, SearchField.SUBJECT, SearchField.TAG, SearchField.IDENT)


def read(text: str) -> MessageQuery:
    return parse(text, NOW, BERLIN)


def terms(text: str) -> list[tuple[tuple[SearchField, ...], str]]:
    return [(term.fields, term.text) for term in read(text).terms]


def test_nothing_asks_for_everything() -> None:
    for text in ("", "   ", "from:", "from: to:", '""', "!", "--"):
        assert read(text) == MessageQuery(), text
    assert not read("").wants_index


def test_words_stand_for_themselves_and_names_say_where() -> None:
    assert terms("Invoice from:Alice") == [(ANYWHERE, "invoice"), ((SearchField.SENDER,), "alice")]
    assert terms('subject:"Your Order" to:bob@') == [
        ((SearchField.SUBJECT,), "your order"),
        ((SearchField.RECIPIENT,), "bob@"),
    ]
    assert terms("address:a.test") == [((SearchField.SENDER, SearchField.RECIPIENT), "a.test")]
    assert terms("tag:welcome REPLY:full") == [((SearchField.TAG,), "welcome"), ((SearchField.REPLY,), "full")]
    assert read("invoice").wants_index


def test_quotes_keep_words_together_and_may_be_half_typed() -> None:
    assert terms('"your order" now') == [(ANYWHERE, "your order"), (ANYWHERE, "now")]
    assert terms('subject:"your ord') == [((SearchField.SUBJECT,), "your ord")]


def test_what_only_looks_like_a_name_is_a_word() -> None:
    assert terms("re:invoice http://a.test") == [(ANYWHERE, "re:invoice"), (ANYWHERE, "http://a.test")]
    assert terms('"from:alice"') == [(ANYWHERE, "from:alice")]


def test_a_name_mistyped_is_told_kindly() -> None:
    with pytest.raises(QueryError, match="did you mean `subject:`"):
        read("subjet:invoice")


def test_ids_are_known_whole_begun_and_as_uuids() -> None:
    number = MessageId(125380440235180032)
    text = id_text(number)
    whole = (number, number + 1)
    assert read(f"id:{text}").ids == whole
    assert read(f"id:{text.upper()}").ids == whole
    assert read(text).ids == whole
    assert read(f"id:{uuid_text(number)}").ids == whole
    begun = read(f"id:{text[:6]}").ids
    assert begun
    low, high = begun
    assert low <= number < high
    assert high - low == 1 << 5 * 7
    assert not read(f"id:{text} invoice").wants_index
    assert read(f"id:{text[:6]} invoice").wants_index


def test_other_ids_are_message_ids() -> None:
    ident = (SearchField.IDENT,)
    assert terms("id:<a1@b.test>") == [(ident, "<a1@b.test>")]
    assert terms("id:abc@b.test") == [(ident, "abc@b.test")]
    assert terms("communication") == [(ANYWHERE, "communication")], "13 letters are no id"


def test_states_may_be_begun_and_are_alternatives() -> None:
    assert read("state:bounced").states == (DeliveryState.BOUNCED,)
    assert read("state:boun state:held").states == (DeliveryState.BOUNCED, DeliveryState.HELD)
    assert read("state:failed").states == (DeliveryState.BOUNCED, DeliveryState.EXPIRED)
    assert read("state:deferred") == MessageQuery(deferred=True)
    assert set(read("state:de").states) == {DeliveryState.DELIVERED}
    with pytest.raises(QueryError, match="queued, held, delivered"):
        read("state:lost")


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("since:2h", NOW - timedelta(hours=2), None),
        ("until:3d", None, NOW - timedelta(days=3)),
        ("since:2w", NOW - timedelta(weeks=2), None),
        ("since:30m until:10m", NOW - timedelta(minutes=30), NOW - timedelta(minutes=10)),
        ("on:today", datetime(2026, 11, 22, 23, tzinfo=UTC), datetime(2026, 11, 23, 23, tzinfo=UTC)),
        ("on:yesterday", datetime(2026, 11, 21, 23, tzinfo=UTC), datetime(2026, 11, 22, 23, tzinfo=UTC)),
        ("on:2026-10-25", datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),
        ("since:2026-11-20", datetime(2026, 11, 19, 23, tzinfo=UTC), None),
        ("until:2026-11-20", None, datetime(2026, 11, 20, 23, tzinfo=UTC)),
        ("since:2026-11-20T09:00", datetime(2026, 11, 20, 8, tzinfo=UTC), None),
        ("since:2026-11-20T09:00Z", datetime(2026, 11, 20, 9, tzinfo=UTC), None),
        ("since:0001-01-01", EARLIEST, None),
        ("since:0001-01-01T00:00:00+23:59", EARLIEST, None),
        ("since:99999w", EARLIEST, None),
        ("on:0001-01-01", EARLIEST, EARLIEST),
        ("until:9999-12-30", None, LATEST),
        ("until:9999-12-31T23:59:59.999999-23:59", None, LATEST),
    ],
)
def test_times_are_the_readers(text: str, since: datetime | None, until: datetime | None) -> None:
    query = read(text)
    assert (query.since, query.until) == (since, until)


@pytest.mark.parametrize("text", ["since:2", "until:soon", "on:2026-13-01", "on:2h", "since:2026-1"])
def test_a_time_that_is_none_is_told_with_examples(text: str) -> None:
    with pytest.raises(QueryError, match=r"such as"):
        read(text)


def test_server_and_stream_are_taken_as_they_are() -> None:
    query = read('server:"My Shop" stream:outbound')
    assert (query.server, query.stream) == ("My Shop", "outbound")


def test_all_names_are_read() -> None:
    for name in NAMES:
        read(f"{name}:")
    assert SearchTerm((SearchField.TAG,), "x") in read("tag:x").terms
