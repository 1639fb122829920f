"""Modified UTF-7, the encoding of mailbox names on the wire (RFC 3501 §5.1.3)."""

from __future__ import annotations

import binascii
import re

_SHIFTED = re.compile(r"&([^-]*)(-?)")
_RUN = re.compile(r"[^\x20-\x7e]+")


class NameEncodingError(ValueError):
    """The octets are not a mailbox name in modified UTF-7."""


def encode(name: str) -> bytes:
    """The wire form of a mailbox name."""
    if name.isascii() and "&" not in name and name.isprintable():
        return name.encode("ascii")
    return _RUN.sub(lambda run: f"&{_base64(run[0])}-", name.replace("&", "&-")).encode("ascii")


def decode(octets: bytes) -> str:
    """The mailbox name behind its wire form. Raises NameEncodingError.

    Octets that are UTF-8 outside ASCII are taken as they are: clients send them although they should not.
    """
    try:
        text = octets.decode("utf-8")
        return _SHIFTED.sub(_unshift, text) if "&" in text else text
    except ValueError as error:
        raise NameEncodingError("the mailbox name is not valid modified UTF-7") from error


def _base64(run: str) -> str:
    packed = binascii.b2a_base64(run.encode("utf-16-be"), newline=False)
    return packed.rstrip(b"=").replace(b"/", b",").decode("ascii")


def _unshift(match: re.Match[str]) -> str:
    shifted = match[1]
    if not match[2]:
        raise ValueError("a shift without its end")
    if not shifted:
        return "&"
    if "/" in shifted or "=" in shifted:
        raise ValueError(shifted)
    packed = shifted.replace(",", "/").encode("ascii")
    return binascii.a2b_base64(packed + b"=" * (-len(packed) % 4), strict_mode=True).decode("utf-16-be")
