"""Date fields as times."""

from datetime import UTC, datetime

import pytest

from postroad.mail.dates import parse_date


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
