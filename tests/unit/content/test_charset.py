"""Octets as text: the declared charset, then UTF-8, then windows-1252."""

import pytest

from postroad.content.charset import decode_text


@pytest.mark.parametrize(
    ("octets", "declared", "text", "charset"),
    [
        (b"plain", "", "plain", "utf-8"),
        ("é".encode(), "utf-8", "é", "utf-8"),
        (b"\xe9", "ISO-8859-1", "é", "iso8859-1"),
        (b"\xe9", '"iso-8859-1"', "é", "iso8859-1"),
        ("é".encode(), "us-ascii", "é", "utf-8"),
        (b"\x93q\x94", "us-ascii", "“q”", "windows-1252"),
        (b"\x93q\x94", "utf-8", "“q”", "windows-1252"),
        ("日本".encode("iso2022_jp"), "iso-2022-jp", "日本", "iso2022_jp"),
        (b"\x82\xb1\xff\xff", "shift_jis", "こ��", "shift_jis"),
        (b"x", "x-unknown", "x", "utf-8"),
        (b"\x81", "", "\ufffd", "windows-1252"),
        *((b"a-b", name, "a-b", "utf-8") for name in ("punycode", "idna", "unicode_escape", "rot13", "zlib", "hex",
        "../x", "a" * 99, "\0")),
    ],
)  # fmt: skip
def test_charsets(octets: bytes, declared: str, text: str, charset: str) -> None:
    assert decode_text(octets, declared) == (text, charset)
