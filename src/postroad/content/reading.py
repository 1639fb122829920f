"""A message as a person reads it: its header fields, its text, its HTML, and a list of everything else in it. Pure.

Any octets can be read. Every list and text has a limit, and what a limit left out is said in `notices`. Nothing is made
safe here: HTML goes through `safe_html.py`, and what is downloaded goes as a file that no browser opens by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from postroad.content.charset import decode_text
from postroad.content.transfer import decode_transfer
from postroad.mail import mime
from postroad.mail.header import MAX_TEXT as MAX_FIELD
from postroad.mail.header import decode, header_size
from postroad.mail.mime import Kind, Part
from postroad.mail.parameters import Parameters, parse_disposition

MAX_HEADER = 256 * 1024  # octets of the header that are looked at
MAX_FIELDS = 500
MAX_LISTED = 200  # parts that are named one by one
MAX_PICTURES = 1000  # parts that an HTML text may name
MAX_TEXTS = 20  # text parts that are shown as one
MAX_TEXT = 512 * 1024  # characters of them
MAX_OCTETS = 4 * 1024 * 1024  # of one part that are decoded to be shown
_MAX_NAME = 120

_HIDING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_NAME = re.compile(r'[\\/:*?"<>|]+')
_FIELD = re.compile(rb"([!-9;-~]{1,200}+)[ \t]*+:")


class Field(NamedTuple):
    """A header field, decoded, unfolded, with nothing in it that hides or turns text."""

    name: str
    value: str


class PartFacts(NamedTuple):
    """One part that is no multipart. `path` numbers it as IMAP does: `2.1` is the first part of the second."""

    path: str
    type: str
    name: str  # for a file; made up where the sender gave none
    size: int  # octets as they stand in the message
    start: int
    end: int
    encoding: str
    charset: str = ""
    content_id: str = ""
    attached: bool = False  # the sender wants it to be a file

    @property
    def is_picture(self) -> bool:
        """Says that it is; `raster.py` looks."""
        return self.type.startswith("image/") and self.type != "image/svg+xml"


class Reading(NamedTuple):
    """What there is to read. `html` and `text` are the parts to show; `others` is everything else."""

    fields: tuple[Field, ...]
    html: PartFacts | None
    texts: tuple[PartFacts, ...]
    others: tuple[PartFacts, ...]
    pictures: dict[str, PartFacts]  # by Content-ID
    parts: int  # all of them
    notices: tuple[str, ...]


def read_message(content: bytes, *, whole: bool = True) -> Reading:
    """Take `content` apart. Not `whole`: the caller holds only its beginning."""
    parts = list(_leaves(mime.index(content), ""))
    html = next((part for part in parts if part.type == "text/html" and not part.attached), None)
    texts = tuple(part for part in parts if part.type == "text/plain" and not part.attached)[:MAX_TEXTS]
    shown = {part.path for part in (*texts, *([html] if html else []))}
    others = [part for part in parts if part.path not in shown]
    pictures: dict[str, PartFacts] = {}
    for part in others:
        if part.content_id and len(pictures) < MAX_PICTURES:
            pictures.setdefault(part.content_id, part)
    fields, all_fields = read_fields(content)
    notices = _notices(len(parts), len(others), whole, fields, all_fields)
    return Reading(tuple(fields), html, texts, tuple(others[:MAX_LISTED]), pictures, len(parts), notices)


def _notices(parts: int, others: int, whole: bool, fields: list[Field], all_fields: bool) -> tuple[str, ...]:
    left_out = "The source has all of it."
    told = {
        f"This message is very large, and only its beginning was looked at. {left_out}": not whole,
        f"There are more header fields than the {len(fields)} shown. {left_out}": not all_fields,
        f"The message has {parts:,} parts; {MAX_LISTED} of them are listed. {left_out}": others > MAX_LISTED,
        "There are more parts than are told apart; the last one holds all that follow.": parts >= mime.MAX_PARTS,
    }
    return tuple(text for text, holds in told.items() if holds)


def read_fields(content: bytes) -> tuple[list[Field], bool]:
    """The header's fields as they come, and whether these are all."""
    block = content[: min(header_size(content), MAX_HEADER)]
    lines = block.replace(b"\r\n", b"\n").replace(b"\n ", b"\r ").replace(b"\n\t", b"\r ").split(b"\n")
    fields: list[Field] = []
    for line in lines:
        start = _FIELD.match(line)
        if start is None:
            continue
        if len(fields) == MAX_FIELDS:
            return fields, False
        value = line[start.end() : start.end() + MAX_FIELD].replace(b"\r ", b" ")
        fields.append(Field(start[1].decode("ascii"), visible(decode(value))))
    return fields, len(block) < MAX_HEADER


def read_text(content: bytes, reading: Reading) -> tuple[str, bool]:
    """The text parts one below the other, and whether that is all of them."""
    texts, room, whole = [], MAX_TEXT, True
    for part in reading.texts:
        text, complete = part_text(content, part)
        whole = whole and complete and len(text) <= room
        texts.append(text[:room].rstrip())
        room = max(room - len(text), 0)
    return "\n\n".join(texts), whole


def part_text(content: bytes, part: PartFacts) -> tuple[str, bool]:
    """A text part decoded, its controls taken out, and whether that is all of it."""
    octets = decode_transfer(content[part.start : min(part.end, part.start + MAX_OCTETS)], part.encoding)
    text, _ = decode_text(octets, part.charset)
    return visible(text.replace("\r\n", "\n").replace("\r", "\n")), part.size <= MAX_OCTETS


def part_octets(content: bytes, part: PartFacts) -> bytes:
    """A part decoded; cut where it is too large to be shown."""
    return decode_transfer(content[part.start : min(part.end, part.start + 2 * MAX_OCTETS)], part.encoding)


def find_part(content: bytes, path: str) -> PartFacts | None:
    """The part with this number."""
    return next((part for part in _leaves(mime.index(content), "") if part.path == path), None)


def visible(text: str) -> str:
    """`text` without characters that control, hide or turn it; each becomes U+FFFD, so that something is seen."""
    return _HIDING.sub("\ufffd", text)


def _leaves(part: Part, path: str) -> Iterator[PartFacts]:
    if part.kind is Kind.MULTIPART:
        for number, child in enumerate(part.children, 1):
            yield from _leaves(child, f"{path}.{number}" if path else str(number))
    else:
        yield _facts(part, path or "1")


def _facts(part: Part, path: str) -> PartFacts:
    kind = part.content_type
    name = f"{kind.type.decode('latin-1')}/{kind.subtype.decode('latin-1')}".lower()
    disposition = parse_disposition(part.fields.get(b"content-disposition", b""))
    named = (disposition and _parameter(disposition.parameters, b"FILENAME")) or _parameter(kind.parameters, b"NAME")
    return PartFacts(
        path,
        visible(name)[:80],
        _file_name(named, path, name),
        part.size,
        part.body_start,
        part.body_end,
        part.fields.get(b"content-transfer-encoding", b"").decode("latin-1"),
        _parameter(kind.parameters, b"CHARSET") or "",
        part.fields.get(b"content-id", b"").decode("utf-8", "replace").strip().strip("<>"),
        bool(disposition and disposition.kind == b"ATTACHMENT") or part.kind is Kind.MESSAGE,
    )


def _parameter(parameters: Parameters, name: bytes) -> str:
    """A parameter's value for people; in RFC 2231 or, as many senders have it, in RFC 2047."""
    for key, value in parameters:
        if key == name:
            return decode(value)
        if key == name + b"*":
            charset, _, rest = value.partition(b"'")
            return decode_text(unquote_to_bytes(rest.partition(b"'")[2]), charset.decode("latin-1"))[0]
    return ""


_ENDINGS = {
    "text/plain": "txt", "text/html": "html", "message/rfc822": "eml", "image/png": "png", "image/jpeg": "jpg",
    "image/gif": "gif", "image/webp": "webp", "application/pdf": "pdf", "text/calendar": "ics", "text/csv": "csv",
}  # fmt: skip


def _file_name(named: str, path: str, kind: str) -> str:
    """A name that is safe for any file system, and no path."""
    name = _UNSAFE_IN_NAME.sub("_", " ".join(visible(named).split())).strip("._ ") if named else ""
    if not name:
        return f"part-{path}.{_ENDINGS.get(kind, 'bin')}"
    if len(name) <= _MAX_NAME:
        return name
    stem, dot, ending = name.rpartition(".")
    return f"{stem[: _MAX_NAME - 10]}.{ending}" if dot and len(ending) < 10 else name[:_MAX_NAME]
