"""Builds a message from fields, bodies and attachments (RFC 5322, RFC 2045): 7-bit, lines short, any reader's food.

Pure: the caller brings date and Message-ID. What cannot be said in a header raises `ComposeError` and is not smuggled.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from postroad.mail.header import date_time
from postroad.mail.people import PeopleError, Person, encoded, read_people, spell

MAX_LINE = 76  # RFC 2045 §6.7 and §6.8; RFC 5322 §2.1.1 would have 78
MAX_TEXT_LINE = 998  # RFC 5322 §2.1.1
MAX_WORD = 900  # octets of a word in a field: behind the longest name it is still in a line

_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")  # RFC 5322 §3.6.8
_MEDIA_TYPE = re.compile(  # RFC 6838 §4.2; parameters whose values are tokens
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:; ?[A-Za-z0-9-]{1,40}=[A-Za-z0-9!#$&^_.+-]{1,100}){0,4}"
)
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,900}")  # RFC 2045 §7 wants left@right; mail programs write any word
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,450}@[!-;=?-~]{1,450}>")
_OWN = frozenset(("from", "to", "cc", "reply-to", "subject", "date", "message-id", "mime-version"))

Entity = tuple[list[bytes], bytes]  # header lines and encoded body


class ComposeError(ValueError):
    """The message cannot be built as asked; says why."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; its media type may have parameters. With `content_id` (without angle brackets) it is inline, for HTML to
    refer to as `cid:`."""

    name: str
    content: bytes
    media_type: str = "application/octet-stream"
    content_id: str = ""


def compose(
    *,
    header_from: str | Person,
    to: Sequence[str | Person],
    subject: str,
    date: datetime,
    message_id: str,
    text: str = "",
    html: str = "",
    cc: Sequence[str | Person] = (),
    reply_to: Sequence[str | Person] = (),
    attachments: Sequence[Attachment] = (),
    fields: Iterable[tuple[str, str]] = (),
) -> bytes:
    """The message, lines ended with CRLF. Addresses are `a@b` or `Name <a@b>`. Raises ComposeError."""
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ComposeError("a Message-ID looks like <left@right>")
    lines = [_address_field("From", [header_from])]
    lines += [
        _address_field(name, values) for name, values in (("Reply-To", reply_to), ("To", to), ("Cc", cc)) if values
    ]
    lines.append(text_field("Subject", subject))
    lines += [b"Date: " + date_time(date).encode(), b"Message-ID: " + message_id.encode()]
    lines += [_other_field(name, value) for name, value in fields]
    lines.append(b"MIME-Version: 1.0")
    entity, body = _content(text, html, attachments)
    return b"\r\n".join([*lines, *entity, b"", body])


# --- fields -----------------------------------------------------------------------------------------------------------


def text_field(name: str, value: str) -> bytes:
    """An unstructured field, folded; encoded words where it is not ASCII or a word is too long for a line."""
    if _CONTROL.search(value):
        raise ComposeError(f"{name} holds a control character")
    octets = value.encode("utf-8", "surrogatepass")
    words = octets.split(b" ")
    if not octets.isascii() or max(map(len, words)) > MAX_LINE - 2 or b"=?" in octets:
        words = _encoded(octets)
    return _fold(name.encode() + b":", words)


def _other_field(name: str, value: str) -> bytes:
    if not _FIELD_NAME.fullmatch(name):
        raise ComposeError(f"{name!r} is no name for a field")
    if name.lower() in _OWN or name.lower().startswith("content-"):
        raise ComposeError(f"{name} is set by an option of its own")
    if _CONTROL.search(value):
        raise ComposeError(f"{name} holds a control character")
    octets = value.encode("utf-8", "surrogatepass")
    words = octets.split(b" ")
    if octets.isascii() and max(map(len, words)) <= MAX_WORD:
        return _fold(name.encode() + b":", words)  # as it is: a URL or a message id in encoded words is none any more
    return text_field(name, value)


def _address_field(name: str, values: Sequence[str | Person]) -> bytes:
    people: list[Person] = []
    for value in values:
        people += _people(name, value) if isinstance(value, str) else (value,)
    if not people or (name == "From" and len(people) > 1):
        raise ComposeError(f"{name} needs {'one address' if name == 'From' else 'an address'}")
    words = [*spell(people[0])]
    for person in people[1:]:
        words[-1] += b","
        words += spell(person)
    return _fold(name.encode() + b":", words)


def _people(name: str, value: str) -> Sequence[Person]:
    try:
        return read_people(value)
    except PeopleError as error:
        raise ComposeError(f"{name}: {error.given}: {error}") from None


def _encoded(octets: bytes) -> list[bytes]:
    try:
        octets.decode()
    except UnicodeDecodeError as error:
        raise ComposeError("a lone surrogate is no text") from error
    return encoded(octets)


def _fold(line: bytes, words: list[bytes]) -> bytes:
    """RFC 5322 §2.2.3: a line end may stand before each space, but a line must not be white space alone."""
    whole = b" ".join([line, *words])
    if len(whole) <= MAX_LINE:
        return whole
    lines = []
    for word in words:
        if len(line) + 1 + len(word) > MAX_LINE and word and line.strip() and not line.endswith(b":"):
            lines.append(line)
            line = b""
        line += b" " + word
    return b"\r\n".join([*lines, line])


# --- bodies -----------------------------------------------------------------------------------------------------------


def _content(text: str, html: str, attachments: Sequence[Attachment]) -> Entity:
    bodies = [_text("plain", text)] if text or not html else []
    if html:
        related = [attachment for attachment in attachments if attachment.content_id]
        page = _text("html", html)
        bodies.append(_multipart("related", [page, *map(_file, related)]) if related else page)
        attachments = [attachment for attachment in attachments if not attachment.content_id]
    content = bodies[0] if len(bodies) == 1 else _multipart("alternative", bodies)
    return _multipart("mixed", [content, *map(_file, attachments)]) if attachments else content


def _text(subtype: str, text: str) -> Entity:
    octets = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    if octets and not octets.endswith(b"\n"):
        octets += b"\n"
    charset = b"us-ascii" if octets.isascii() else b"utf-8"
    lines = [b"Content-Type: text/%b; charset=%b" % (subtype.encode(), charset)]
    longest = max(map(len, octets.split(b"\n")))
    if octets.isascii() and longest <= MAX_TEXT_LINE - 20 and b"--=_" not in octets and b"\0" not in octets:
        return [*lines, b"Content-Transfer-Encoding: 7bit"], octets.replace(b"\n", b"\r\n")
    encoded = binascii.b2a_qp(octets, istext=True).replace(b"\n", b"\r\n")
    return [*lines, b"Content-Transfer-Encoding: quoted-printable"], encoded


def _file(attachment: Attachment) -> Entity:
    if not _MEDIA_TYPE.fullmatch(attachment.media_type):
        raise ComposeError(f"{attachment.media_type!r} is no media type")
    kind = attachment.media_type
    if kind.lower().startswith(("multipart/", "message/")):
        kind = "application/octet-stream"  # RFC 2046 §5.2.1: these must not be in base64
    lines = [b"Content-Type: " + kind.encode(), b"Content-Transfer-Encoding: base64"]
    lines.append(_disposition("inline" if attachment.content_id else "attachment", attachment.name))
    if attachment.content_id:
        if not _CONTENT_ID.fullmatch(attachment.content_id):
            raise ComposeError(f"{attachment.content_id!r} is no Content-ID: it is one word without angle brackets")
        lines.append(b"Content-ID: <%b>" % attachment.content_id.encode())
    return lines, _base64(attachment.content)


def _disposition(kind: str, name: str) -> bytes:
    """With the file's name, where it has one: quoted, or as RFC 2231 has it."""
    if _CONTROL.search(name):
        raise ComposeError("a file name holds a control character")
    if not name:
        return f"Content-Disposition: {kind}".encode()
    if name.isascii() and len(name) <= MAX_LINE - 20:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'Content-Disposition: {kind};\r\n filename="{escaped}"'.encode()
    value = "utf-8''" + quote(name, safe="", errors="replace")
    pieces = [value[start : start + 60] for start in range(0, len(value), 60)]
    if len(pieces) == 1:
        return f"Content-Disposition: {kind};\r\n filename*={value}".encode()
    parts = "".join(f";\r\n filename*{number}*={piece}" for number, piece in enumerate(pieces))
    return f"Content-Disposition: {kind}{parts}".encode()


def _base64(content: bytes) -> bytes:
    return b"".join(
        binascii.b2a_base64(content[start : start + 57], newline=False) + b"\r\n"
        for start in range(0, len(content), 57)  # RFC 2045 §6.8: 76 characters a line
    )


def _multipart(subtype: str, parts: Sequence[Entity]) -> Entity:
    # "--=_" occurs in no base64, in no quoted-printable, and (see `_text`) in no 7-bit body (RFC 2046 §5.1.1)
    boundary = b"=_" + subtype.encode()
    pieces = [b"\r\n".join([b"--" + boundary, *lines, b"", body]) for lines, body in parts]
    pieces.append(b"--" + boundary + b"--\r\n")
    return [b'Content-Type: multipart/%b; boundary="%b"' % (subtype.encode(), boundary)], b"\r\n".join(pieces)
