"""A message rewritten for a server that does not take 8-bit or binary content (RFC 6152 §3, RFC 3030 §3, RFC 2045 §6).

Parts that cannot pass are encoded anew, as quoted-printable or base64; the structure, all other parts and every header
field but Content-Transfer-Encoding stay octet for octet. What is signed is not touched: the signature would break.
Header fields beyond ASCII are left as they are.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator

from postroad.mail.header import Header
from postroad.mail.mime import Kind, Part, index

MAX_LINE = 998  # octets, RFC 5322 §2.1.1
_QUOTED_IF_FEWER = 6  # one octet of so many beyond ASCII: more, and base64 is shorter
_BASE64_PIECE = 57 * 1024  # octets that become whole lines of 76
_TEXT_PIECE = 64 * 1024

_SIGNATURES = (b"dkim-signature", b"arc-message-signature")
_UNTOUCHED = (b"SIGNED", b"ENCRYPTED")
_PLAIN_ENCODINGS = (b"", b"7bit", b"8bit", b"binary")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_HIGH = bytes(range(0x80, 0x100))


class CannotConvert(Exception):  # noqa: N818
    """The message has to stay as it is; says why, in words for its sender."""


def converted(content: bytes, *, eight_bit: bool = False) -> Iterator[bytes]:
    """The message in pieces, for a server that takes 7-bit content, or (`eight_bit`) 8-bit lines but nothing binary.

    Raises CannotConvert before the first piece.
    """
    root = index(content)
    _refuse_signed(content, root, eight_bit)
    return _entity(content, root, eight_bit, is_message=True)


def rewritten(content: bytes, *, eight_bit: bool = False) -> bytes:
    """The same whole, and safe to be sent by DATA. Raises CannotConvert."""
    made = b"".join(converted(content, eight_bit=eight_bit))
    if _BARE.search(made):  # between the parts, or in a header: whoever reads lines otherwise would see another end
        raise CannotConvert("between its parts are octets that no line of text may have")
    return made


def passes(octets: bytes, *, eight_bit: bool) -> bool:
    """Whether such a server takes these octets as they are: lines of at most 998 octets, ended by CRLF, no NUL."""
    if not (eight_bit or octets.isascii()) or _BARE.search(octets):
        return False
    return max(map(len, octets.split(b"\r\n"))) <= MAX_LINE


# --- what may not be touched ------------------------------------------------------------------------------------------


def _refuse_signed(content: bytes, part: Part, eight_bit: bool, *, is_message: bool = True) -> None:
    """Raises CannotConvert where something would change inside of what is signed."""
    octets = content[part.header_start : part.body_end]
    if passes(octets, eight_bit=eight_bit) and not _is_labelled(content, part, eight_bit):
        return
    if is_message:
        header = Header(content[part.header_start : part.body_start])
        if any(header.has(name) for name in _SIGNATURES):
            raise CannotConvert("it is signed, and a signature does not survive being rewritten")
    if part.content_type.type == b"MULTIPART" and part.content_type.subtype in _UNTOUCHED:
        raise CannotConvert("a part of it is signed or encrypted, and would be spoilt by being rewritten")
    if part.kind is Kind.LEAF and _encoding(part) not in _PLAIN_ENCODINGS:
        raise CannotConvert("a part says that it is encoded for 7 bits, and is not")
    for child in part.children:
        _refuse_signed(content, child, eight_bit, is_message=part.kind is Kind.MESSAGE)


def _is_labelled(content: bytes, part: Part, eight_bit: bool) -> bool:
    """Whether it, or what is inside, says that it is more than such a server takes."""
    too_much = (b"binary",) if eight_bit else (b"8bit", b"binary")
    return _encoding(part) in too_much or any(_is_labelled(content, child, eight_bit) for child in part.children)


def _encoding(part: Part) -> bytes:
    value = part.fields.get(b"content-transfer-encoding", b"")
    return value.partition(b"(")[0].strip().lower()


# --- writing ----------------------------------------------------------------------------------------------------------


def _entity(content: bytes, part: Part, eight_bit: bool, *, is_message: bool) -> Iterator[bytes]:
    whole = content[part.header_start : part.body_end]
    if passes(whole, eight_bit=eight_bit) and not _is_labelled(content, part, eight_bit):
        yield whole
        return
    block = content[part.header_start : part.body_start]
    if part.kind is not Kind.LEAF:
        yield _relabelled(block, b"7bit" if not eight_bit else b"8bit", is_message=is_message)
        yield from _inside(content, part, eight_bit)
        return
    body = content[part.body_start : part.body_end]
    if passes(body, eight_bit=eight_bit):
        yield _relabelled(block, b"8bit" if not body.isascii() else b"7bit", is_message=is_message)
        yield body
        return
    quoted = part.content_type.type == b"TEXT" and _suits_quoting(body)
    yield _relabelled(block, b"quoted-printable" if quoted else b"base64", is_message=is_message)
    yield from _quoted(body) if quoted else _base64(body)


def _inside(content: bytes, part: Part, eight_bit: bool) -> Iterator[bytes]:
    """The children, and between them the boundary lines as they are."""
    at = part.body_start
    for child in part.children:
        yield content[at : child.header_start]
        yield from _entity(content, child, eight_bit, is_message=part.kind is Kind.MESSAGE)
        at = child.body_end
    yield content[at : part.body_end]


def _relabelled(block: bytes, encoding: bytes, *, is_message: bool) -> bytes:
    """The header block with this Content-Transfer-Encoding, in the place of the old one, else at the end."""
    header = Header(block)
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    spans = list(header.spans(b"content-transfer-encoding"))
    if spans:
        start, _, end = spans[0]
        return block[:start] + field + block[end:]
    added = field
    if not header.has(b"content-type"):  # RFC 2045 §5.2: it was US-ASCII, and its octets say that it is not
        added = b"Content-Type: text/plain; charset=unknown-8bit\r\n" + added
    if is_message and not header.has(b"mime-version"):
        added = b"MIME-Version: 1.0\r\n" + added
    end = len(block) - 2 if block.endswith(b"\r\n\r\n") or block == b"\r\n" else len(block)
    return block[:end] + added + block[end:]


def _suits_quoting(body: bytes) -> bool:
    """Text in lines, mostly ASCII: it stays legible, and is not much longer than in base64."""
    beyond = len(body) - len(body.translate(None, _HIGH))
    return not _BARE.search(body) and beyond * _QUOTED_IF_FEWER <= len(body)


def _quoted(body: bytes) -> Iterator[bytes]:
    """RFC 2045 §6.7, a few lines at a time."""
    at = 0
    while at < len(body):
        end = body.find(b"\n", min(at + _TEXT_PIECE, len(body))) + 1 or len(body)
        yield b2a_qp(body[at:end].replace(b"\r\n", b"\n"), istext=True).replace(b"\n", b"\r\n")
        at = end


def _base64(body: bytes) -> Iterator[bytes]:
    """RFC 2045 §6.8. The last line has no end: a boundary's line brings it, and a message's gets one."""
    for start in range(0, len(body), _BASE64_PIECE):
        piece = body[start : start + _BASE64_PIECE]
        lines = [b2a_base64(piece[at : at + 57], newline=False) for at in range(0, len(piece), 57)]
        yield b"\r\n".join(lines) + b"\r\n"
