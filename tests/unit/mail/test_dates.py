"""Date fields as times."""

from datetime import UTC, datetime

import pytest

from postroad.mail.dates import _any_date, _usual_date, parse_date


@pytest.mark.parametrize(
    "value",
    [
        b"Tue, 1 Jul 2003 10:52:37 +0200",
        b"1 Jul 2003 08:52:37 GMT",
        b"Tue, 01 Jul 03 08:52:37 -0000",
        b"tue, 1 jul 2003 08:52:37 UT",
        b"Tue, 1 Jul 2003 04:52:37 EDT",
        b"Tue,  1  Jul  2003  10:52:37  +0200  (CEST)",
        b"1 Jul (comment) 2003 10:52:37 +0200",
        b"Tuesday, 1-Jul-2003 08:52:37",
        b"Tue, 1 July 2003 08:52:37.123 +00:00",
        b"1 Jul 103 08:52:37 XYZ",
    ],
)
def test_dates(value):
    assert parse_date(value) == datetime(2003, 7, 1, 8, 52, 37, tzinfo=UTC)


def test_a_leap_second_and_no_seconds():
    assert parse_date(b"31 Dec 2016 23:59:60 +0000") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert parse_date(b"31 Dec 2016 23:59 +0000") == datetime(2016, 12, 31, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [b"", b"yesterday", b"32 Jan 2020 00:00:00 +0000", b"1 Foo 2020 00:00:00 +0000", b"1 Jan 0000 00:00:00 +0000",
     b"1 Jan 0001 00:00:00 +2359", b"31 Dec 9999 23:59:59 -2359", b"1 Jan 2020 25:00:00 +0000", b"\xff" * 300],
)  # fmt: skip
def test_what_is_no_date(value):
    assert parse_date(value) is None


# --- the short way for well-formed dates ---


@pytest.mark.parametrize(
    "value",
    [
        b"Mon, 24 Nov 2025 09:05:07 +0000",
        b"Mon, 24 Nov 2025 09:05:07 +0000 (UTC)",
        b"Tue, 1 Jan 2019 00:00:00 -0000",
        b"Tue, 01 JAN 2019 00:30:00 +0530",
        b"Tue, 31 Dec 2019 23:59:59 -0800 (PST)",
    ],
)
def test_both_ways_agree(value: bytes) -> None:
    assert _usual_date(value) == _any_date(value)
    assert _usual_date(value) is not None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"24 Nov 2025 09:05:07 +0000",
        b"Mon, 24 Nov 25 09:05:07 +0000",
        b"Mon, 24 Nov 2025 09:05 +0000",
        b"Mon, 24 Nov 2025 09:05:60 +0000",
        b"Mon, 24 Nov 2025 09:05:07 EST",
        b"Mon, 24 Foo 2025 09:05:07 +0000",
        b"Mon, +4 Nov 2025 09:05:07 +0000",
        b"Mon, 31 Nov 2025 09:05:07 +0000",
        b"Mon, 01 Jan 0001 00:00:00 +1200",
        b"Mon, 24 Nov 20\xe95 09:05:07 +0000",
    ],
)
def test_the_rest_is_left_to_the_long_way(value: bytes) -> None:
    assert _usual_date(value) is None
