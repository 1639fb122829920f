"""Composed messages are read by Python's parser as they were meant."""

import email
import email.policy
from datetime import UTC, datetime

import pytest

from postroad.mail.address import Address
from postroad.mail.compose import Attachment, ComposeError, compose
from postroad.mail.people import Person

DATE = datetime(2025, 7, 1, 10, 0, tzinfo=UTC)


def built(**changes):
    given = {
        "header_from": "alice@a.test",
        "to": ["bob@b.test"],
        "subject": "hello",
        "date": DATE,
        "message_id": "<1@a.test>",
        "text": "line\n",
    }
    return compose(**(given | changes))


def read(content):
    assert content.isascii()
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert not any(part.defects for part in message.walk())
    return message


def test_a_plain_message():
    assert built() == (
        b"From: alice@a.test\r\nTo: bob@b.test\r\nSubject: hello\r\nDate: Tue, 1 Jul 2025 10:00:00 +0000\r\n"
        b"Message-ID: <1@a.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\nline\r\n"
    )


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "plain",
        "Grüße aus Köln",
        "日本語" * 40,
        "word " * 60,
        "x" * 200,
        "=?utf-8?q?no?=",
        "two  spaces",
        "😀" * 30,
        "tab\there",
    ],
)
def test_subjects_come_back(subject):
    content = built(subject=subject)
    assert all(len(line) <= 78 for line in content.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    assert read(content)["subject"].split() == subject.split()


@pytest.mark.parametrize(
    ("given", "name", "address"),
    [
        ("bob@b.test", "", "bob@b.test"),
        ("Bob Bee <bob@b.test>", "Bob Bee", "bob@b.test"),
        ('"Bee, Bob" <bob@b.test>', "Bee, Bob", "bob@b.test"),
        ("Jürgen Müller <jm@bücher.example>", "Jürgen Müller", "jm@xn--bcher-kva.example"),
        ('"john doe"@b.test', "", '"john doe"@b.test'),
        ("=?utf-8?q?x?= <a@b.test>", "=?utf-8?q?x?=", "a@b.test"),
        ("ü" * 100 + " <a@b.test>", "ü" * 100, "a@b.test"),
    ],
)
def test_addresses_come_back(given, name, address):
    (found,) = read(built(to=[given]))["to"].addresses
    assert found.addr_spec == address
    # Python puts a space between the encoded words of a phrase, against RFC 2047 §6.2
    assert found.display_name.replace(" ", "") == name.replace(" ", "")


def test_many_recipients_are_folded():
    content = built(to=[f"Recipient {number} <r{number}@b.test>" for number in range(50)], cc=["x@y.test, z@y.test"])
    assert len(read(content)["to"].addresses) == 50
    assert len(read(content)["cc"].addresses) == 2


def test_people_once_read_are_spelled_as_others():
    bob = Person("Bee, Bob", Address.parse("bob@b.test"))
    assert built(to=[bob]) == built(to=['"Bee, Bob" <bob@b.test>'])
    assert built(to=["Team: bob@b.test, carol@c.test;"]) == built(to=["bob@b.test", "carol@c.test"])


def test_other_fields_stay_as_they_are_where_they_can():
    link = f"<https://a.test/{'u' * 300}>"
    content = built(fields=[("List-Unsubscribe", link), ("References", "<1@a.test> " * 30), ("X-Name", "Jörg")])
    assert b"\r\nList-Unsubscribe: " + link.encode() + b"\r\n" in content
    message = read(content)
    assert message["references"].split() == ["<1@a.test>"] * 30
    assert message["x-name"] == "Jörg"
    assert len(read(built(fields=[("X-Long", "x" * 5000)]))["x-long"].replace(" ", "")) == 5000


def test_calendar_files_keep_their_method():
    event = Attachment("i.ics", b"BEGIN:VCALENDAR", "text/calendar; method=REQUEST; charset=utf-8")
    (part,) = read(built(attachments=[event])).iter_attachments()
    assert (part.get_content_type(), part.get_param("method")) == ("text/calendar", "REQUEST")


def test_an_inline_picture_may_have_any_word_as_its_id():
    message = read(built(html='<img src="cid:logo">', attachments=[Attachment("l.png", b"PNG", "image/png", "logo")]))
    assert [part["content-id"] for part in message.walk() if part["content-id"]] == ["<logo>"]


def test_other_fields():
    message = read(
        built(reply_to=["r@b.test"], fields=[("X-Tag", "welcome"), ("List-Unsubscribe", "<https://a.test/u>")])
    )
    assert (message["reply-to"], message["x-tag"]) == ("r@b.test", "welcome")
    assert message["list-unsubscribe"] == "<https://a.test/u>"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "two\nlines",
        "ünï\r\ncode",
        "x" * 5000,
        "--=_mixed--\nno end",
        "trailing \nspace\t\n",
        "a\rb",
        "\0",
        ".\n..\n",
    ],
)
def test_texts_come_back(text):
    message = read(built(text=text, attachments=[Attachment("a.bin", b"\0\xff" * 100)]))
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    parts = list(message.iter_parts())
    assert parts[0].get_content().replace("\r\n", "\n") == (
        expected if expected.endswith("\n") or not expected else expected + "\n"
    )
    assert parts[1].get_content() == b"\0\xff" * 100


def test_text_html_and_files():
    picture = Attachment("p.png", b"PNG", "image/png", "p@a.test")
    message = read(built(html="<img src='cid:p@a.test'>", attachments=[picture, Attachment("übel.pdf", b"%PDF" * 99)]))
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "application/octet-stream",
    ]  # fmt: skip
    files = [part for part in message.walk() if part.get_filename()]
    assert [(part.get_filename(), part.get_content_disposition()) for part in files] == [
        ("p.png", "inline"),
        ("übel.pdf", "attachment"),
    ]
    assert files[0]["content-id"] == "<p@a.test>"
    assert files[1].get_content() == b"%PDF" * 99


def test_html_alone_and_long_file_names():
    assert read(built(text="", html="<p>")).get_content_type() == "text/html"
    name = 'ein "sehr" langer Name ' + "ä" * 80 + ".txt"
    (part,) = read(built(attachments=[Attachment(name, b"x")])).iter_attachments()
    assert part.get_filename() == name


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "a\r\nBcc: x@y"},
        {"header_from": "alice@a.test\nBcc: x@y"},
        {"header_from": "a@b.test, c@d.test"},
        {"header_from": ""},
        {"header_from": "Group: a@b.test, c@d.test;"},
        {"header_from": "no address"},
        {"to": ["bob"]},
        {"message_id": "1@a.test"},
        {"message_id": "<1@a.test>\r\nX: y"},
        {"fields": [("Bad Name", "x")]},
        {"fields": [("X-A", "b\r\nBcc: x@y")]},
        {"fields": [("subject", "twice")]},
        {"fields": [("Content-Type", "text/html")]},
        {"attachments": [Attachment("a\r\nb", b"")]},
        {"attachments": [Attachment("a", b"", "image")]},
        {"attachments": [Attachment("a", b"", "image/png", "no angle")], "html": "x"},
    ],
)
def test_what_cannot_be_said_is_refused(changes):
    with pytest.raises(ComposeError):
        built(**changes)
