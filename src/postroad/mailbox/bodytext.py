"""The words of a message, for SEARCH BODY and TEXT: text parts decoded, headers of messages inside included. Pure.

At most MAX_TEXT octets of each part are looked at, so that one monstrous part cannot hold a worker.
"""

from __future__ import annotations

import binascii
import quopri
from collections.abc import Iterator

from postroad.mail import mime
from postroad.mail.header import decode
from postroad.mail.mime import Kind, Part

MAX_TEXT = 2 * 1024 * 1024  # octets of one part
_NOT_BASE64 = bytes(n for n in range(256) if not (chr(n).isascii() and (chr(n).isalnum() or chr(n) in "+/")))


def body_text(content: bytes) -> str:
    """All text of the body, case-folded."""
    root = mime.index(content)
    return "\n".join(_texts(content, root)).casefold()


def header_text(header: bytes) -> str:
    """A header block, decoded and case-folded."""
    unfolded = header.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t")
    if b"=?" not in unfolded:
        return unfolded.decode("utf-8", "replace").casefold()
    return "\n".join([decode(field) for field in unfolded.split(b"\r\n")]).casefold()


def _texts(content: bytes, part: Part) -> Iterator[str]:
    if part.kind is Kind.LEAF:
        if part.content_type.type.upper() == b"TEXT":
            yield _decoded(content[part.body_start : min(part.body_end, part.body_start + MAX_TEXT)], part)
        return
    for child in part.children:
        if part.kind is Kind.MESSAGE:
            yield header_text(content[child.header_start : child.body_start])
        yield from _texts(content, child)


def _decoded(octets: bytes, part: Part) -> str:
    encoding = part.fields.get(b"content-transfer-encoding", b"").strip().lower()
    if encoding == b"base64":
        octets = from_base64(octets)
    elif encoding == b"quoted-printable":
        octets = quopri.decodestring(octets)
    return _to_text(octets, _charset(part))


def from_base64(octets: bytes) -> bytes:
    """As much as can be decoded; everything that is not base64 is passed over (RFC 2045 §6.8)."""
    packed = octets.translate(None, _NOT_BASE64)
    packed = packed[: len(packed) - (len(packed) % 4 == 1)]
    return binascii.a2b_base64(packed + b"=" * (-len(packed) % 4))


def _charset(part: Part) -> str:
    for name, value in part.content_type.parameters:
        if name.upper() == b"CHARSET":
            return value.decode("ascii", "replace")
    return "utf-8"


def _to_text(octets: bytes, charset: str) -> str:
    if octets.isascii() and charset.lower() in ("us-ascii", "utf-8", "iso-8859-1"):
        return octets.decode("ascii")
    try:
        return octets.decode(charset, "replace")
    except (LookupError, ValueError):  # no such charset, or one that is no text encoding
        return octets.decode("utf-8", "replace")
