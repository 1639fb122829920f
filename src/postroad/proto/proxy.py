"""The PROXY protocol's header, versions 1 and 2: who the client is, told by a load balancer before its first octet.

Source: the PROXY protocol specification of HAProxy, versions 1 and 2. Nothing here decides whom to believe: a listener
reads the header from listed addresses alone, and from those it must come.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from msgspec import Struct

MAX_V1 = 107  # octets with CRLF, §2.1: the longest that a sender may make
MAX_V2 = 16 + 4096  # octets: addresses need 12, 36 or 216; the rest is TLVs
_V1: Final = b"PROXY "
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"  # §2.2: no protocol's first words look like this
_FIXED = 16  # octets of a version 2 header before its addresses
_FAMILIES_V1 = {"TCP4": 4, "TCP6": 6}
_TLV_SSL, _TLV_SSL_VERSION, _TLV_SSL_CIPHER = 0x20, 0x21, 0x23  # §2.2.6
_CLIENT_SSL = 1


class ProxyFault(ValueError):  # noqa: N818 - the balancer's, and an answer rather than an error
    """What came is no header; the connection is dropped, since nobody knows whose it is."""


class ProxyHeader(Struct, frozen=True, gc=False):
    """What the header says. `client` is empty where the balancer speaks for itself (health checks)."""

    client: str = ""
    client_port: int = 0
    local: str = ""  # the address that the client connected to
    local_port: int = 0
    tls_version: str = ""  # where the balancer ended TLS: "TLSv1.3"
    tls_cipher: str = ""

    @property
    def is_own(self) -> bool:
        """The balancer's own connection (`LOCAL`, `UNKNOWN`)."""
        return not self.client


OWN: Final = ProxyHeader()


def read(data: bytes) -> tuple[ProxyHeader, int] | None:
    """The header at the start of `data` and its length; None when more must come. Raises ProxyFault."""
    if data[: len(_V2)] == _V2[: len(data)]:
        return _read_v2(data) if len(data) >= _FIXED else None
    if data[: len(_V1)] == _V1[: len(data)]:
        return _read_v1(data)
    raise ProxyFault("the connection does not begin with a PROXY header")


def _read_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        if len(data) >= MAX_V1:
            raise ProxyFault("a PROXY line is longer than 107 octets")
        return None
    try:
        words = data[:end].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise ProxyFault("a PROXY line is not ASCII") from None
    if words[1] == "UNKNOWN":  # §2.1: whatever follows is to be passed over
        return OWN, end + 2
    if words[1] not in _FAMILIES_V1 or len(words) != 6:
        raise ProxyFault("a PROXY line has other than a family, two addresses and two ports")
    version = _FAMILIES_V1[words[1]]
    client, local = (_address(word, version) for word in words[2:4])
    return ProxyHeader(client, _port(words[4]), local, _port(words[5])), end + 2


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ProxyFault("a PROXY line has an address that is none") from None
    if address.version != version or "%" in text:
        raise ProxyFault("a PROXY line has an address of another family than it says")
    return _plain(address)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and (text == "0" or text[0] != "0")):
        raise ProxyFault("a PROXY line has a port that is none")
    port = int(text)
    if port > 65535:
        raise ProxyFault("a PROXY line has a port that is none")
    return port


def _read_v2(data: bytes) -> tuple[ProxyHeader, int] | None:
    version, command = data[12] >> 4, data[12] & 15
    length = _FIXED + int.from_bytes(data[14:16], "big")
    if version != 2 or command > 1:
        raise ProxyFault("a PROXY header of an unknown version or command")
    if length > MAX_V2:
        raise ProxyFault("a PROXY header is too long")
    if len(data) < length:
        return None
    reader = _FAMILIES_V2.get(data[13])
    if (
        command == 0 or reader is None
    ):  # §2.2: LOCAL, or a family that we do not know: the balancer's own address stands
        return OWN, length
    size, make = reader
    if length < _FIXED + size:
        raise ProxyFault("a PROXY header is too short for its addresses")
    addresses = data[_FIXED : _FIXED + size]
    return _with_tls(make(addresses), data[_FIXED + size : length]), length


def _inet(width: int) -> Callable[[bytes], ProxyHeader]:
    def make(data: bytes) -> ProxyHeader:
        client, local = (_plain(ipaddress.ip_address(data[at : at + width])) for at in (0, width))
        ports = data[2 * width :]
        return ProxyHeader(client, int.from_bytes(ports[:2], "big"), local, int.from_bytes(ports[2:4], "big"))

    return make


# address family and transport (§2.2): octets of addresses, and their reader. Only streams bring mail.
_FAMILIES_V2: Final[dict[int, tuple[int, Callable[[bytes], ProxyHeader]]]] = {
    0x11: (12, _inet(4)),
    0x21: (36, _inet(16)),
}


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The address as the rest of the server writes it: an IPv4 one in IPv6 clothes is an IPv4 one."""
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _with_tls(header: ProxyHeader, fields: bytes) -> ProxyHeader:
    """What the balancer tells of the TLS that it ended, from the TLVs (§2.2.6); other TLVs are passed over."""
    for kind, value in _fields(fields):
        if kind != _TLV_SSL or len(value) < 5 or not value[0] & _CLIENT_SSL:
            continue
        inner = dict(_fields(value[5:]))
        return ProxyHeader(
            header.client, header.client_port, header.local, header.local_port,
            _word(inner.get(_TLV_SSL_VERSION, b"")) or "TLS", _word(inner.get(_TLV_SSL_CIPHER, b"")),
        )  # fmt: skip
    return header


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Type, length, value; a torn one is a fault."""
    found = []
    while data:
        length = int.from_bytes(data[1:3], "big")
        if len(data) < 3 + length:
            raise ProxyFault("a PROXY header's TLV is cut off")
        found.append((data[0], data[3 : 3 + length]))
        data = data[3 + length :]
    return found


def _word(value: bytes) -> str:
    """Printable ASCII of reasonable length, or nothing: it ends up in a trace field."""
    text = value[:64].decode("ascii", "replace")
    return text if text.isprintable() and text.isascii() and " " not in text else ""
