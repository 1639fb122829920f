"""The table of replies is well formed: every pattern has an example that it fits, and a place where it is told."""

import re
from time import perf_counter

import pytest

from postroad.content.classify import OURSELVES, Certainty, classify, plain_words
from postroad.content.reasons import Reason
from postroad.content.replies import Pattern, fits, replies, speaker_of
from postroad.content.returned import Stage
from postroad.content.returned.wording import codes_in
from postroad.mail.status import Status

PATTERNS = [(name, pattern) for name, patterns in replies().own.items() for pattern in patterns]


def asked(name: str, pattern: Pattern) -> Status:
    """The example as an attempt would have got it."""
    example = pattern.row.example
    reply_code, enhanced = codes_in(example[:20])
    hosts = replies().speakers[name].hosts
    said = "" if name == OURSELVES else example  # ours are told by `text`, nobody has answered
    return Status(reply_code, enhanced, example, "", hosts[0] if hosts else "", said)


def test_every_example_has_the_reason_of_its_pattern():
    wrong = []
    for name, pattern in PATTERNS:
        usual = Stage.RCPT if pattern.row.reason is Reason.NO_SUCH_MAILBOX else Stage.UNKNOWN
        stage = Stage(min(pattern.stage)) if pattern.stage else usual
        cause = classify(asked(name, pattern), stage=stage)
        if (cause.reason, cause.certainty) != (pattern.row.reason, Certainty.PATTERN):
            wrong.append((name, pattern.row.example, cause.reason.value))
    assert not wrong


def test_there_are_many_and_no_two_are_the_same():
    keys = {(name, pattern.says, pattern.code, pattern.stage) for name, pattern in PATTERNS}
    assert len(keys) == len(PATTERNS) == replies().count >= 300
    speakers = [speaker for speaker in replies().speakers.values() if speaker.kind != "standard"]
    assert len([each for each in speakers if each.kind in ("provider", "filter", "list")]) >= 40


def test_every_pattern_is_documented_somewhere():
    for speaker in replies().speakers.values():
        assert speaker.kind in ("provider", "filter", "list", "software", "standard")
        for row in speaker.reply:
            assert (row.doc or speaker.doc).startswith(("https://", "http://")), row
            assert re.match(r"\d{3}[ -]", row.example), row


def test_patterns_are_lower_case_words_and_long_enough_to_mean_something():
    for _, pattern in PATTERNS:
        assert pattern.says
        for fragments in pattern.says:
            assert fragments
            assert sum(map(len, fragments)) >= 3, fragments


def test_who_speaks_is_known_by_host_and_by_words():
    assert speaker_of("alt1.gmail-smtp-in.l.google.com.", "") == "gmail"
    assert speaker_of("example-com.mail.protection.outlook.com", "") == "exchange-online"
    assert speaker_of("hotmail-com.olc.protection.outlook.com", "") == "outlook"
    assert speaker_of("mx.example.com", "5.7.1 no - gsmtp") == "gmail"
    assert speaker_of("notgoogle.com", "") == ""
    assert speaker_of("", "") == ""


def test_fragments_begin_where_words_begin_and_follow_each_other():
    assert fits(("user", "unknown"), "user bob is unknown")
    assert not fits(("user", "unknown"), "unknown user")
    assert not fits(("full",), "carefully")
    assert fits(("full",), "carefully full")
    assert fits(("ofr_",), "see ofr_506")


@pytest.mark.parametrize(
    "hostile",
    [
        "user " * 200_000,
        "a" * 1_000_000,
        "550-5.1.1 " * 100_000,
        "<" * 500_000 + "@" * 500_000,
        "mailbox * " * 100_000,
        "a@b." * 250_000,
        ".1" * 500_000,
        "12:" * 300_000,
        "\t \n" * 300_000,
    ],
)
def test_hostile_lines_cost_no_more_than_others(hostile):
    """What is looked at is cut, and words are only searched for: a megabyte costs what two thousand characters do."""
    status = Status(550, None, hostile, diagnostic=hostile)
    classify(status)
    began = perf_counter()
    for _ in range(5):
        classify(status)
    assert (perf_counter() - began) / 5 < 0.05  # measured: 0.002


def test_words_grow_the_work_in_proportion():
    """Twice the words, about twice the time: no search begins anew for each place where it failed."""

    def seconds(size: int) -> float:
        words = plain_words("mailbox user account quota " * size)
        best = 1.0
        for _ in range(5):
            began = perf_counter()
            for _, pattern in PATTERNS:
                pattern.fits(words, frozenset(), "")
            best = min(best, perf_counter() - began)
        return best

    assert seconds(64) < 20 * seconds(8) + 0.05
