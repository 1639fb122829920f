from datetime import UTC, datetime

import pytest

from postroad.proto.imap.tokens import MAX_FLAGS, MAX_KEYWORD, Cursor, SyntaxFault


def test_strings():
    cursor = Cursor(b'atom "quo\\"ted" {3}\r\na"b ]x NIL "NIL"')
    assert cursor.astring() == b"atom"
    cursor.space()
    assert cursor.astring() == b'quo"ted'
    cursor.space()
    assert cursor.astring() == b'a"b'
    cursor.space()
    assert cursor.astring() == b"]x"
    cursor.space()
    assert cursor.nstring() is None
    cursor.space()
    assert cursor.nstring() == b"NIL"
    cursor.end()


@pytest.mark.parametrize(
    "data", [b"", b"(", b'"open', b'"a\r\nb"', b'"a\\b"', b"{5}\r\nabc", b"{5}abc", b"\xff", b"a{"]
)
def test_not_an_astring(data):
    with pytest.raises(SyntaxFault):
        cursor = Cursor(data)
        cursor.astring()
        cursor.end()


def test_flags():
    assert Cursor(b"(\\Seen \\DELETED word Word \\Recent)").flag_list() == (9, ("word",))
    assert Cursor(b"()").flag_list() == (0, ())
    assert Cursor(b"\\Answered $Forwarded").flags() == (2, ("$Forwarded",))


def test_flags_are_limited():
    words = b" ".join(b"w%d" % n for n in range(MAX_FLAGS + 1))
    with pytest.raises(SyntaxFault):
        Cursor(words).flags()
    assert Cursor(b"k" * MAX_KEYWORD).flags() == (0, ("k" * MAX_KEYWORD,))
    for data in (b"k" * (MAX_KEYWORD + 1), b"\\Bogus", b"(a", b"%"):
        with pytest.raises(SyntaxFault):
            Cursor(data).flag_list() if data.startswith(b"(") else Cursor(data).flags()


def test_dates():
    assert Cursor(b"1-Feb-1994").date() == datetime(1994, 2, 1, tzinfo=UTC)
    assert Cursor(b'"01-feb-1994"').date() == datetime(1994, 2, 1, tzinfo=UTC)
    assert Cursor(b'"17-Jul-1996 02:44:25 -0700"').date_time() == datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)
    assert Cursor(b'" 7-Jul-1996 02:44:60 +0000"').date_time() == datetime(1996, 7, 7, 2, 44, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "data", [b"31-Feb-1994", b"1-Foo-1994", b"1-Feb-94", b'"1-Feb-1994', b"0-Feb-1994", b"1-Jan-0000"]
)
def test_no_such_date(data):
    with pytest.raises(SyntaxFault):
        cursor = Cursor(data)
        cursor.date()
        cursor.end()


@pytest.mark.parametrize(
    "text", ["17-Jul-1996 24:00:00 +0000", "17-Jul-1996 00:00:00 +9900", "01-Jan-0001 00:00:00 +1400"]
)
def test_no_such_moment(text):
    with pytest.raises(SyntaxFault):
        Cursor(f'"{text}"'.encode()).date_time()


def test_numbers():
    assert Cursor(b"9223372036854775807").number() == 2**63 - 1
    with pytest.raises(SyntaxFault):
        Cursor(b"9223372036854775808").number()


def test_mailbox_names():
    assert Cursor(b"Entw&APw-rfe").mailbox() == "Entwürfe"
    assert Cursor("Entwürfe".encode()).mailbox() == "Entwürfe"
    assert Cursor(b"a/%*").list_mailbox() == "a/%*"
    for data in (b"a%b", b"&*-", b"\xff"):
        with pytest.raises(SyntaxFault):
            cursor = Cursor(data)
            cursor.mailbox()
            cursor.end()
