import time

import pytest

from postroad.mailbox import names
from postroad.mailbox.names import BadName, listed
from postroad.ports.store import MailboxRecord


def mailbox(name, *, subscribed=True, use=""):
    return MailboxRecord(1, 1, name, 1, 1, 1, use, subscribed)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "a/b", True), ("%", "a", True), ("%", "a/b", False), ("a/%", "a/b", True), ("a/%", "a/b/c", False),
        ("a*c", "a/b/c", True), ("a%c", "abc", True), ("a%c", "a/c", False), ("%/%", "a/b", True), ("", "", True),
        ("", "a", False), ("*b", "ab", True), ("*b", "ba", False), ("a", "A", False), ("%*", "a/b", True),
    ],
)  # fmt: skip
def test_matches(pattern, name, fits):
    assert names.Pattern(pattern).matches(name) is fits


def test_no_pattern_is_slow():
    start = time.process_time()
    assert not names.Pattern("*a" * 200 + "b").matches("a" * 250)
    assert not names.Pattern("%a" * 30_000).matches("a" * 250)
    assert names.Pattern("%*" * 30_000).matches("a/b")
    fits = names.Pattern("*%a" * 100).matches
    assert all(fits("a" * 250) for _ in range(1000))
    assert time.process_time() - start < 2


@pytest.mark.parametrize("characters", [249, 250, 251, 600, 5000])
def test_patterns_about_as_long_as_names(characters):
    assert names.Pattern("a" * characters).matches("a" * 250) is (characters == 250)
    assert names.Pattern("a%" * characters).matches("a" * 250) is (characters <= 250)


def test_canonical():
    assert names.canonical("inbox") == "INBOX"
    assert names.canonical("Inbox/x") == "INBOX/x"
    assert names.canonical("inboxes") == "inboxes"
    assert names.new_name("a/b/") == "a/b"


@pytest.mark.parametrize("name", ["", "/", "/a", "a//b", "a*", "a%", "a\nb", "x" * 251, "/".join("a" * 21), "a\x7f"])
def test_bad_names(name):
    with pytest.raises(BadName):
        names.new_name(name)


def test_names_at_their_limits():
    assert names.new_name("x" * 250)
    assert names.new_name("/".join("a" * 20))


def test_list():
    found = listed(
        [mailbox("INBOX"), mailbox("b/c/d"), mailbox("a"), mailbox("Sent", use="\\Sent")], "", "*", subscribed=False
    )
    assert [(one.name, one.attributes) for one in found] == [
        ("INBOX", ("\\HasNoChildren",)),
        ("Sent", ("\\HasNoChildren", "\\Sent")),
        ("a", ("\\HasNoChildren",)),
        ("b", ("\\Noselect", "\\HasChildren")),
        ("b/c", ("\\Noselect", "\\HasChildren")),
        ("b/c/d", ("\\HasNoChildren",)),
    ]
    assert [one.name for one in listed([mailbox("b/c")], "b/", "%", subscribed=False)] == ["b/c"]
    assert [one.name for one in listed([mailbox("INBOX")], "", "inbox", subscribed=False)] == ["INBOX"]


def test_lsub():
    """RFC 3501 §6.3.9: `%` shows the level above a subscribed name, `*` does not."""
    mailboxes = [mailbox("a", subscribed=False), mailbox("a/b")]
    assert [(one.name, one.attributes[0]) for one in listed(mailboxes, "", "%", subscribed=True)] == [
        ("a", "\\Noselect")
    ]
    assert [one.name for one in listed(mailboxes, "", "*", subscribed=True)] == ["a/b"]
