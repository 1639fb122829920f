"""The PROXY header: what it says, what is missing, what is refused."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.proto.proxy import MAX_V1, MAX_V2, OWN, ProxyFault, ProxyHeader, read

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = ipaddress.ip_address("192.0.2.7").packed + ipaddress.ip_address("203.0.113.1").packed + b"\xdb\xa0\x00\x19"
V6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("2001:db8::1").packed + b"\xdb\xa0\x00\x19"


def v2(family: int, body: bytes, command: int = 1) -> bytes:
    return SIGNATURE + bytes([0x20 | command, family]) + len(body).to_bytes(2, "big") + body


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


GOOD = [
    (b"PROXY TCP4 192.0.2.7 203.0.113.1 56224 25\r\n", ProxyHeader("192.0.2.7", 56224, "203.0.113.1", 25)),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 56224 25\r\n", ProxyHeader("2001:db8::7", 56224, "2001:db8::1", 25)),
    (b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 0 25\r\n", ProxyHeader("192.0.2.7", 0, "2001:db8::1", 25)),
    (b"PROXY UNKNOWN\r\n", OWN),
    (b"PROXY UNKNOWN ffff::1 anything at all\r\n", OWN),
    (v2(0x11, V4), ProxyHeader("192.0.2.7", 56224, "203.0.113.1", 25)),
    (v2(0x21, V6), ProxyHeader("2001:db8::7", 56224, "2001:db8::1", 25)),
    (v2(0x11, V4, command=0), OWN),
    (v2(0x00, b""), OWN),
    (v2(0x31, b"/run/x".ljust(216, b"\0")), OWN),
    (v2(0x11, V4 + tlv(0x04, b"\0" * 9)), ProxyHeader("192.0.2.7", 56224, "203.0.113.1", 25)),
    (
        v2(0x11, V4 + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x23, b"TLS_AES_128_GCM_SHA256"))),
        ProxyHeader("192.0.2.7", 56224, "203.0.113.1", 25, "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
    ),
    (v2(0x11, V4 + tlv(0x20, b"\0\0\0\0\0")), ProxyHeader("192.0.2.7", 56224, "203.0.113.1", 25)),
]


@pytest.mark.parametrize(("data", "header"), GOOD)
def test_a_header_is_read_and_what_follows_is_left(data, header):
    assert read(data + b"EHLO client.test\r\n") == (header, len(data))


@pytest.mark.parametrize(("data", "_header"), GOOD)
def test_every_beginning_of_a_header_wants_more(data, _header):
    for end in range(len(data)):
        assert read(data[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO client.test\r\n",
        b"QUIT\r\n",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 192.0.2.7 203.0.113.1 1 2\r\n",
        b"PROXY TCP4 2001:db8::7 203.0.113.1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 65536 25\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 -1 25\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 01 25\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.1 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.7  203.0.113.1 1 2\r\n",
        b"PROXY TCP4 \xb9\xb2 203.0.113.1 1 2\r\n",
        b"PROXY TCP4 " + b"1" * (MAX_V1 - 11),
        SIGNATURE + b"\x31\x11\x00\x0c" + V4,
        SIGNATURE + b"\x22\x11\x00\x0c" + V4,
        SIGNATURE + b"\x21\x11" + (MAX_V2 - 15).to_bytes(2, "big"),
        v2(0x11, V4[:-1]),
        v2(0x21, V4),
        v2(0x11, V4 + b"\x04\x00\x09\x00"),
    ],
)
def test_anything_else_is_a_fault(data):
    with pytest.raises(ProxyFault):
        read(data)


def test_words_of_the_balancer_that_could_forge_a_trace_are_left_out():
    header, _ = read(v2(0x11, V4 + tlv(0x20, b"\1\0\0\0\0" + tlv(0x21, b"TLS v1\r\nX: y") + tlv(0x23, b"\xff"))))
    assert (header.tls_version, header.tls_cipher) == ("TLS", "")


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: SIGNATURE + data))
def test_whatever_comes_is_read_refused_or_waited_for(data):
    try:
        found = read(data)
    except ProxyFault:
        return
    assert found is None or (isinstance(found[0], ProxyHeader) and 0 < found[1] <= len(data))
