"""What a sender asked for, as the next hop is told of it (RFC 3461, 2852, 6710)."""

from datetime import timedelta

import pytest

from postroad.delivery.passing import against, mail_parameters, names_it, offered_to, rcpt_parameters
from postroad.mail.envelope import BodyFlag, Notify, Origin
from postroad.mail.terms import ByMode, RecipientTerms, Terms
from postroad.ports.ids import BlobId, MessageId
from postroad.ports.store import Message
from postroad.proto.smtp.extensions import parse_ehlo
from postroad.proto.smtp.parameters import MAIL_PARAMETERS, RCPT_PARAMETERS, written
from postroad.testing.clock import START

BARE = parse_ehlo(("mx.test",))
ALL = parse_ehlo(("mx.test", "DSN", "DELIVERBY 60", "MT-PRIORITY"))


def in_time(seconds, mode=ByMode.NOTIFY, *, trace=False):
    return Terms(deadline=START + timedelta(seconds=seconds), by_mode=mode, by_trace=trace)


def said(terms, capabilities=ALL):
    return written(mail_parameters(terms, START, capabilities), MAIL_PARAMETERS, capabilities.keywords)


def test_each_word_goes_where_it_is_understood():
    terms = Terms("HDRS", "a+b", priority=-4)
    assert said(terms) == " RET=HDRS ENVID=a+2Bb MT-PRIORITY=-4"
    assert said(terms, BARE) == ""
    wish = rcpt_parameters(RecipientTerms(int(Notify.SUCCESS | Notify.DELAY), "rfc822;a@b"))
    assert written(wish, RCPT_PARAMETERS, ALL.keywords) == " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b"


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (in_time(90.5), " BY=90;N"),
        (in_time(60, ByMode.RETURN, trace=True), " BY=60;RT"),
        (in_time(59), ""),  # less than the server's least
        (in_time(-5), " BY=-5;N"),  # late already, which all may know
        (in_time(0.5, ByMode.RETURN), " BY=1;R"),
    ],
)
def test_the_time_that_is_left(terms, words):
    assert said(terms) == words


@pytest.mark.parametrize(
    ("terms", "capabilities", "code"),
    [
        (in_time(100, ByMode.RETURN), ALL, None),
        (in_time(59, ByMode.RETURN), ALL, "5.3.3"),
        (in_time(100, ByMode.RETURN), BARE, "5.3.3"),
        (in_time(0, ByMode.RETURN), ALL, "5.4.7"),
        (in_time(-10), BARE, None),
        (Terms("FULL"), BARE, None),
    ],
)
def test_what_must_be_in_time_goes_to_those_who_keep_time(terms, capabilities, code):
    refusal = against(terms, START, capabilities, "mx.test")
    assert (str(refusal.enhanced) if refusal else None) == code


def test_what_is_taken_over_need_not_be_reported():
    assert offered_to(in_time(100), START, ALL) == {"DSN", "DELIVERBY"}
    assert offered_to(in_time(10), START, ALL) == {"DSN"}
    assert offered_to(None, START, BARE) == frozenset()


@pytest.mark.parametrize(
    ("who", "capabilities", "named"),
    [({}, ALL, False), ({"server": 3}, ALL, True), ({"account": 5}, ALL, True), ({"server": 3}, BARE, False)],
)
def test_only_our_own_peoples_mail_is_named(who, capabilities, named):
    message = Message(MessageId(1), START, Origin("mx", ""), "a@b.test", 9, BodyFlag.NONE, BlobId(1), **who)
    assert names_it(message, capabilities) is named
