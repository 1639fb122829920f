"""Where the octets of BODY[section] lie in a stored message: prefix, then content (RFC 3501 §6.4.5). Pure.

The offsets of parts are those that `mail.mime` stored at delivery; a message is never parsed to be read.
"""

from __future__ import annotations

from typing import NamedTuple

from postroad.mail import mime
from postroad.proto.imap.fetch import Part, Section


class Layout(NamedTuple):
    """What is known of a message without reading it."""

    prefix: int  # octets
    size: int  # octets of prefix and content
    header_size: int = 0  # of the content
    sections: bytes = b""


class Span(NamedTuple):
    """Octets `start` up to `end`, counted from the beginning of the prefix."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def part(self, partial: tuple[int, int] | None) -> Span:
        """`<start.count>` of this: cut at the end, empty beyond it."""
        if partial is None:
            return self
        start = min(self.start + partial[0], self.end)
        return Span(start, min(start + partial[1], self.end))


def needs_layout(section: Section) -> bool:
    """Whether more than the size must be known: everything but BODY[]."""
    return section.part is not Part.WHOLE or bool(section.numbers)


def locate(section: Section, layout: Layout) -> Span | None:
    """The octets that a section names; for HEADER.FIELDS the whole header. None: there is no such part (NIL)."""
    if section.numbers:
        return _locate_part(section, layout)
    header_end = layout.prefix + layout.header_size
    if section.part is Part.WHOLE:
        return Span(0, layout.size)
    if section.part is Part.TEXT:
        return Span(header_end, layout.size)
    return Span(0, header_end)


def _locate_part(section: Section, layout: Layout) -> Span | None:
    found = mime.find_section(layout.sections, section.numbers)
    if found is None:
        return None
    if section.part is Part.WHOLE:
        return Span(layout.prefix + found.body_start, layout.prefix + found.body_end)
    if section.part is Part.MIME:
        return Span(layout.prefix + found.header_start, layout.prefix + found.body_start)
    message = found.message
    if message is None:
        return None
    if section.part is Part.TEXT:
        return Span(layout.prefix + message.body_start, layout.prefix + message.body_end)
    return Span(layout.prefix + message.header_start, layout.prefix + message.body_start)


def choose_fields(header: bytes, fields: frozenset[bytes], *, without: bool) -> bytes:
    """The fields of a header block whose lower-case names are in `fields` (or are not), then an empty line.

    RFC 3501 §6.4.5: the octets are those of the message, and the empty line is always there.
    """
    found = []
    taking = False
    for line in header.split(b"\n"):
        if line in (b"\r", b""):
            break
        if line[0] not in b" \t":
            name = line.partition(b":")[0].rstrip(b" \t\r\n").lower()
            taking = (name in fields) is not without
        if taking:
            found.append(line)
    return b"\n".join([*found, b"\r\n"]) if found else b"\r\n"
