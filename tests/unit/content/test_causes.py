"""Replies that differ only in what varies are one cause; what is stored of them is found again by its pattern."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.adapters.sql.values import status_text
from postroad.content.causes import LONGEST, cause_of, cause_parts, cause_pattern
from postroad.mail.status import EnhancedCode, Status, status


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Greylisted, try again in 287 seconds", "Greylisted, try again in … seconds"),
        ("rate limited  for\talice@example.com", "rate limited for …"),
        ("see https://example.com/?id=4f 3a-77 - gsmtp", "see … - gsmtp"),
        ("mailbox full", "mailbox full"),
        ("", ""),
    ],
)
def test_what_differs_is_taken_out(text, words):
    assert cause_of(status(450, "4.2.0", text)) == f"450 4.2.0 {words}".rstrip()


def test_before_the_first_reply_there_is_no_cause():
    assert cause_of(None) == ""


def test_a_cause_comes_apart_into_codes_and_words():
    assert cause_parts("450 4.2.0 mailbox full") == ("450", "4.2.0", "mailbox full")
    assert cause_parts("450 mailbox full") == ("450", "", "mailbox full")
    assert cause_parts("") == ("", "", "")


def test_long_replies_are_cut():
    cause = cause_of(status(450, "", "word " * 100))
    assert cause.endswith("word …")
    assert len(cause) <= LONGEST + len("450  …")
    assert len(cause_of(status(450, "", "w" * 500))) == LONGEST + len("450  …")


def like(pattern: str, text: str) -> bool:
    """LIKE with ESCAPE '!', as both engines read it."""
    parts = re.findall(r"!.|.", pattern, re.DOTALL)
    meaning = {"%": ".*", "_": "."}
    expression = "".join(
        re.escape(part[-1]) if part[0] == "!" else meaning.get(part, re.escape(part)) for part in parts
    )
    return re.fullmatch(expression, text, re.DOTALL) is not None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.sampled_from(["4.2.0", ""]))
def test_the_pattern_of_a_cause_finds_what_is_stored(text, enhanced):
    found = Status(450, EnhancedCode.parse(enhanced) if enhanced else None, text, "why", "mx", "450 " + text)
    assert like(cause_pattern(cause_of(found)), status_text(found))
