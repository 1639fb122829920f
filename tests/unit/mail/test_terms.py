"""What senders ask for, through aliases and merged recipients (RFC 3461 §5.2.7)."""

import pytest

from postroad.mail.envelope import Notify
from postroad.mail.terms import RecipientTerms, expanded, merged

S, F, D, NEVER = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY, Notify.NEVER


def terms(notify=Notify.UNSAID, orcpt=""):
    return RecipientTerms(int(notify), orcpt)


def test_wants_what_was_said_or_else_the_default():
    assert terms(S | F).wants(S)
    assert not terms(S | F).wants(D, unsaid=True)
    assert terms().wants(F, unsaid=True)
    assert not terms(NEVER).wants(F, unsaid=True)


@pytest.mark.parametrize(("said", "left"), [(S, NEVER), (S | F, F), (S | F | D, F | D), (F, F), (NEVER, NEVER)])
def test_an_alias_of_several_keeps_success_to_itself(said, left):
    assert expanded(terms(said, "rfc822;a@b")) == terms(left, "rfc822;a@b")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, None, None),
        (terms(S), None, terms(S | F)),
        (terms(NEVER), None, terms(F)),
        (None, terms(F, "rfc822;a@b"), terms(F, "rfc822;a@b")),
        (terms(NEVER), terms(NEVER), terms(NEVER)),
        (terms(NEVER), terms(D), terms(D)),
        (terms(S, "rfc822;a@b"), terms(F, "rfc822;c@d"), terms(S | F, "rfc822;a@b")),
        (terms(), terms(Notify.UNSAID, "rfc822;c@d"), terms(Notify.UNSAID, "rfc822;c@d")),
        (terms(), terms(D), terms(D | F)),
    ],
)
def test_who_of_two_is_to_be_told_is_told(one, other, both):
    assert merged(one, other) == both
