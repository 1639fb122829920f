"""The IMAP texts of a message: ENVELOPE, BODYSTRUCTURE and BODY (RFC 3501 §7.4.2), rendered once, at delivery.

They are the exact octets that go on the wire to sessions without UTF8=ACCEPT. Such clients do not expect raw 8-bit
text, so UTF-8 in names, subjects and file names becomes encoded words and RFC 2231 values (in the spirit of RFC 6857);
other 8-bit text cannot be named and goes as it is, in a literal, which may hold any octet but NUL. Pure.
"""

from __future__ import annotations

from binascii import b2a_base64
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote_from_bytes

import idna
from msgspec import Struct

from postroad.mail.addresses import Mailbox, parse_addresses
from postroad.mail.dates import parse_date
from postroad.mail.header import decode
from postroad.mail.mime import ENTITY_FIELDS, Kind, Part, index, pack_sections
from postroad.mail.parameters import ContentType, Parameters, parse_disposition, strip_comments

RENDERER = 1  # grows when a text would come out differently; stored ones of older versions are rendered anew when read

MAX_STORED = 200  # characters of subject, From and Message-ID that are kept for search

_QUOTABLE = bytes(range(1, 10)) + bytes((11, 12)) + bytes(n for n in range(14, 128) if n not in b'"\\')
_NEVER = b"\r\n\x00"  # not in a quoted string; in our texts nowhere
_RARE = ENTITY_FIELDS - {b"content-type", b"content-transfer-encoding"}
_CACHED = 256  # longer values are not remembered


class Rendering(Struct, frozen=True, gc=False):
    """What delivery stores beside a message (`ports.store.Content`) and about it (`ports.store.Message`)."""

    envelope: bytes
    bodystructure: bytes
    body: bytes
    header_size: int
    sections: bytes
    message_id: str
    subject: str
    header_from: str
    sent: datetime | None


def render(content: bytes) -> Rendering:
    """Render `content`; never raises, whatever the octets. For large content call it in a worker thread."""
    root = index(content)
    fields = root.fields
    get = fields.get
    bodystructure, body = _structure(content, root)
    return Rendering(
        envelope(fields),
        bodystructure,
        body,
        root.body_start,
        pack_sections(root),
        decode(get(b"message-id", b""))[:MAX_STORED],
        decode(subject)[:MAX_STORED] if (subject := get(b"subject")) else "",
        _decoded(get(b"from", b""))[:MAX_STORED],
        parse_date(get(b"date", b"")),
    )


# --- strings ----------------------------------------------------------------------------------------------------------


def quote(value: bytes) -> bytes:
    """`value` as an IMAP string: quoted where that is possible, else a literal (RFC 3501 §4.3)."""
    rest = value.translate(None, _QUOTABLE)
    if not rest:
        return b'"%b"' % value
    if any(octet in rest for octet in _NEVER):
        value = value.translate(None, _NEVER)
    if value.isascii():
        return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """NIL for what is not there."""
    return b"NIL" if value is None else quote(value)


def text_nstring(value: bytes | None) -> bytes:
    """Unstructured text: UTF-8 becomes encoded words (RFC 2047)."""
    if value is None or value.isascii():
        return nstring(value)
    return quote(encoded_words(value))


def encoded_words(value: bytes, size: int = 45) -> bytes:
    """UTF-8 as encoded words of at most 75 octets, cut between characters; anything else as it is.

    RFC 2047 §2: `size` octets of text, 45 or fewer, are 60 of base64 with 12 around them.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    words, chunk = [], b""
    for character in map(str.encode, text):
        if len(chunk) + len(character) > size:
            words.append(chunk)
            chunk = b""
        chunk += character
    words.append(chunk)
    return b" ".join(b"=?utf-8?b?%b?=" % b2a_base64(word, newline=False) for word in words)


# --- ENVELOPE ---------------------------------------------------------------------------------------------------------


def envelope(fields: dict[bytes, bytes]) -> bytes:
    """`(date subject from sender reply-to to cc bcc in-reply-to message-id)` from unfolded fields."""
    get = fields.get
    header_from = _address_list(get(b"from"))
    sender = _address_list(get(b"sender"))
    reply_to = _address_list(get(b"reply-to"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(get(b"date")),
        text_nstring(get(b"subject")),
        header_from,
        header_from if sender == b"NIL" else sender,  # RFC 3501 §7.4.2: absent or empty, they are the From
        header_from if reply_to == b"NIL" else reply_to,
        _address_list(get(b"to")),
        _address_list(get(b"cc")),
        _address_list(get(b"bcc")),
        nstring(get(b"in-reply-to")),
        nstring(get(b"message-id")),
    )


def _address_list(value: bytes | None) -> bytes:
    if not value:
        return b"NIL"
    return _cached_addresses(value) if len(value) <= _CACHED else _addresses(value)


def _addresses(value: bytes) -> bytes:
    mailboxes = parse_addresses(value)
    return b"(%b)" % b"".join(map(_address, mailboxes)) if mailboxes else b"NIL"


_cached_addresses = lru_cache(maxsize=1024)(_addresses)
_decoded = lru_cache(maxsize=256)(decode)


def _address(mailbox: Mailbox) -> bytes:
    name, route, local_part, domain = mailbox
    if local_part is not None and domain is not None and not (local_part.isascii() and domain.isascii()):
        local_part, domain = encoded_words(local_part), _ascii_domain(domain)
    elif domain is None:  # the name of a group
        return b"(NIL NIL %b NIL)" % text_nstring(local_part)
    return b"(%b %b %b %b)" % (text_nstring(name), nstring(route), nstring(local_part), nstring(domain))


def _ascii_domain(domain: bytes) -> bytes:
    """A-labels; what has none stays as it is."""
    try:
        return domain if domain.isascii() else idna.encode(domain.decode(), uts46=True)
    except (UnicodeError, idna.IDNAError):
        return encoded_words(domain)


# --- BODYSTRUCTURE ----------------------------------------------------------------------------------------------------


def _structure(content: bytes, part: Part) -> tuple[bytes, bytes]:
    """BODYSTRUCTURE and BODY of one part."""
    if part.kind is Kind.LEAF and _RARE.isdisjoint(part.fields):
        return _leaf(content, part)
    get = part.fields.get
    kind = part.content_type
    extension = _extension(part)
    if part.kind is Kind.MULTIPART:
        children = [_structure(content, child) for child in part.children]
        subtype, parameters = quote(kind.subtype), _parameters(kind.parameters)
        full = b"(%b %b %b %b)" % (b"".join([child[0] for child in children]), subtype, parameters, extension)
        return full, b"(%b %b)" % (b"".join([child[1] for child in children]), subtype)
    start = b"%b %b %b %b %d" % (
        _cached_kind(kind) if len(get(b"content-type", b"")) <= _CACHED else _kind(kind),
        nstring(get(b"content-id")),
        text_nstring(get(b"content-description")),
        _encoding(get(b"content-transfer-encoding")),
        part.body_end - part.body_start,
    )
    md5 = nstring(get(b"content-md5"))
    if part.kind is Kind.MESSAGE:
        inside, lines = part.children[0], _lines(content, part)
        texts, inner = envelope(inside.fields), _structure(content, inside)
        full = b"(%b %b %b %d %b %b)" % (start, texts, inner[0], lines, md5, extension)
        return full, b"(%b %b %b %d)" % (start, texts, inner[1], lines)
    if kind.type == b"TEXT":
        start = b"%b %d" % (start, _lines(content, part))
    return b"(%b %b %b)" % (start, md5, extension), b"(%b)" % start


def _leaf(content: bytes, part: Part) -> tuple[bytes, bytes]:
    """The same of a part that says nothing but its type and encoding, as most parts and nearly all plain mail do."""
    kind, get = part.content_type, part.fields.get
    start = b"%b NIL NIL %b %d" % (
        _cached_kind(kind) if len(get(b"content-type", b"")) <= _CACHED else _kind(kind),
        _encoding(get(b"content-transfer-encoding")),
        part.body_end - part.body_start,
    )
    if kind.type == b"TEXT":
        start = b"%b %d" % (start, _lines(content, part))
    return b"(%b NIL NIL NIL NIL)" % start, b"(%b)" % start


def _kind(kind: ContentType) -> bytes:
    return b"%b %b %b" % (quote(kind.type), quote(kind.subtype), _parameters(kind.parameters))


_cached_kind = lru_cache(maxsize=256)(_kind)


def _lines(content: bytes, part: Part) -> int:
    """Lines of the body; one without an end counts."""
    start, end = part.body_start, part.body_end
    unfinished = end > start and content[end - 1] != 10
    return content.count(b"\n", start, end) + unfinished


def _encoding(value: bytes | None) -> bytes:
    """Content-Transfer-Encoding; 7BIT where nothing is said (RFC 2045 §6.1)."""
    if not value:
        return b'"7BIT"'
    return _cached_encoding(value) if len(value) <= _CACHED else b'"7BIT"'


@lru_cache(maxsize=64)
def _cached_encoding(value: bytes) -> bytes:
    words = strip_comments(value).split()
    return quote(words[0].upper()) if words else b'"7BIT"'


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join([_parameter(name, value) for name, value in parameters])


def _parameter(name: bytes, value: bytes) -> bytes:
    """A raw UTF-8 value, mostly a file name, is said as RFC 2231 has it."""
    if not value.isascii() and not name.endswith(b"*"):
        try:
            value.decode()
        except UnicodeDecodeError:
            pass
        else:
            name, value = name + b"*", b"utf-8''" + quote_from_bytes(value, safe="").encode()
    return b"%b %b" % (quote(name), quote(value))


def _extension(part: Part) -> bytes:
    """`disposition language location`: what ends every BODYSTRUCTURE."""
    get = part.fields.get
    disposition, language, location = get(b"content-disposition"), get(b"content-language"), get(b"content-location")
    if disposition is None and language is None and location is None:
        return b"NIL NIL NIL"
    parsed = parse_disposition(disposition) if disposition else None
    shown = b"(%b %b)" % (quote(parsed.kind), _parameters(parsed.parameters)) if parsed else b"NIL"
    return b"%b %b %b" % (shown, _languages(language), nstring(location))


def _languages(value: bytes | None) -> bytes:
    """RFC 3282: tags with commas between; one is a string, several a list."""
    tags = [quote(tag) for word in strip_comments(value or b"").split(b",")[:100] if (tag := word.strip())]
    if not tags:
        return b"NIL"
    return tags[0] if len(tags) == 1 else b"(%b)" % b" ".join(tags)
