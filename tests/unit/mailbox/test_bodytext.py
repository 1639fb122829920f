from postroad.mailbox.bodytext import body_text, from_base64, header_text


def test_decoded_parts():
    content = (
        b"Subject: not here\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Caf=E9 =\r\nau lait\r\n"
        b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+SGVs\r\nbG88L2I+\r\n"
        b"--b\r\nContent-Type: application/octet-stream\r\n\r\nbinary secret\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?inn=C3=A9r?=\r\n\r\nDEEP\r\n"
        b"--b--\r\n"
    )
    text = body_text(content)
    for found in ("café au lait", "<b>hello</b>", "innér", "deep"):
        assert found in text
    for missing in ("secret", "not here"):
        assert missing not in text


def test_odd_charsets_and_octets():
    for charset in (
        b"no-such",
        b"hex",
        b"rot13",
        b"utf-16",
        b"\xff",
        b"idna",
        b"undefined",
        b"punycode",
        b"unicode_escape",
    ):
        body_text(b"Content-Type: text/plain; charset=" + charset + b"\r\n\r\nab\xe9\xff\\x")
    assert "gr\ufffd" in body_text(b"\r\ngr\xff")


def test_base64_takes_what_it_can():
    assert from_base64(b"SGVs\r\nbG8=\r\n") == b"Hello"
    assert from_base64(b"!!!") == b""
    assert from_base64(b"A") == b""
    assert from_base64(b"SGVsbG8") == b"Hello"


def test_headers():
    assert "café folded" in header_text(b"Subject: =?utf-8?q?Caf=C3=A9?=\r\n folded\r\n")
    assert "strasse" in header_text("Subject: Straße\r\n".encode())
    assert "a folded value" in header_text(b"Subject: A folded\r\n Value\r\n")
