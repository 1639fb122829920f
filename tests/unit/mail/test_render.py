"""ENVELOPE, BODYSTRUCTURE and BODY as RFC 3501 §7.4.2 has them."""

from datetime import UTC, datetime

import pytest

from postroad.mail.render import quote, render
from postroad.testing.imap_text import parse_imap


def envelope(header, ending=b"\r\n\r\n"):
    return parse_imap(render(header.replace(b"\n", b"\r\n") + ending).envelope)


def structure(content):
    return render(content.replace(b"\n", b"\r\n")).bodystructure


def test_the_example_of_rfc_3501():
    content = (
        b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
        b"From: Terry Gray <gray@cac.washington.edu>\r\n"
        b"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
        b"To: imap@cac.washington.edu\r\n"
        b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
        b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"
    ) + b"line\r\n" * 92
    rendering = render(content)
    assert rendering.envelope == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes"'
        b' (("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu"))'
        b' (("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu"))'
        b' ((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL'
        b' "<B27397-0100000@cac.washington.edu>")'
    )
    assert rendering.body == b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 552 92)'
    assert rendering.bodystructure == rendering.body[:-1] + b" NIL NIL NIL NIL)"
    assert rendering.header_size == content.index(b"\r\n\r\n") + 4
    assert rendering.message_id == "<B27397-0100000@cac.washington.edu>"
    assert rendering.subject == "IMAP4rev1 WG mtg summary and minutes"
    assert rendering.header_from == "Terry Gray <gray@cac.washington.edu>"
    assert rendering.sent == datetime(1996, 7, 17, 9, 23, 25, tzinfo=UTC)


def test_what_is_absent_is_nil_and_what_is_empty_is_empty():
    assert envelope(b"X: y") == [None] * 10
    assert envelope(b"Date:\nSubject:\nFrom:\nTo:\nIn-Reply-To:\nMessage-ID:") == [
        b"", b"", None, None, None, None, None, None, b"", b"",
    ]  # fmt: skip


def test_sender_and_reply_to_are_the_from_where_they_say_nothing():
    values = envelope(b"From: a@b\nSender:\nReply-To: c@d")
    assert values[2] == values[3] == [[None, None, b"a", b"b"]]
    assert values[4] == [[None, None, b"c", b"d"]]


def test_groups():
    assert envelope(b"To: Friends: Ann <a@b>, c@d;, e@f")[5] == [
        [None, None, b"Friends", None],
        [b"Ann", None, b"a", b"b"],
        [None, None, b"c", b"d"],
        [None, None, None, None],
        [None, None, b"e", b"f"],
    ]


def test_unfolding():
    assert envelope(b"Subject: one\n two\n\tthree")[1] == b"one two\tthree"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", b'""'),
        (b"plain", b'"plain"'),
        (b'a "b" \\c', b'"a \\"b\\" \\\\c"'),
        (b"a\r\nb\0c", b'"abc"'),
        (b'\r"', b'"\\""'),
        (b"tab\t\x01\x7f", b'"tab\t\x01\x7f"'),
        (b"\xe9", b"{1}\r\n\xe9"),
        (b"\xe9\0\n", b"{1}\r\n\xe9"),
    ],
)
def test_strings(value, text):
    assert quote(value) == text
    parse_imap(text)


def test_raw_utf_8_becomes_encoded_words():
    values = envelope('Subject: Grüße\nFrom: "Jürgen, Dr." <a@b>\nTo: müller@bücher.example'.encode())
    assert values[1] == b"=?utf-8?b?R3LDvMOfZQ==?="
    assert values[2] == [[b"=?utf-8?b?SsO8cmdlbiwgRHIu?=", None, b"a", b"b"]]
    assert values[5] == [[None, None, b"=?utf-8?b?bcO8bGxlcg==?=", b"xn--bcher-kva.example"]]


def test_other_8_bit_text_is_a_literal():
    rendering = render(b"Subject: caf\xe9\r\nFrom: \xff <a@b>\r\nTo: \xff@\xff\r\n\r\n")
    assert b" {4}\r\ncaf\xe9 " in rendering.envelope
    assert parse_imap(rendering.envelope)[2] == [[b"\xff", None, b"a", b"b"]]
    assert rendering.subject == "café"


def test_a_long_raw_subject_is_cut_between_characters():
    words = envelope(b"Subject: " + "ü€😀".encode() * 40)[1].split(b" ")
    assert all(len(word) <= 75 for word in words)
    assert len(words) > 3


def test_every_field_of_a_part():
    text = structure(
        b"Content-Type: multipart/mixed; boundary=b\nContent-Language: en, de\nContent-Location: http://x/\n\n"
        b'--b\nContent-Type: image/PNG; name="a b.png"\nContent-Transfer-Encoding: base64\nContent-ID: <i@x>\n'
        b'Content-Description: a picture\nContent-MD5: Q2hlY2s=\nContent-Disposition: attachment; filename="a b.png"\n'
        b"Content-Language: en\n\nAAAA\n--b--\n"
    )
    assert text == (
        b'(("IMAGE" "PNG" ("NAME" "a b.png") "<i@x>" "a picture" "BASE64" 4 "Q2hlY2s="'
        b' ("ATTACHMENT" ("FILENAME" "a b.png")) "en" NIL) "MIXED" ("BOUNDARY" "b") NIL ("en" "de") "http://x/")'
    )


def test_a_message_inside():
    content = (
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
        b"Subject: in\nContent-Type: text/html\n\n<p>\n</p>\n--b--\n"
    )
    assert structure(content) == (
        b'(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 49 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL)'
        b' ("TEXT" "HTML" NIL NIL NIL "7BIT" 9 2 NIL NIL NIL NIL) 5 NIL NIL NIL NIL)'
        b' "MIXED" ("BOUNDARY" "b") NIL NIL NIL)'
    )
    assert render(content).body == (
        b'(("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 45 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL)'
        b' ("TEXT" "HTML" NIL NIL NIL "7BIT" 8 2) 5) "MIXED")'
    )


@pytest.mark.parametrize(("body", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)])
def test_lines(body, lines):
    assert parse_imap(structure(b"A: b\n\n" + body))[7] == lines


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"attachment; filename=\xff.txt", b'("ATTACHMENT" ("FILENAME" {5}\r\n\xff.txt))'),
        ('attachment; filename="übel.txt"'.encode(), b'("ATTACHMENT" ("FILENAME*" "utf-8\'\'%C3%BCbel.txt"))'),
        (b'attachment; filename*0="a b"; filename*1=c', b'("ATTACHMENT" ("FILENAME" "a bc"))'),
        (b"inline (comment)", b'("INLINE" NIL)'),
        (b"", b"NIL"),
        (b";;", b"NIL"),
    ],
)
def test_disposition(value, shown):
    assert b" NIL %b NIL NIL)" % shown in structure(b"Content-Disposition: %b\n\nx" % value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", b'"7BIT"'),
        (b"quoted-printable (odd)", b'"QUOTED-PRINTABLE"'),
        (b"(only)", b'"7BIT"'),
        (b"x" * 300, b'"7BIT"'),
    ],
)
def test_encoding(value, shown):
    assert b" NIL NIL %b 1 1 " % shown in structure(b"Content-Transfer-Encoding: %b\n\nx" % value)


def test_texts_kept_for_search_are_cut():
    rendering = render(b"Subject: %b\r\nMessage-ID: <%b>\r\nFrom: %b\r\n\r\n" % (b"s" * 500, b"m" * 500, b"f" * 500))
    assert len(rendering.subject) == len(rendering.message_id) == len(rendering.header_from) == 200
