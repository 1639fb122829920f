"""Codes of an authenticator app."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from pyotp import TOTP

from postroad.accounts import totp

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B: "12345678901234567890"
NOW = datetime(2026, 11, 23, 12, 0, 10, tzinfo=UTC)


def test_the_published_example() -> None:
    assert totp.counter_of(SECRET, "287082", datetime(1970, 1, 1, 0, 0, 59, tzinfo=UTC)) == 1


@pytest.mark.parametrize(("off", "fits"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_clock_may_be_one_step_off(off: int, fits: bool) -> None:
    then = NOW + timedelta(seconds=off)
    found = totp.counter_of(SECRET, TOTP(SECRET).at(then), NOW)
    assert found == (int(then.timestamp()) // totp.STEP if fits else None)


def test_blanks_do_not_matter() -> None:
    code = TOTP(SECRET).at(NOW)
    assert totp.counter_of(SECRET, f" {code[:3]} {code[3:]}\n", NOW) is not None


@pytest.mark.parametrize("nonsense", ["", "12345", "1234567", "٠" * 6, "\ud800", "x" * 5000])
def test_nonsense_fits_nothing(nonsense: str) -> None:
    assert totp.counter_of(SECRET, nonsense, NOW) is None


def test_the_picture_has_no_style_that_a_strict_policy_would_refuse() -> None:
    uri = totp.enrolment_uri(SECRET, "alice@example.com", "mail.example.com")
    assert uri.startswith("otpauth://totp/Postroad%20mail.example.com:alice%40example.com?")
    drawn = totp.picture(uri)
    names = {name for element in ElementTree.fromstring(drawn).iter() for name in element.attrib}
    assert "style" not in names
    assert b"<style" not in drawn


def test_the_secret_is_spelled_in_groups() -> None:
    assert totp.spelled("ABCDEFGHIJ") == "ABCD EFGH IJ"
