"""Files that people attach, drawn and written here: a picture, a document, an invitation."""

from __future__ import annotations

import struct
import zlib
from datetime import datetime
from functools import cache
from math import sin


@cache
def picture(width: int, height: int, *, hue: tuple[int, int, int] = (46, 104, 170)) -> bytes:
    """A PNG: hills in front of an evening sky."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # the row's filter: none
        for x in range(width):
            rows += bytes(_colour(x / width, y / height, hue))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _colour(x: float, y: float, hue: tuple[int, int, int]) -> tuple[int, int, int]:
    for depth in (3, 2, 1):  # the nearest hill first: it hides the others
        crest = 0.42 + 0.13 * depth + 0.07 * sin(6 * x * depth + depth * depth)
        if y > crest:
            shade = 1 - 0.22 * depth
            return int(hue[0] * shade), int(hue[1] * shade), int(hue[2] * shade)
    return int(250 - 60 * y), int(190 + 40 * y), int(150 + 100 * y)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def document(title: str, lines: list[str]) -> bytes:
    """A PDF of one page."""
    text = [f"BT /F1 20 Tf 60 760 Td ({_pdf_text(title)}) Tj ET"]
    text += [f"BT /F1 11 Tf 60 {720 - 18 * row} Td ({_pdf_text(line)}) Tj ET" for row, line in enumerate(lines)]
    stream = "\n".join(text).encode("latin-1", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream),
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _pdf_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def invitation(title: str, begins: datetime, ends: datetime, organizer: str) -> bytes:
    """An iCalendar file (RFC 5545)."""
    stamp = "%Y%m%dT%H%M%SZ"
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//One//Calendar//EN",
        "BEGIN:VEVENT",
        f"UID:{begins.strftime(stamp)}@one.test",
        f"DTSTAMP:{begins.strftime(stamp)}",
        f"DTSTART:{begins.strftime(stamp)}",
        f"DTEND:{ends.strftime(stamp)}",
        f"ORGANIZER:mailto:{organizer}",
        f"SUMMARY:{title}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "\r\n".join([*lines, ""]).encode()
