"""The Date field as a time (RFC 5322 §3.3, §4.3), read leniently: no week-day, two-digit years, named zones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from postroad.mail.parameters import strip_comments

_MONTHS = {name: number for number, name in enumerate(
    (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
)}  # fmt: skip
_ZONES = {b"EST": -300, b"EDT": -240, b"CST": -360, b"CDT": -300, b"MST": -420, b"MDT": -360, b"PST": -480,
          b"PDT": -420}  # minutes, RFC 5322 §4.3; every other name counts as -0000  # fmt: skip
_DATE = re.compile(
    rb"(?:[A-Za-z]{2,9}\.?,?[ \t]*)?(\d{1,2})[ \t-]+([A-Za-z]{3})[a-z]*\.?[ \t-]+(\d{2,4})[ \t]+"
    rb"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:\.\d+)?(?:[ \t]*(?:([+-])(\d{2}):?(\d{2})|([A-Za-z]{1,5})))?"
)


def parse_date(value: bytes) -> datetime | None:
    """The time in UTC; None when `value` is not a date."""
    return _usual_date(value[:40]) or _any_date(value[:200].strip())


@lru_cache(maxsize=64)
def _usual_date(value: bytes) -> datetime | None:
    """As RFC 5322 §3.3 has it, `Mon, 24 Nov 2025 09:05:07 +0100`, by no more than slices; None: look closer. Mail that
    comes in bursts, to many recipients, has the same date."""
    words = value.split(maxsplit=6)
    if len(words) < 6 or len(words[3]) != 4 or len(words[4]) != 8 or len(words[5]) != 5:
        return None
    number = _MONTHS.get(words[2].lower())
    if number is None or not words[1].isdigit():
        return None
    written = b"%b-%02d-%02dT%b%b" % (words[3], number, int(words[1]), words[4], words[5])
    try:
        sent = datetime.fromisoformat(written.decode())
        return sent if sent.tzinfo is UTC else sent.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _any_date(value: bytes) -> datetime | None:
    match = _DATE.match(value) or (_DATE.match(strip_comments(value).strip()) if b"(" in value else None)
    if not match:
        return None
    day, month, year, hour, minute, second, sign, off_hours, off_minutes, zone = match.groups()
    number = _MONTHS.get(month.lower())
    if not number:
        return None
    offset = int(off_hours) * 60 + int(off_minutes) if sign else _ZONES.get((zone or b"").upper(), 0)
    try:
        local = datetime(_year(year), number, int(day), int(hour), int(minute), min(int(second or 0), 59), tzinfo=UTC)
        return local - timedelta(minutes=-offset if sign == b"-" else offset)
    except (ValueError, OverflowError):
        return None


def _year(digits: bytes) -> int:
    """RFC 5322 §4.3: two digits below 50 are 20nn, others and three digits count from 1900."""
    year = int(digits)
    if len(digits) >= 4:
        return year
    return year + 2000 if len(digits) == 2 and year < 50 else year + 1900
