"""A message taken apart for people: which part is shown, what else there is, and what the limits left out."""

from email.message import EmailMessage
from time import thread_time

import pytest

from postroad.content.reading import (
    MAX_FIELDS,
    MAX_LISTED,
    MAX_TEXT,
    Field,
    find_part,
    part_octets,
    part_text,
    read_message,
    read_text,
)

PNG = b"\x89PNG\r\n\x1a\n"


def letter() -> bytes:
    message = EmailMessage()
    message["From"] = "Alice <alice@example.com>"
    message["Subject"] = "Grüße"
    message.set_content("Hello in text\n")
    message.add_alternative("<p>Hello <img src=cid:logo></p>", subtype="html")
    message.get_payload()[1].add_related(PNG, "image", "png", cid="<logo>")
    message.add_attachment(b"%PDF-1", maintype="application", subtype="pdf", filename="Rechnung März.pdf")
    message.add_attachment("inside", filename="../../etc/passwd")
    return message.as_bytes()


def test_a_whole_letter() -> None:
    content = letter()
    reading = read_message(content)
    assert Field("Subject", "Grüße") in reading.fields
    assert read_text(content, reading) == ("Hello in text", True)
    assert reading.html
    assert part_text(content, reading.html) == ("<p>Hello <img src=cid:logo></p>\n", True)
    assert part_octets(content, reading.pictures["logo"]) == PNG
    assert [(part.type, part.name, part.attached) for part in reading.others] == [
        ("image/png", "part-1.2.2.png", False),
        ("application/pdf", "Rechnung März.pdf", True),
        ("text/plain", "etc_passwd", True),
    ]
    assert (reading.parts, reading.notices) == (5, ())
    for part in reading.others:
        assert find_part(content, part.path) == part
    assert find_part(content, "9") is None


def test_a_message_that_is_one_part() -> None:
    content = b"Subject: x\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n<b>\xe9</b>"
    reading = read_message(content)
    assert reading.html
    assert reading.html.path == "1"
    assert part_text(content, reading.html) == ("<b>é</b>", True)
    assert reading.texts == ()


def test_a_message_inside_is_a_file() -> None:
    content = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n<html>"
    reading = read_message(content)
    assert [(part.name, part.attached) for part in reading.others] == [("part-1.eml", True)]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b'attachment; filename="a/b\\\\c:d.txt"', "a_b_c_d.txt"),
        (b"attachment; filename*=utf-8''%e2%82%ac.txt", "€.txt"),
        (b"attachment; filename==?utf-8?q?=C3=A9.txt?=", "é.txt"),
        (b'attachment; filename="' + "evil\u202etxt.exe".encode() + b'"', "evil\ufffdtxt.exe"),
        (b'attachment; filename="' + b"x" * 300 + b'.pdf"', "x" * 110 + ".pdf"),
        (b'attachment; filename="..."', "part-1.bin"),
        (b"attachment", "part-1.bin"),
    ],
)
def test_names_of_files_are_no_paths_and_turn_nothing(field: bytes, name: str) -> None:
    content = b"Content-Type: application/x\r\nContent-Disposition: " + field + b"\r\n\r\n"
    assert read_message(content).others[0].name == name


def test_fields_are_shown_as_they_come() -> None:
    content = b"A: 1\r\n 2\r\nno field\r\nB : =?utf-8?q?=E2=80=AEx?=\r\nA: 3\r\n\r\nC: 4\r\n"
    assert read_message(content).fields == (Field("A", "1 2"), Field("B", "\ufffdx"), Field("A", "3"))


def test_texts_are_joined_and_cut() -> None:
    part = b"--x\r\nContent-Type: text/plain\r\n\r\n" + b"a" * (MAX_TEXT - 10) + b"\r\n"
    content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + part + part + b"--x--\r\n"
    text, whole = read_text(content, read_message(content))
    assert MAX_TEXT <= len(text) <= MAX_TEXT + 10
    assert not whole


def many(parts: int) -> bytes:
    return (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\nContent-Type: image/png\r\n\r\nx\r\n" * parts
        + b"--x--"
    )


def test_what_is_left_out_is_said() -> None:
    assert read_message(many(MAX_LISTED)).notices == ()
    reading = read_message(many(MAX_LISTED + 1))
    assert len(reading.others) == MAX_LISTED
    assert "201 parts; 200" in reading.notices[0]
    assert "fields" in read_message(b"A: b\r\n" * (MAX_FIELDS + 1)).notices[0]
    assert read_message(b"A: b\r\n" * MAX_FIELDS).notices == ()
    assert "beginning" in read_message(b"", whole=False).notices[0]
    assert "last one holds all" in read_message(many(11_000)).notices[-1]


@pytest.mark.parametrize(
    "content",
    [
        many(10_000),
        many(100_000),
        b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(10_000)),
        b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
        b"X: y\r\n" * 500_000,
        b"X: " + b"y\r\n " * 500_000,
        b"Content-Type: " + b"x; " * 500_000 + b"\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        + b"--x\r\nContent-Disposition: attachment; filename*0*=" * 20_000,
        b"\0\xff\r\n" * 500_000,
    ],
    ids=range(9),
)
def test_any_message_is_done_with_soon(content: bytes) -> None:
    before = thread_time()
    reading = read_message(content)
    read_text(content, reading)
    assert thread_time() - before < 3.0
