from datetime import date

import pytest

from postroad.proto.imap import search
from postroad.proto.imap.search import (
    All,
    And,
    BadCharset,
    Dated,
    Flagged,
    HasKeyword,
    InHeader,
    InSet,
    InText,
    Not,
    Or,
    Relation,
    Sized,
    parse_search,
)
from postroad.proto.imap.sequence import SequenceSet
from postroad.proto.imap.tokens import Cursor, SyntaxFault

DAY = date(1994, 2, 1)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"ALL", All()),
        (b"new", All(matches=False)),
        (b"OLD", All()),
        (b"UNSEEN", Not(Flagged(1))),
        (b"DELETED FLAGGED", And((Flagged(8), Flagged(4)))),
        (b"1:3,*", InSet(SequenceSet(((1, 3), (0, 0))), uid=False)),
        (b"UID 7", InSet(SequenceSet(((7, 7),)), uid=True)),
        (b"OR (FROM x NOT TO y) ALL", Or(And((InHeader("from", "x"), Not(InHeader("to", "y")))), All())),
        (b"HEADER X-Foo Bar", InHeader("x-foo", "bar")),
        (b'HEADER Subject ""', InHeader("subject", "")),
        (b"KEYWORD Done UNKEYWORD $x", And((HasKeyword("done"), Not(HasKeyword("$x"))))),
        (b"SINCE 1-Feb-1994", Dated(Relation.SINCE, DAY, sent=False)),
        (b'SENTBEFORE "1-Feb-1994"', Dated(Relation.BEFORE, DAY, sent=True)),
        (b"ON 1-Feb-1994 LARGER 5", And((Dated(Relation.ON, DAY, sent=False), Sized(5, larger=True)))),
        (b"SMALLER 5", Sized(5, larger=False)),
        (b"BODY {3}\r\nA b", InText("a b", header=False)),
        ('CHARSET utf-8 TEXT "Straße"'.encode(), InText("strasse", header=True)),
        ('SUBJECT "É"'.encode(), InHeader("subject", "é")),
        (b"((ALL))", All()),
    ],
)
def test_keys(text, key):
    assert parse_search(Cursor(text)) == key


@pytest.mark.parametrize(
    "text",
    [
        b"", b"BOGUS", b"NOT", b"OR ALL", b"(ALL", b"ALL ", b"()", b"FROM", b"KEYWORD \\Seen", b"LARGER x",
        b"SINCE 1994",
        b"0", b'CHARSET US-ASCII SUBJECT "\xc3\xa9"', b'SUBJECT "\xff"', b"CHARSET UTF-8",
        b"(" * 40 + b"ALL" + b")" * 40, b"NOT " * 40 + b"ALL", b" ".join([b"ALL"] * (search.MAX_KEYS + 1)),
    ],
)  # fmt: skip
def test_refused(text):
    with pytest.raises(SyntaxFault):
        parse_search(Cursor(text))


def test_depth_at_its_edge():
    assert parse_search(Cursor(b"(" * search.MAX_DEPTH + b"ALL" + b")" * search.MAX_DEPTH)) == All()


def test_unknown_charset():
    with pytest.raises(BadCharset):
        parse_search(Cursor(b"CHARSET KOI8-R ALL"))
