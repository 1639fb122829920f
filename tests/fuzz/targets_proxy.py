"""PROXY headers: read, refused or waited for; never otherwise, and never differently for what stands behind them."""

import ipaddress

from postroad.proto.proxy import MAX_V1, MAX_V2, ProxyFault, read
from postroad.testing.fuzzing import Target

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(data: bytes) -> None:
    try:
        found = read(data)
    except ProxyFault:
        return
    if found is None:
        assert len(data) < max(MAX_V1, MAX_V2)
        return
    said, length = found
    assert 0 < length <= len(data)
    assert read(data[:length]) == found
    assert read(data[:length] + b"EHLO x\r\n") == found
    for end in {length - 1, length // 2, 1}:
        assert end == 0 or read(data[:end]) is None
    if not said.is_own:
        assert str(ipaddress.ip_address(said.client)) == said.client
        assert 0 <= said.client_port <= 65535
        assert 0 <= said.local_port <= 65535
    for word in (said.tls_version, said.tls_cipher):
        assert word.isascii()
        assert word.isprintable()
        assert " " not in word


def _v2(family: int, body: bytes, command: int = 1) -> bytes:
    return SIGNATURE + bytes([0x20 | command, family]) + len(body).to_bytes(2, "big") + body


V4 = bytes((192, 0, 2, 7, 203, 0, 113, 1)) + b"\xdb\xa0\x00\x19"
SEEDS = (
    b"PROXY TCP4 192.0.2.7 203.0.113.1 56224 25\r\n", b"PROXY TCP6 2001:db8::7 2001:db8::1 56224 25\r\nEHLO x\r\n",
    b"PROXY UNKNOWN\r\n", _v2(0x11, V4), _v2(0x21, b"\x20\x01\x0d\xb8" + b"\0" * 28 + b"\xdb\xa0\x00\x19"),
    _v2(0, b"", 0), _v2(0x11, V4 + b"\x20\x00\x0f\x01\0\0\0\0\x21\x00\x07TLSv1.3"),
)  # fmt: skip
WORDS = (
    SIGNATURE,
    b"PROXY ",
    b"TCP4 ",
    b"TCP6 ",
    b"UNKNOWN",
    b"\r\n",
    b"::ffff:192.0.2.7 ",
    b"\x21\x11",
    b"\x20\x00",
    V4,
)

TARGETS = {"proxy-header": Target(header, SEEDS, WORDS)}
