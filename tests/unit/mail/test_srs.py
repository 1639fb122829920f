"""Senders of mail that is passed on: rewritten, and found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.srs import DAYS, Srs, SrsError, is_srs

SRS = Srs(b"a secret", max_age=21)
TODAY = 20_000
LOCAL_PARTS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789=+-_.!#", min_size=1, max_size=40)
HOSTS = st.sampled_from(("example.com", "a.b-c.test", "xn--bcher-kva.example"))


@given(LOCAL_PARTS, HOSTS, st.integers(0, 100_000), st.integers(0, 21))
def test_a_sender_comes_back_as_it_was(local_part, domain, day, age):
    made = SRS.rewritten(local_part, domain, today=day)
    assert is_srs(made)
    if not is_srs(local_part):
        assert SRS.reversed(made, today=day + age) == f"{local_part}@{domain}"


def test_the_form_is_that_of_the_scheme():
    made = SRS.rewritten("alice", "example.com", today=TODAY)
    head, tag, day, domain, local_part = made.split("=", 4)
    assert (head, len(day), domain, local_part) == ("SRS0", 2, "example.com", "alice")
    assert len(tag) == 8


def test_it_is_the_same_on_the_same_day():
    assert SRS.rewritten("a", "b.test", today=TODAY) == SRS.rewritten("a", "b.test", today=TODAY)
    assert SRS.rewritten("a", "b.test", today=TODAY) != SRS.rewritten("a", "b.test", today=TODAY + 1)


def test_a_day_is_found_again_where_its_number_begins_anew():
    day = DAYS - 1
    made = SRS.rewritten("a", "b.test", today=day)
    assert SRS.reversed(made, today=day + 21) == "a@b.test"


@pytest.mark.parametrize(("age", "good"), [(-2, False), (-1, True), (0, True), (21, True), (22, False), (500, False)])
def test_an_old_one_is_refused(age, good):
    made = SRS.rewritten("a", "b.test", today=TODAY)
    if good:
        assert SRS.reversed(made, today=TODAY + age) == "a@b.test"
    else:
        with pytest.raises(SrsError, match="too old"):
            SRS.reversed(made, today=TODAY + age)


def test_who_writes_in_lower_case_is_forgiven():
    made = SRS.rewritten("Alice", "example.com", today=TODAY)
    assert SRS.reversed(made.lower(), today=TODAY) == "alice@example.com"
    assert SRS.reversed(made.upper(), today=TODAY) == "ALICE@EXAMPLE.COM"


def test_every_part_is_proven():
    made = SRS.rewritten("alice", "example.com", today=TODAY)
    _, tag, day, _, _ = made.split("=", 4)
    for forged in (
        f"SRS0={tag}={day}=example.com=bob",
        f"SRS0={tag}={day}=example.net=alice",
        f"SRS0={tag}=AA=example.com=alice",
        f"SRS0=AAAAAAAA={day}=example.com=alice",
        f"SRS0={tag[:4]}={day}=example.com=alice",
        f"SRS1={tag}=example.com==x={day}=example.com=alice",
    ):
        with pytest.raises(SrsError, match="not one of ours"):
            SRS.reversed(forged, today=TODAY)
    with pytest.raises(SrsError, match="not one of ours"):
        Srs(b"another").reversed(made, today=TODAY)


@pytest.mark.parametrize(
    "text", ["alice", "SRS0", "SRS0=x", "SRS0=x=AA=b", "SRS1=x=host", "SRS0=x=1!=b=c", "SRS2=a=b=c=d"]
)
def test_what_has_not_its_form_is_none(text):
    with pytest.raises(SrsError, match="no return address"):
        SRS.reversed(text, today=TODAY)


def test_what_another_forwarder_rewrote_leads_back_to_that_one():
    theirs = "SRS0=HHHH=TT=origin.test=someone"
    first = SRS.rewritten(theirs, "forward.test", today=TODAY)
    assert first.startswith("SRS1=")
    assert first.endswith("=forward.test==HHHH=TT=origin.test=someone")
    assert SRS.reversed(first, today=TODAY) == f"{theirs}@forward.test"
    other = Srs(b"further on")
    second = other.rewritten(first, "ours.test", today=TODAY)  # does not grow with each forwarder
    assert second.endswith("=forward.test==HHHH=TT=origin.test=someone")
    assert other.reversed(second, today=TODAY) == f"{theirs}@forward.test"


@given(st.text(max_size=80))
def test_anything_is_read_or_refused(text):
    try:
        SRS.reversed(text, today=TODAY)
    except SrsError:
        return
    raise AssertionError("nobody guesses a tag")


@pytest.mark.parametrize(
    ("sender", "domain", "made"),
    [
        ("alice", "example.com", "SRS0=+E4pJSlu=JN=example.com=alice"),
        ("Bob.Big+x", "sub.example.org", "SRS0=CjgQ511n=JN=sub.example.org=Bob.Big+x"),
        ("SRS0=HHHH=TT=orig.test=carol", "first.test", "SRS1=4u0MlR6R=first.test==HHHH=TT=orig.test=carol"),
    ],
)
def test_it_is_what_postsrsd_makes(sender, domain, made):
    """As postsrsd 1.10 wrote them, with hashes of 8 characters; it reads ours too."""
    shared = Srs(b"thesecret")
    assert shared.rewritten(sender, domain, today=301) == made
