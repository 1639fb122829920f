"""Requests of Postmark's clients: any octets become a sound message or an error of the table, and nothing else."""

import json
from datetime import UTC, datetime

from postroad.mail.header import Header
from postroad.testing.fuzzing import Target
from postroad.web.postmark.checks import check
from postroad.web.postmark.errors import ApiError
from postroad.web.postmark.request import read_json, read_list, read_message

DATE = datetime(2026, 11, 24, tzinfo=UTC)
UUID = "01bd704d-9480-8100-829f-a767470a7b3c"
ONCE = (b"from", b"subject", b"date", b"message-id", b"mime-version", b"x-pm-message-id")
CODES = (300, 402, 403, 411)


def request(data: bytes) -> None:
    try:
        given = read_json(data)
    except ApiError as problem:
        assert problem.code == 402  # noqa: PT017 - or it is read
        return
    for each in (read_list(given) or [given])[:20]:
        try:
            content = check(read_message(each)).content(uuid=UUID, hostname="mail.test", date=DATE)
        except ApiError as problem:
            assert problem.code in CODES  # noqa: PT017 - or it is sound
        else:
            sound(content)


def sound(content: bytes) -> None:
    """Nothing of the request can be a header of its own, or break a line."""
    assert content.isascii()
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    header = Header.of(content)
    assert all(header.count(name) == 1 for name in ONCE)
    assert header.first(b"x-pm-message-id") == UUID.encode()
    assert not header.has(b"bcc")


FULL = {
    "From": "Alice <alice@a.test>", "To": 'bob@b.test, "Bee, B" <b@b.test>', "Cc": "G: c@c.test;", "Bcc": "d@d.test",
    "ReplyTo": "=?utf-8?q?J=C3=B6rg?= <r@a.test>", "Subject": "Grüße\r\n folded", "Tag": "t", "HtmlBody": "<b>ü</b>",
    "TextBody": "--=_mixed\n.\n" + "x" * 1200, "MessageStream": "outbound", "TrackOpens": "true", "TrackLinks": "None",
    "Headers": [{"Name": "X-A", "Value": "1"}, {"Name": "Message-ID", "Value": "<1@a.test>"}],
    "Metadata": {"k": "v", "n": 1},
    "Attachments": [
        {"Name": "p.gif", "Content": "R0lG\r\nODlh", "ContentType": "image/gif", "ContentID": "cid:p"},
        {"Name": "ü.ics", "Content": "QQ==", "ContentType": 'text/calendar; method="REQUEST"'},
    ],
}  # fmt: skip
SEEDS = [
    json.dumps(FULL).encode(),
    json.dumps(FULL, ensure_ascii=False).encode(),
    json.dumps([{"from": "a@b.test", "to": "c@d.test", "textBody": "x"}, FULL]).encode(),
    b'\xef\xbb\xbf{"FROM":"a@b.test","TO":"c@d.test","HTMLBODY":"\\ud83d"}',
]
WORDS = [
    b"\\r\\nBcc: x@y.test", b"\\u0000", b"\\ud83d", b'"', b"null", b"[]", b"{}", b"=?utf-8?b?DQo=?=", b"<", b">", b",",
    b'"Headers":[{"Name":"From","Value":"x"}],', b"@", b"\\u2028", b'"Content":"===="', b"cid:", b"; name=",
]  # fmt: skip
TARGETS = {"postmark-request": Target(request, SEEDS, WORDS)}
