"""A returned message taken into the parts that matter: its header, its prose, its machine-readable parts, the original.

Lines end by LF here, whatever they ended by. Limits keep the work in proportion: real reports are small.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from postroad.content.charset import decode_text
from postroad.content.transfer import decode_transfer
from postroad.mail import mime
from postroad.mail.header import decode
from postroad.mail.mime import Kind, Part

MAX_CONTENT = 1024 * 1024  # octets that are looked at; what follows belongs to the original
MAX_PROSE = 64 * 1024  # characters of text for people
MAX_LEAVES = 200
MAX_FIELDS = 300  # of one block
MAX_VALUE = 4000  # characters of one field

_TAG = re.compile(r"<(?:[a-zA-Z/!][^<>]{0,2000})>")
_BREAK = re.compile(r"<(?:br|/p|/div|/tr|/h[1-6]|/li|p)\b[^<>]{0,200}>", re.IGNORECASE)

Fields = dict[str, str]


class Parts(Struct):
    """What was found. The fields of `header` are unfolded and decoded, their names in lower case; the first counts."""

    header: Fields
    type: str = ""  # of the whole message
    prose: str = ""  # its text for people
    status: str | None = None  # message/delivery-status, or global-delivery-status
    feedback: str | None = None  # message/feedback-report
    disposition: bool = False  # message/disposition-notification
    original: str = ""  # the message that came back, or its header


def take_apart(content: bytes) -> Parts:
    """Any octets have parts; never raises."""
    content = content[:MAX_CONTENT].replace(b"\r\n", b"\n")
    root = mime.index(content)
    header = fields_of(content[: root.body_start].decode("utf-8", "surrogateescape"), decoded=True)
    kind = root.content_type
    parts = Parts(header, f"{kind.type.decode('latin-1')}/{kind.subtype.decode('latin-1')}".lower())
    texts: list[str] = []
    pages: list[str] = []
    for number, part in enumerate(_leaves(root)):
        if number == MAX_LEAVES:
            break
        _sort(content, part, parts, texts, pages)
    parts.prose = "\n\n".join(texts or [plain(page) for page in pages])[:MAX_PROSE]
    return parts


def _leaves(part: Part) -> Iterator[Part]:
    """Parts that are no multipart; a returned message is one of them."""
    if part.kind is Kind.MULTIPART:
        for child in part.children:
            yield from _leaves(child)
    else:
        yield part


def _sort(content: bytes, part: Part, parts: Parts, texts: list[str], pages: list[str]) -> None:
    main, sub = part.content_type.type, part.content_type.subtype
    if main == b"MESSAGE":
        if sub in (b"DELIVERY-STATUS", b"GLOBAL-DELIVERY-STATUS"):
            parts.status = "\n\n".join(filter(None, (parts.status, _text(content, part))))
        elif sub == b"FEEDBACK-REPORT":
            parts.feedback = _text(content, part)
        elif sub in (b"DISPOSITION-NOTIFICATION", b"GLOBAL-DISPOSITION-NOTIFICATION"):
            parts.disposition = True
        elif sub in (b"RFC822", b"GLOBAL", b"GLOBAL-HEADERS", b"PARTIAL") and not parts.original:
            parts.original = _text(content, part)
    elif main == b"TEXT" and sub == b"RFC822-HEADERS":
        parts.original = parts.original or _text(content, part)
    elif main == b"TEXT":
        (pages if sub == b"HTML" else texts).append(_text(content, part))


def _text(content: bytes, part: Part) -> str:
    octets = content[part.body_start : part.body_end]
    encoding = part.fields.get(b"content-transfer-encoding", b"").decode("latin-1")
    charset = next((v.decode("latin-1") for k, v in part.content_type.parameters if k == b"CHARSET"), "")
    text, _ = decode_text(decode_transfer(octets, encoding), charset)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def plain(page: str) -> str:
    """The words of an HTML page, a line for each of its blocks."""
    page = page[: 4 * MAX_PROSE]
    for name in ("style", "script", "head"):
        page = _without(page, name)
    page = _BREAK.sub("\n", page)
    from html import unescape  # 2,000 names that an idle server does not need

    return unescape(_TAG.sub(" ", page)).replace("\xa0", " ")


def _without(page: str, name: str) -> str:
    """The page less its elements of this name. Searched forward alone: no element is looked for twice."""
    lower = page.lower()
    kept, at = [], 0
    while (start := lower.find(f"<{name}", at)) >= 0:
        end = lower.find(f"</{name}", start)
        if end < 0:
            break
        kept.append(page[at:start])
        at = end
    return "".join([*kept, page[at:]])


def fields_of(block: str, *, decoded: bool = False) -> Fields:
    """The fields of one block of lines, names in lower case, values unfolded; the first of a name counts."""
    fields: Fields = {}
    for name, value in pairs_of(block):
        if len(fields) >= MAX_FIELDS:
            break
        if name not in fields:
            fields[name] = decode(value.encode("utf-8", "surrogateescape")) if decoded else value
    return fields


def pairs_of(block: str) -> Iterator[tuple[str, str]]:
    """Each field in its order. A line that is none belongs to the field in front of it, as sloppy reporters have it."""
    name, lines = "", [""]
    for line in block.split("\n"):
        start, colon, rest = line.partition(":")
        if colon and start and not start[0].isspace() and _NAME.fullmatch(start):
            if name:
                yield name, " ".join(lines)[:MAX_VALUE]
            name, lines = start.strip().lower(), [rest.strip()]
        elif len(lines) < 200:
            lines.append(line.strip())
    if name:
        yield name, " ".join(lines)[:MAX_VALUE].strip()


_NAME = re.compile(r"[!-9;-~]{1,80}[ \t]?")
