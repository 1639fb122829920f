"""What a temporary reply tells of the next try."""

from __future__ import annotations

import pytest

from postroad.mail.status import EnhancedCode, Status, status
from postroad.queue.heard import LONGEST_HINT, Heard, hear, hint_of


def said(words):
    code, _, rest = words.partition(" ")
    enhanced = EnhancedCode.parse(rest.partition(" ")[0])
    return Status(int(code), enhanced, rest, "refused", "mx.test", words)


@pytest.mark.parametrize(
    ("words", "heard"),
    [
        ("450 4.2.0 Greylisted, try again in 287 seconds", Heard.GREYLISTED),
        ("451 4.7.1 Greylisting in action, please come back later", Heard.GREYLISTED),
        ("452 4.2.2 The recipient's inbox is out of storage space", Heard.FULL),
        ("452 Mailbox full", Heard.FULL),
        ("450 over quota", Heard.FULL),
        ("421 4.7.0 Too many connections from 192.0.2.1", Heard.THROTTLED),
        ("450 4.7.28 Our system has detected an unusual rate of mail", Heard.THROTTLED),
        ("451 4.3.2 Please try again later", Heard.THROTTLED),
        ("450 rate limit exceeded", Heard.THROTTLED),
        ("421 service closing", Heard.THROTTLED),
        ("451 4.3.0 try again later", Heard.OTHER),
        ("450 4.1.8 the domain of the sender cannot be resolved", Heard.OTHER),
    ],
)
def test_what_it_is_about(words, heard):
    assert hear(said(words)) is heard


def test_what_nobody_said_is_the_network():
    assert hear(status(451, "4.4.1", "it cannot be reached")) is Heard.NETWORK


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("450 4.2.0 try again in 287 seconds", 287),
        ("450 Greylisted for 5 minutes", 300),
        ("451 come back in 00:04:30", 270),
        ("451 wait 2 hours", 7200),
        ("451 try again later", 0),
        ("451 in 5 tries", 0),
        (f"451 in {LONGEST_HINT:.0f} seconds", LONGEST_HINT),
        (f"451 in {LONGEST_HINT + 1:.0f} seconds", 0),
    ],
)
def test_when_it_wants_us_back(words, seconds):
    assert hint_of(said(words)) == seconds
