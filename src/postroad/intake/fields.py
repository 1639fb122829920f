"""What acceptance adds to a header block and takes out of it; every other octet stays (docs/concepts/trust.md).

Always: our Received field on top. From our own people also Date, Message-ID and Sender where they are missing (RFC 6409
§8.1 to §8.3), and Bcc is taken out (RFC 5322 §3.6.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from postroad.mail.addresses import parse_addresses
from postroad.mail.envelope import BodyFlag
from postroad.mail.header import Header, date_time, starts_with_field
from postroad.proto.smtp.body import hides_a_dot

_HIDDEN = (b"bcc", b"resent-bcc")
_MAX_LINE = 998  # RFC 5322 §2.1.1


def header_length(content: bytes) -> int | None:
    """Octets of the header block of content that may still be growing; None when its end is not yet there.

    0 when there is none: the text began at once. It then stays text: an empty line will stand in front of it.
    """
    if not starts_with_field(content):
        return 0
    if content.startswith(b"\r\n"):
        return 2
    end = content.find(b"\r\n\r\n")
    return None if end < 0 else end + 4


def final_header(header: Header, trace: bytes, added: bytes) -> bytes:
    """The header block as it is stored: our trace field, what else we add, then what came."""
    return trace + added + (header.raw or b"\r\n")


def without_hidden(header: Header) -> Header:
    """Less the Bcc fields, which are for the submitter's server alone."""
    kept = header.without(*_HIDDEN)
    return header if kept is header.raw else Header(kept)


def missing_fields(
    header: Header,
    *,
    id: str,  # noqa: A002
    hostname: str,
    now: datetime,
    sender: str = "",
    authors: Sequence[bytes] = (),
) -> bytes:
    """Date and Message-ID, where a submitted message has none; Sender, where several write and nobody says who sends
    (RFC 5322 §3.6.2, RFC 6409 §8.1): `authors` are its From fields."""
    added = b""
    if not header.has(b"date"):
        added += f"Date: {date_time(now)}\r\n".encode()
    if not header.has(b"message-id"):
        added += f"Message-ID: <{id}@{hostname}>\r\n".encode()
    if len(authors) == 1 and b"," in authors[0] and sender.isascii() and not header.has(b"sender"):
        people = [person for person in parse_addresses(authors[0]) if person.domain is not None]
        if sender and len(people) > 1:
            added += f"Sender: <{sender}>\r\n".encode()
    return added


def body_flags(content: bytes) -> BodyFlag:
    """The facts of content that did not come through SMTP, whose reader finds them on the way."""
    flags = BodyFlag.NONE
    if content.startswith(b".") or b"\n." in content:
        flags |= BodyFlag.DOT_LINES
    if not content.isascii():
        flags |= BodyFlag.EIGHT_BIT
    if b"\0" in content:
        flags |= BodyFlag.NUL
        if hides_a_dot(content):
            flags |= BodyFlag.BINARY
    if max(map(len, content.split(b"\r\n"))) > _MAX_LINE:
        flags |= BodyFlag.LONG_LINES
    return flags


def wire_lines(content: bytes) -> bytes:
    """Content of this machine's tools with CRLF at the end of every line, as mail has it (RFC 5321 §2.3.8)."""
    if content.startswith(b"From "):  # an mbox separator, which sendmail takes for none of the message
        content = content[content.find(b"\n") + 1 :]
    if content.count(b"\n") != content.count(b"\r\n") or content.count(b"\r") != content.count(b"\r\n"):
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return content if content.endswith(b"\r\n") or not content else content + b"\r\n"
