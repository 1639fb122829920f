"""Figures and times as people read them. Pure; the templates' filters."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

_UNITS = ("B", "kB", "MB", "GB", "TB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def number(value: int | float) -> str:
    """1234567 as 1,234,567."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def size(octets: int) -> str:
    """Octets in the unit that fits: 12.3 kB."""
    value = float(octets)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{octets} B" if unit == "B" else f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"


def duration(value: timedelta | float) -> str:
    """A length of time with at most two units: 340 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 5 d."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    for upper, unit, lower, part in ((_HOUR, _MINUTE, "min", 1), (_DAY, _HOUR, "h", _MINUTE)):
        if whole < upper:
            return _two(whole // unit, lower, whole % unit // part, "s" if part == 1 else "min")
    return _two(whole // _DAY, "d", whole % _DAY // _HOUR, "h")


def _two(major: int, unit: str, minor: int, lesser: str) -> str:
    return f"{major} {unit} {minor} {lesser}" if minor and major < 10 else f"{major} {unit}"


def ago(at: datetime, now: datetime, zone: tzinfo) -> str:
    """Near times in words, others as a date; console.js says the same, and keeps it right as time goes on."""
    seconds = (now - at).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return "just now"
    if distance >= _DAY:
        return date_and_time(at, zone, now=now)
    if distance < _MINUTE:
        text = f"{distance:.0f} s"
    elif distance < _HOUR:
        text = f"{distance // _MINUTE:.0f} min"
    else:
        text = f"{distance // _HOUR:.0f} h"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def date_and_time(at: datetime, zone: tzinfo, *, now: datetime) -> str:
    """23 Nov, 14:03, with the year where it is not this one."""
    there = at.astimezone(zone)
    year = "" if there.year == now.astimezone(zone).year else f" {there.year}"
    return f"{there.day} {there:%b}{year}, {there:%H:%M}"


def exact(at: datetime, zone: tzinfo) -> str:
    """23 Nov 2026, 14:03:22."""
    there = at.astimezone(zone)
    return f"{there.day} {there:%b %Y}, {there:%H:%M:%S}"


def clock_time(at: datetime, zone: tzinfo) -> str:
    """14:03:22."""
    return f"{at.astimezone(zone):%H:%M:%S}"


def day(at: datetime, zone: tzinfo) -> str:
    """23 Nov 2026."""
    there = at.astimezone(zone)
    return f"{there.day} {there:%b %Y}"
