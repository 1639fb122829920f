"""XCLIENT: a gateway tells whom it speaks for. Source: Postfix's XCLIENT_README.

Values are xtext; `[UNAVAILABLE]` and `[TEMPUNAVAIL]` say that the gateway does not know. Who may say it is for the
session; what it changes too.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from postroad.mail.address import MAX_DOMAIN
from postroad.proto.smtp.encodings import decode_xtext, encode_xtext
from postroad.proto.smtp.reply import BAD_XCLIENT, CommandFault

MAX_XCLIENT_LINE = 2048  # octets with CRLF: nine attributes of 255 octets will not come in one line
MAX_VALUE = 255  # octets, decoded
UNKNOWN = "[UNAVAILABLE]"
_UNKNOWN: Final = frozenset((UNKNOWN, "[TEMPUNAVAIL]"))
_NAME = re.compile(r"[!-~]+")


class Xclient(Struct, frozen=True, gc=False):
    """One XCLIENT. An attribute is None where it was not said, and empty where the gateway does not know."""

    name: str | None = None  # of the client, verified; and by reverse look-up alone
    reverse_name: str | None = None
    addr: str | None = None
    port: str | None = None
    proto: str | None = None  # SMTP or ESMTP
    helo: str | None = None
    login: str | None = None  # who has logged in at the gateway
    destaddr: str | None = None  # what the client has connected to
    destport: str | None = None

    def line(self) -> bytes:
        said = ((attribute, getattr(self, attribute.lower())) for attribute in ATTRIBUTES)
        words = (f" {name}={encode_xtext(_spelled(name, value))}" for name, value in said if value is not None)
        return f"XCLIENT{''.join(words)}\r\n".encode("ascii")


def _spelled(attribute: str, value: str) -> str:
    return "IPV6:" + value if attribute.endswith("ADDR") and ":" in value else value or UNKNOWN


def _read_address(value: str) -> str | None:
    """A plain IPv4 address, or an IPv6 one behind its prefix."""
    is_six = value[:5].upper() == "IPV6:"
    try:
        address = ipaddress.ip_address(value[5:] if is_six else value)
    except ValueError:
        return None
    if is_six != (address.version == 6) or "%" in value:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def _read_port(value: str) -> str | None:
    return value if value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= 65535 else None


def _read_protocol(value: str) -> str | None:
    return value.upper() if value.upper() in ("SMTP", "ESMTP") else None


def _read_name(value: str) -> str | None:
    return value if _NAME.fullmatch(value) else None


def _read_hello(value: str) -> str | None:
    return value if _NAME.fullmatch(value) and len(value) <= MAX_DOMAIN else None


ATTRIBUTES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "NAME": _read_name,
    "REVERSE_NAME": _read_name,
    "ADDR": _read_address,
    "PORT": _read_port,
    "PROTO": _read_protocol,
    "HELO": _read_hello,
    "LOGIN": _read_name,
    "DESTADDR": _read_address,
    "DESTPORT": _read_port,
}


def read_xclient(_verb: str, argument: str) -> Xclient:
    """Raises CommandFault: 501 for a word that is none of the attributes, or has a value that cannot be."""
    values: dict[str, str] = {}
    for word in argument.split():
        attribute, _, text = word.partition("=")
        attribute = attribute.upper()
        value = _read_value(attribute, text)
        if value is None or attribute.lower() in values:
            raise CommandFault(BAD_XCLIENT)
        values[attribute.lower()] = value
    if not values:
        raise CommandFault(BAD_XCLIENT)
    return Xclient(**values)


def _read_value(attribute: str, text: str) -> str | None:
    reader, value = ATTRIBUTES.get(attribute), decode_xtext(text)
    if reader is None or not value or len(value) > MAX_VALUE:
        return None
    return "" if value.upper() in _UNKNOWN else reader(value)
