"""What kind of picture some octets are, told by the octets and never by what their sender says.

Only raster formats that every browser draws and none runs are known; SVG, which can hold scripts, is not among them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_PIXELS = 40_000_000  # a picture of more fills a browser's memory: a few hundred octets can say they are a billion

_JPEG_MARKER = re.compile(rb"\xff+([\xc0-\xfe])")
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers
_JPEG_SEGMENTS = 200  # that are looked at for the size


class Raster(NamedTuple):
    """`type` is the media type to serve it with."""

    type: str
    width: int
    height: int


def raster(octets: bytes) -> Raster | None:
    """The picture's kind and size; None for anything else, and for a picture that is too large to be shown."""
    for known, size in _KINDS.items():
        if octets.startswith(known) and (found := size(octets)):
            kind, width, height = found
            return Raster(kind, width, height) if 0 < width * height <= MAX_PIXELS else None
    return None


_Found = tuple[str, int, int] | None


def _png(octets: bytes) -> _Found:
    if octets[12:16] != b"IHDR" or len(octets) < 24:
        return None
    return "image/png", _big(octets[16:20]), _big(octets[20:24])


def _gif(octets: bytes) -> _Found:
    if octets[3:6] not in (b"87a", b"89a") or len(octets) < 10:
        return None
    return "image/gif", _little(octets[6:8]), _little(octets[8:10])


def _jpeg(octets: bytes) -> _Found:
    at = 2
    for _ in range(_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.match(octets, at)
        if marker is None or len(octets) < marker.end() + 7:
            return None
        at = marker.end()
        if marker[1][0] in _JPEG_SIZES:
            return "image/jpeg", _big(octets[at + 5 : at + 7]), _big(octets[at + 3 : at + 5])
        at += _big(octets[at : at + 2])
    return None


def _webp(octets: bytes) -> _Found:
    if octets[8:12] != b"WEBP" or len(octets) < 30:
        return None
    match octets[12:16]:
        case b"VP8 ":
            return "image/webp", _little(octets[26:28]) & 0x3FFF, _little(octets[28:30]) & 0x3FFF
        case b"VP8L":
            bits = _little(octets[21:25])
            return "image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return "image/webp", _little(octets[24:27]) + 1, _little(octets[27:30]) + 1
    return None


def _big(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def _little(octets: bytes) -> int:
    return int.from_bytes(octets, "little")


_KINDS = {b"\x89PNG\r\n\x1a\n": _png, b"GIF8": _gif, b"\xff\xd8": _jpeg, b"RIFF": _webp}
