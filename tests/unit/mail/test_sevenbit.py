"""Messages for servers that do not take them as they are: what is encoded anew, and what is never touched."""

import email
import email.policy
import random

import pytest

from postroad.mail.sevenbit import CannotConvert, converted, passes, rewritten

TEXT = "Grüße aus Köln, plain otherwise and long enough to be called text.\r\n".encode()
TEXT_MESSAGE = (
    b"From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\n" + TEXT
)
BINARY = bytes(range(256)) * 5


def multipart(*parts: bytes, kind: bytes = b"mixed", header: bytes = b"") -> bytes:
    body = b"".join(b"--cut\r\n" + part + b"\r\n" for part in parts)
    top = b"From: a@b.test\r\n" + header + b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n"
    return top + b"Content-Type: multipart/" + kind + b'; boundary="cut"\r\n\r\n' + body + b"--cut--\r\n"


def part(content: bytes, kind: bytes = b"application/octet-stream", encoding: bytes = b"binary") -> bytes:
    return b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + content


def made(content: bytes, *, eight_bit: bool = False) -> bytes:
    return b"".join(converted(content, eight_bit=eight_bit))


def parsed(content: bytes):
    return email.message_from_bytes(content, policy=email.policy.default)


def test_text_becomes_quoted_printable_and_says_the_same():
    new = made(TEXT_MESSAGE)
    assert passes(new, eight_bit=False)
    assert parsed(new)["Content-Transfer-Encoding"] == "quoted-printable"
    assert parsed(new).get_payload(decode=True).replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n") == TEXT
    assert new.startswith(b"From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n")
    assert b"\r\nSubject: x\r\n\r\n" in new


def test_what_passes_already_stays_octet_for_octet():
    plain = b"From: a@b.test\r\n\r\nhello\r\n"
    assert made(plain) == plain
    assert made(TEXT_MESSAGE, eight_bit=True) == TEXT_MESSAGE


def test_only_the_parts_that_need_it_are_encoded():
    fine = part(b"hello\r\n", b"text/plain", b"7bit")
    content = multipart(fine, part(BINARY), part(TEXT, b"text/plain; charset=utf-8", b"8bit"))
    new = made(content)
    assert passes(new, eight_bit=False)
    assert fine in new
    message = parsed(new)
    assert not message.defects
    assert message["Content-Transfer-Encoding"] == "7bit"
    encodings = [inner["Content-Transfer-Encoding"] for inner in message.iter_parts()]
    assert encodings == ["7bit", "base64", "quoted-printable"]
    assert list(message.iter_parts())[1].get_payload(decode=True) == BINARY


def test_for_eight_bits_only_what_is_binary_changes():
    text = part(TEXT, b"text/plain; charset=utf-8", b"8bit")
    new = made(multipart(text, part(BINARY)), eight_bit=True)
    assert passes(new, eight_bit=True)
    assert text in new
    assert parsed(new)["Content-Transfer-Encoding"] == "8bit"


def test_messages_inside_are_entered():
    new = made(multipart(part(TEXT_MESSAGE, b"message/rfc822", b"8bit")))
    assert passes(new, eight_bit=False)
    (inner,) = parsed(new).iter_parts()
    assert inner["Content-Transfer-Encoding"] == "7bit"
    assert inner.get_content()["Content-Transfer-Encoding"] == "quoted-printable"


def test_text_that_is_mostly_beyond_ascii_becomes_base64():
    russian = "Привет, мир и все остальные\r\n".encode() * 3
    new = made(TEXT_MESSAGE.replace(TEXT, russian))
    assert parsed(new)["Content-Transfer-Encoding"] == "base64"
    assert parsed(new).get_payload(decode=True) == russian


def test_eight_bits_without_mime_get_the_fields_that_say_so():
    new = made(b"From: a@b.test\r\n\r\n" + TEXT)
    assert parsed(new).get_content_type() == "text/plain"
    assert parsed(new)["MIME-Version"] == "1.0"
    assert parsed(new).get_param("charset") == "unknown-8bit"


@pytest.mark.parametrize(
    "content",
    [
        b"DKIM-Signature: v=1; a=rsa-sha256\r\n" + TEXT_MESSAGE,
        multipart(part(TEXT, b"text/plain", b"8bit"), kind=b"signed"),
        multipart(part(BINARY), kind=b"encrypted"),
        multipart(part(b"DKIM-Signature: v=1\r\n" + TEXT_MESSAGE, b"message/rfc822", b"8bit")),
        multipart(part(TEXT, b"text/plain", b"quoted-printable")),
    ],
    ids=["dkim", "signed", "encrypted", "signed-inside", "mislabelled"],
)
def test_what_is_signed_is_never_touched(content):
    with pytest.raises(CannotConvert):
        converted(content)


def test_what_is_signed_and_passes_goes_as_it_is():
    """Beside a part that has to change."""
    signed = part(
        b"--in\r\nContent-Type: text/plain\r\n\r\nhello\r\n--in--\r\n", b'multipart/signed; boundary="in"', b"7bit"
    )
    new = made(multipart(signed, part(BINARY)))
    assert signed in new


def test_any_octets_come_out_for_seven_bits_or_are_refused():
    dice = random.Random(7)
    pieces = [
        b"\r\n", b"\n", b"--cut", b"--cut--", b"\r\n\r\n", b"Content-Type: ", b"text/plain", b"\xff", b"\0",
        b"a" * 1200, b'multipart/mixed; boundary="cut"', b"Content-Transfer-Encoding: 8bit", b"message/rfc822",
    ]  # fmt: skip
    for _ in range(300):
        body = b"".join(dice.choices(pieces, k=dice.randint(1, 25)))
        head = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="cut"\r\n\r\n'
        try:
            new = rewritten(head + body)
        except CannotConvert:
            continue
        assert b"\0" not in new
        assert new.count(b"\n") == new.count(b"\r\n") == new.count(b"\r")


def test_a_large_one_is_made_in_pieces():
    big = multipart(part(BINARY * 2000))
    pieces = list(converted(big))
    assert max(map(len, pieces)) < 100_000
    assert parsed(b"".join(pieces)).get_payload()[0].get_payload(decode=True) == BINARY * 2000
