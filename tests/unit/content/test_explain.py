"""Explanations: sentences with our facts in them, and without those that are not known."""

import pytest

from postroad.content.classify import Cause, Certainty
from postroad.content.explain import Facts, explain, explain_cause, filled, read_reply
from postroad.content.reasons import Reason
from postroad.mail.status import EnhancedCode, status


def test_parts_without_their_fact_are_left_out():
    sentence = "the server of [{domain}|the recipient] does not know[ {recipient}]."
    assert filled(sentence, Facts()) == "The server of the recipient does not know."
    known = Facts(domain="example.com", recipient="bob@example.com")
    assert filled(sentence, known) == "The server of example.com does not know bob@example.com."


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_told_whole_with_all_facts_and_with_none(reason):
    facts = Facts(**dict.fromkeys(Facts.__struct_fields__, "known"))
    for known in (facts, Facts()):
        told = explain_cause(Cause(reason, Certainty.PATTERN), known)
        for sentence in (told.happened, told.next_step, told.retry, told.whose, told.fault, told.found_by):
            assert sentence
            assert not set(sentence) & set("[]{}|"), sentence
            assert "  " not in sentence
            assert " ." not in sentence, sentence


def test_our_facts_stand_in_the_sentences():
    facts = Facts(address="192.0.2.1", ptr="no PTR record", hello="mail.example.test")
    told = explain(read_reply("550-5.7.25 The IP address sending this message does not have a PTR record"), facts)
    assert told.reason == "no_reverse_dns"
    assert "192.0.2.1 has no PTR record" in told.happened
    assert "PTR record of 192.0.2.1 to mail.example.test" in told.next_step
    assert ("its PTR record", "no PTR record") in told.facts


def test_a_guess_says_that_it_is_one():
    assert "words are not known" in explain(status(550, "5.1.1", "zzq")).found_by
    assert explain(status(550, "5.1.1", "user unknown")).found_by == "These words are known."


def test_the_wait_is_told():
    told = explain(read_reply("451 4.7.1 Greylisted, try again in 300 seconds"))
    assert told.retry == "It is tried again in 5 minutes, as the server asks."
    assert "in 5 minutes" in told.next_step


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("550-5.7.26 a\n550 5.7.26 b", 550, (5, 7, 26)),
        ("5.1.1", 550, (5, 1, 1)),
        ("4.2.2 full", 450, (4, 2, 2)),
        ("#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##", 550, (5, 1, 1)),
        ("host mx.example.com[192.0.2.9] said: 554 no (in reply to RCPT TO command)", 554, None),
        ("smtp; 550 5.2.2 <bob@example.com>... Mailbox Full", 550, (5, 2, 2)),
        ("sorry, no mailbox here by that name (#5.1.1 - chkusr)", 550, (5, 1, 1)),
        ("hello", 0, None),
    ],
)
def test_replies_are_read_as_people_paste_them(text, code, enhanced):
    found = read_reply(text)
    assert (found.reply_code, found.enhanced) == (code, EnhancedCode(*enhanced) if enhanced else None)
