"""Recipients that were refused for the same reason have one cause; what is stored of them is found by its pattern."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.adapters.sql.values import status_of, status_text
from postroad.content.causes import cause_of, cause_pattern, cause_title
from postroad.content.reasons import Reason
from postroad.mail.status import EnhancedCode, Status, status


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Greylisted, try again in 287 seconds", "greylisted"),
        ("Please come back later, 4f-3a", "greylisted"),
        ("mailbox full", "mailbox_full"),
        ("", "recipient_filter"),
    ],
)
def test_the_cause_is_the_reason(text, cause):
    assert cause_of(status(450, "4.2.0", text)) == cause


def test_before_the_first_reply_there_is_no_cause():
    assert cause_of(None) == ""


def test_what_is_stored_with_a_reply_is_not_judged_anew():
    assert cause_of(Status(450, None, "mailbox full", reason="policy")) == "policy"


def test_a_cause_has_words():
    assert cause_title("greylisted") == "Greylisted"
    assert cause_title("something else") == "something else"


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
    stored = status_text(found)
    assert like(cause_pattern(cause_of(found)), stored)
    assert status_of(stored).reason == cause_of(found)
    assert sum(like(cause_pattern(reason.value), stored) for reason in Reason) == 1


def test_a_success_is_stored_without_a_reason():
    assert status_text(status(250, "2.0.0", "ok")) == '[250,"2.0.0","ok","","",""]'
