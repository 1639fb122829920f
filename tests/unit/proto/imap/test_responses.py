from datetime import UTC, datetime, timedelta, timezone

from postroad.proto.imap import responses
from postroad.proto.imap.responses import ListEntry, StatusEntry, bad, no, ok


def test_results():
    assert ok("done").tagged(b"a1") == b"a1 OK done\r\n"
    assert no("no", b"NONEXISTENT").tagged(b"a1") == b"a1 NO [NONEXISTENT] no\r\n"
    assert bytes(bad("what?")) == b"* BAD what?\r\n"


def test_strings():
    assert responses.astring(b"INBOX") == b"INBOX"
    assert responses.astring(b"nil") == b'"nil"'
    assert responses.astring(b"") == b'""'
    assert responses.astring(b'a "b" \\c') == b'"a \\"b\\" \\\\c"'
    assert responses.astring(b"a\r\nb") == b"{4}\r\na\r\nb"
    assert responses.astring(b"\xff") == b"{1}\r\n\xff"


def test_flags():
    assert responses.flag_names(0) == b""
    assert responses.flag_names(1 | 8, ("$Done",)) == b"\\Seen \\Deleted $Done"
    assert responses.flag_names(0, ("a", "b")) == b"a b"
    assert bytes(responses.fetch_flags(3, 2, (), 7)) == b"* 3 FETCH (UID 7 FLAGS (\\Answered))\r\n"
    assert b"[PERMANENTFLAGS ()]" in responses.mailbox_flags(("a",), read_only=True)
    assert b" a \\*)]" in responses.mailbox_flags(("a",), read_only=False)


def test_mailboxes():
    assert bytes(ListEntry("Entwürfe", ("\\HasNoChildren", "\\Drafts"))) == (
        b'* LIST (\\HasNoChildren \\Drafts) "/" Entw&APw-rfe\r\n'
    )
    assert bytes(ListEntry("a b", (), subscribed=True)) == b'* LSUB () "/" "a b"\r\n'
    assert bytes(StatusEntry("INBOX", (("MESSAGES", 3), ("UNSEEN", 0)))) == b"* STATUS INBOX (MESSAGES 3 UNSEEN 0)\r\n"


def test_search_and_dates():
    assert bytes(responses.search([])) == b"* SEARCH\r\n"
    assert bytes(responses.search([2, 5])) == b"* SEARCH 2 5\r\n"
    moment = datetime(1996, 7, 17, 2, 44, 25, tzinfo=timezone(timedelta(hours=-7)))
    assert responses.date_time(moment) == b'"17-Jul-1996 09:44:25 +0000"'
    assert responses.date_time(datetime(2024, 1, 2, tzinfo=UTC)) == b'"02-Jan-2024 00:00:00 +0000"'
