import pytest

from postroad.proto.imap import utf7


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", b"INBOX"),
        ("a&b", b"a&-b"),
        ("Entwürfe", b"Entw&APw-rfe"),
        ("~peter/mail/日本語/台北", b"~peter/mail/&ZeVnLIqe-/&U,BTFw-"),  # RFC 3501 §5.1.3
        ("\U0001f4ec", b"&2D3c7A-"),
        ("tab\there", b"tab&AAk-here"),
    ],
)
def test_both_ways(name, wire):
    assert utf7.encode(name) == wire
    assert utf7.decode(wire) == name


def test_raw_utf8_is_taken():
    assert utf7.decode("Entwürfe".encode()) == "Entwürfe"


@pytest.mark.parametrize("wire", [b"&", b"a&b", b"&*-", b"&AGE=-", b"&2D0-", b"\xff", b"&AG/-"])
def test_refused(wire):
    with pytest.raises(utf7.NameEncodingError):
        utf7.decode(wire)
