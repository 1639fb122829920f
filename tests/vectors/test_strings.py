"""The Big List of Naughty Strings in subjects, display names and file names: no crash, and the text comes back."""

import email.header
import json

from postroad.mail.header import decode
from postroad.mail.render import render
from postroad.testing.imap_text import parse_imap
from postroad.testing.vectors import testdata as vectors


def test_naughty_strings_come_back():
    strings = json.loads(vectors("strings/blns.json").read_text(encoding="utf-8"))
    assert len(strings) > 500
    for text in strings:
        raw = " ".join(text.split()).encode("utf-8", "surrogatepass")
        name = raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        rendering = render(b'From: "%b" <a@b.test>\r\nSubject: %b\r\n\r\nx\r\n' % (name, raw))
        envelope = parse_imap(rendering.envelope)
        assert as_text(envelope[1]) == decode(raw)
        if raw.strip():
            assert as_text(envelope[2][0][0]) == decode(raw)
        assert envelope[2][0][2:] == [b"a", b"b.test"]


def as_text(value):
    """What a client shows."""
    if not value.isascii():
        return value.decode("utf-8", "replace")
    return decode(value)


def test_decoding_agrees_with_python():
    """Encoded words of ours are read by others as they are by us."""
    rendering = render(
        "Subject: Grüße, 日本語, and a long tail of ünïcödé lëttèrs that need two words\r\n\r\n".encode()
    )
    words = parse_imap(rendering.envelope)[1].decode("ascii")
    assert str(email.header.make_header(email.header.decode_header(words))) == decode(words.encode())
