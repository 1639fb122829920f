"""What a message may say: limits, addresses, headers, attachments. A `SendRequest` becomes a `Letter`, or is refused.

Pure. Whether its sender, stream and recipients are known here is for `outbox`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from postroad.mail.address import Address
from postroad.mail.compose import Attachment, ComposeError, compose
from postroad.mail.header import decode
from postroad.mail.people import PeopleError, Person, read_people
from postroad.web.postmark.errors import error, invalid, wrong_fields
from postroad.web.postmark.request import FileRequest, SendRequest

MAX_RECIPIENTS = 50  # To, Cc and Bcc together
MAX_FROM = 255  # characters
MAX_SUBJECT = 2000
MAX_TAG = 1000
MAX_BODY = 5 * 1024 * 1024  # octets of each body
MAX_MESSAGE = 10 * 1024 * 1024  # octets of bodies and attachments, these in base64
MAX_METADATA = 10  # pairs
MAX_METADATA_KEY = 20  # characters
MAX_METADATA_VALUE = 80
MAX_HEADERS = 100
MAX_HEADER_VALUE = 16 * 1024  # characters: many List-Unsubscribe links or References
MAX_FILE_NAME = 1000

FORBIDDEN_FILES: Final = frozenset((
    "vbs", "exe", "bin", "bat", "chm", "com", "cpl", "crt", "hlp", "hta", "inf", "ins", "isp", "jse", "lnk", "mdb",
    "pcd", "pif", "reg", "scr", "sct", "shs", "vbe", "vba", "wsf", "wsh", "wsl", "msc", "msi", "msp", "mst",
))  # fmt: skip
TRACK_LINKS: Final = {word.lower(): word for word in ("None", "HtmlAndText", "HtmlOnly", "TextOnly")}

# Custom headers by these names are passed over: fields of the request say the same, or they are not for senders to say.
_PASSED_OVER: Final = frozenset((
    "from", "to", "cc", "bcc", "subject", "date", "mime-version", "received", "return-path", "delivered-to", "tag",
    "attachment", "track-opens", "track-links", "message-stream", "postmark-template-alias", "resent-bcc", "sender",
))  # fmt: skip
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_LINE_ENDS = re.compile(r"[\r\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MESSAGE_ID = re.compile(r"<?([!-;=?-~]{1,450}@[!-;=?-~]{1,450})>?")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
_PARAMETER = re.compile(r";\s*([A-Za-z0-9-]{1,40})\s*=\s*\"?([A-Za-z0-9!#$&^_.+-]{1,100})\"?\s*(?=;|$)")
_KEPT_PARAMETERS = frozenset(("charset", "method", "component", "format", "delsp"))  # others are about names and bounds
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,900}")
_SPACES = str.maketrans("", "", " \t\r\n")


class Letter(Struct):
    """A message that may be sent, as far as it can be judged by itself."""

    sender: Person
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    bcc: tuple[Person, ...]
    reply_to: tuple[Person, ...]
    subject: str
    text: str
    html: str
    attachments: list[Attachment]
    fields: list[tuple[str, str]]
    message_id: str  # as asked for, with its angle brackets, or ""
    stream: str
    tag: str
    metadata: Mapping[str, str]
    tracking: Mapping[str, str]
    size: int  # octets, about
    echo_to: str  # as they were given
    echo_cc: str
    echo_bcc: str

    @property
    def recipients(self) -> list[Address]:
        """All of them, each once, in order."""
        return list(dict.fromkeys(person.address for person in (*self.to, *self.cc, *self.bcc)))

    def forget(self) -> None:
        """It is composed: what is large need not be kept any longer."""
        self.text = self.html = ""
        self.attachments = []

    def content(self, *, uuid: str, hostname: str, date: datetime) -> bytes:
        """The message. Bcc is not in it. Raises ApiError."""
        fields = [("X-PM-Message-Id", uuid)]
        if self.tag:
            fields.append(("X-PM-Tag", self.tag))
        try:
            return compose(
                header_from=self.sender,
                to=self.to,
                cc=self.cc,
                reply_to=self.reply_to,
                subject=self.subject,
                date=date,
                message_id=self.message_id or f"<{uuid}@{hostname}>",
                text=self.text,
                html=self.html,
                attachments=self.attachments,
                fields=[*self.fields, *fields],
            )
        except ComposeError as problem:
            raise invalid(f"{problem}.") from None


def check(request: SendRequest) -> Letter:
    """The letter. Raises ApiError."""
    sender = _sender(request.sender)
    to, cc, bcc = _recipients(request)
    fields, reply_to, message_id = _headers(request.headers)
    size = _size(request)
    return Letter(
        sender,
        to,
        cc,
        bcc,
        _people("ReplyTo", request.reply_to or reply_to),
        _line("Subject", request.subject, MAX_SUBJECT),
        request.text,
        request.html,
        [_attachment(file) for file in request.attachments],
        fields,
        message_id,
        request.stream.strip(),
        _line("Tag", request.tag, MAX_TAG),
        _metadata(request.metadata),
        _tracking(request),
        size,
        request.to,
        request.cc,
        request.bcc,
    )


# --- people -----------------------------------------------------------------------------------------------------------


def _sender(text: str) -> Person:
    if len(text) > MAX_FROM:
        raise invalid(f"Invalid 'From' address: it is longer than {MAX_FROM} characters.")
    people = _people("From", text)
    if not people:
        raise invalid(f"Invalid 'From' address: '{text}'.")
    return people[0]  # of several only the first counts


def _recipients(request: SendRequest) -> tuple[tuple[Person, ...], tuple[Person, ...], tuple[Person, ...]]:
    to, cc, bcc = _people("To", request.to), _people("Cc", request.cc), _people("Bcc", request.bcc)
    number = len(to) + len(cc) + len(bcc)
    if not number:
        raise invalid("Zero recipients specified.")
    if number > MAX_RECIPIENTS:
        raise invalid(
            f"Too many recipients: a message takes {MAX_RECIPIENTS} in To, Cc and Bcc together, not {number}."
        )
    return to, cc, bcc


def _people(field: str, text: str) -> tuple[Person, ...]:
    if not text:
        return ()
    if "\n" in text or "\r" in text:
        text = _joined(text)
    try:
        people = read_people(text)
    except PeopleError as problem:
        raise invalid(f"Invalid '{field}' address: '{problem.given}'.") from None
    for person in people:
        domain = person.address.domain
        if "." not in domain.ascii or domain.is_literal:
            raise invalid(f"Invalid '{field}' address: '{person.address}'.")
    return tuple([_readable(person) for person in people]) if "=?" in text else people


def _readable(person: Person) -> Person:
    """Some clients encode names for a header before they send them as JSON."""
    return Person(decode(person.name.encode()), person.address) if "=?" in person.name else person


# --- texts ------------------------------------------------------------------------------------------------------------


def _line(field: str, text: str, limit: int) -> str:
    """A text of one line: what was folded is joined again, so that nothing can begin a header of its own."""
    if len(text) > limit:
        raise invalid(f"'{field}' is longer than {limit} characters.")
    return _unfolded(field, text)


def _unfolded(field: str, text: str) -> str:
    if not _CONTROL.search(text):
        return text
    text = _joined(text)
    if _CONTROL.search(text):
        raise invalid(f"'{field}' holds a control character.")
    return text


def _joined(text: str) -> str:
    """Its lines as one. A pattern for line ends with the spaces around them would take time by the square of these."""
    return " ".join([line.strip(" \t") for line in _LINE_ENDS.split(text.strip())])


def _size(request: SendRequest) -> int:
    if not request.text and not request.html:
        raise invalid("Provide either email TextBody or HtmlBody or both.")
    bodies = [_octets(request.text), _octets(request.html)]
    if max(bodies) > MAX_BODY:
        raise invalid(f"A body may have {MAX_BODY:,} bytes.")
    size = sum(bodies) + sum(len(file.content) for file in request.attachments)
    if size > MAX_MESSAGE:
        raise invalid(f"A message may have {MAX_MESSAGE:,} bytes, attachments in base64 included.")
    return size


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _metadata(given: dict[str, str]) -> dict[str, str]:
    if len(given) > MAX_METADATA:
        raise invalid(f"Invalid metadata content. There are {len(given)} pairs; a message takes {MAX_METADATA}.")
    for key, value in given.items():
        if not key or len(key) > MAX_METADATA_KEY:
            raise invalid(
                f"Invalid metadata content. The key '{key}' does not have 1 to {MAX_METADATA_KEY} characters."
            )
        if len(value) > MAX_METADATA_VALUE:
            raise invalid(f"Invalid metadata content. The value of '{key}' is longer than {MAX_METADATA_VALUE}.")
    return given


def _tracking(request: SendRequest) -> dict[str, str]:
    """What was asked for, as the event of the message's arrival keeps it."""
    tracking = {}
    if request.track_opens is not None:
        tracking["track_opens"] = "true" if request.track_opens else "false"
    if request.track_links:
        links = TRACK_LINKS.get(request.track_links.lower())
        if links is None:
            raise wrong_fields("TrackLinks")
        tracking["track_links"] = links
    return tracking


# --- headers and files ------------------------------------------------------------------------------------------------


def _headers(given: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], str, str]:
    """Those that stay, and the values of Reply-To and Message-ID among them."""
    if len(given) > MAX_HEADERS:
        raise invalid(f"There are {len(given)} Headers; a message takes {MAX_HEADERS}.")
    fields = []
    found = {"reply-to": "", "message-id": ""}
    for name, value in given:
        key = name.lower()
        if not _FIELD_NAME.fullmatch(name):
            raise invalid(f"Invalid header name: '{name}'.")
        if len(value) > MAX_HEADER_VALUE:
            raise invalid(f"The header '{name}' is longer than {MAX_HEADER_VALUE} characters.")
        value = _unfolded(name, value)  # noqa: PLW2901 - the same value, made safe
        if key in found:
            found[key] = value
        elif key not in _PASSED_OVER and not key.startswith(("content-", "x-pm-")):
            fields.append((name, value))
    return fields, found["reply-to"], _message_id(found["message-id"])


def _message_id(value: str) -> str:
    match = _MESSAGE_ID.fullmatch(value.strip())
    if value and not match:
        raise invalid(f"Invalid 'Message-ID': '{value}'.")
    return f"<{match[1]}>" if match else ""


def _attachment(file: FileRequest) -> Attachment:
    name = _line("Name", file.name, MAX_FILE_NAME)
    if not name:
        raise invalid("An attachment has no 'Name'.")
    extension = name.rstrip(". \t").rpartition(".")[2].strip().lower()  # Windows passes over dots and spaces at the end
    if extension in FORBIDDEN_FILES and "." in name:
        raise error(411, name, f".{extension}")
    content_id = file.content_id.strip().removeprefix("cid:").strip("<>")
    if content_id and not _CONTENT_ID.fullmatch(content_id):
        raise invalid(f"The 'ContentID' of the attachment '{name}' is not one plain word.")
    return Attachment(name, _from_base64(name, file.content), _media_type(file.content_type), content_id)


def _from_base64(name: str, content: str) -> bytes:
    try:
        octets = content.encode("ascii")
        try:
            return binascii.a2b_base64(octets, strict_mode=True)
        except binascii.Error:  # with line breaks, or without its padding
            octets = content.translate(_SPACES).encode("ascii").rstrip(b"=")
            return binascii.a2b_base64(octets + b"=" * (-len(octets) % 4), strict_mode=True)
    except ValueError:
        raise invalid(f"The 'Content' of the attachment '{name}' is not base64.") from None


def _media_type(given: str) -> str:
    """The type with what a reader needs to know of it; what is no type at all is just octets."""
    kind, semicolon, rest = given.strip().partition(";")
    if not _MEDIA_TYPE.fullmatch(kind.strip()):
        return "application/octet-stream"
    kept = [pair for pair in _PARAMETER.findall(semicolon + rest) if pair[0].lower() in _KEPT_PARAMETERS]
    return "; ".join([kind.strip(), *(f"{key}={value}" for key, value in kept[:4])])
