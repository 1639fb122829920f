"""Programs that submit by SMTP with a server's token as user and password, as Postmark's customers do.

They send from domains of ours alone, and say by X-PM fields what the HTTP API has in its request: stream, tag,
metadata, tracking. Those fields are read and taken out. What cannot be done is refused at the end of the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from postroad.accounts.suppressions import Suppressions
from postroad.accounts.tokens import Access, Tokens
from postroad.intake.checks.ownership import read_authors
from postroad.mail.header import Header
from postroad.mail.status import Status, status
from postroad.ports.sending import DEFAULT_STREAM, ServerRecord, StreamKind

MAX_TAG = 1000  # characters
MAX_METADATA = 10  # pairs
MAX_METADATA_KEY = 20  # characters
MAX_METADATA_VALUE = 80
TRACK_LINKS = {word.lower(): word for word in ("None", "HtmlAndText", "HtmlOnly", "TextOnly")}

_PREFIX = b"x-pm-"
_FIELD = re.compile(rb"(?im)^(x-pm-[!-9;-~]{1,70})[ \t]*:")
_METADATA = b"x-pm-metadata-"
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")

NOT_OURS = status(550, "5.7.1", "a server's token sends only from domains of this server")
REVOKED = status(550, "5.7.1", "the token that this session has logged in with was revoked")
SUPPRESSED = status(550, "5.7.1", "the recipient is suppressed on this stream")


class Asked(Struct, frozen=True):
    """What a message's X-PM fields ask for; `fault` is what cannot be done."""

    stream: str = DEFAULT_STREAM
    tag: str = ""
    metadata: Mapping[str, str] = {}
    tracking: Mapping[str, str] = {}
    keep_id: bool = False
    domains: tuple[str, ...] = ()  # of the From field
    fault: Status | None = None


class Programs:
    """Who they are, and whom they may not write to. One for a process."""

    def __init__(self, tokens: Tokens, suppressions: Suppressions) -> None:
        self._tokens = tokens
        self._suppressions = suppressions

    def is_current(self, access: Access) -> bool:
        """True when nothing can have changed since the token was read; never waits."""
        return self._tokens.is_current(access)

    async def current(self, access: Access) -> Access | None:
        """The same as the rows are now; None once the token is revoked. Raises StoreUnavailable."""
        return await self._tokens.current(access)

    async def suppressed(self, server: ServerRecord, stream: str, recipients: list[str]) -> set[str]:
        """Those of the recipients that get nothing on the stream. Raises StoreUnavailable."""
        return await self._suppressions.suppressed(server.id, stream, recipients)


def read_fields(header: Header, access: Access, now: datetime) -> Asked:
    """What the header block asks for."""
    try:
        return Asked(
            _stream(header, access, now),
            _tag(header),
            _metadata(header),
            _tracking(header),
            _truth(header, b"x-pm-keepid") is True,
            _domains(header),
        )
    except _Fault as fault:
        return Asked(fault=fault.status)


def without_fields(header: Header, *, keep_id: bool) -> Header:
    """Less every X-PM field; and less its Message-ID, which becomes ours, unless that was asked to be kept."""
    names = _names(header)
    kept = header.without(*names, *(() if keep_id else (b"message-id",)))
    return header if kept is header.raw else Header(kept)


def own_fields(uuid: str, tag: str) -> bytes:
    """What the delivered copy says of us, as with Postmark."""
    shown = f"X-PM-Tag: {tag}\r\n" if tag and tag.isascii() and len(tag) <= 900 else ""
    return f"X-PM-Message-Id: {uuid}\r\n{shown}".encode()


class _Fault(Exception):  # noqa: N818
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.status = status(550, "5.6.0", text)


def _names(header: Header) -> list[bytes]:
    """Names of the X-PM fields, in lower case, each once, in order."""
    if _PREFIX not in header.raw.lower():
        return []
    return list(dict.fromkeys(match[1].lower() for match in _FIELD.finditer(header.raw)))


def _stream(header: Header, access: Access, now: datetime) -> str:
    name = header.text(b"x-pm-message-stream").strip() or DEFAULT_STREAM
    shown = name if name.isascii() and name.isprintable() else "of that name"
    record = access.streams.get(name)
    if record is None:
        raise _Fault(f"the stream {shown} does not exist on this server")
    if record.archived is not None and record.archived <= now:
        raise _Fault(f"the stream {shown} is archived")
    if record.kind is StreamKind.INBOUND:
        raise _Fault(f"the stream {shown} takes mail in, nothing can be sent on it")
    return name


def _tag(header: Header) -> str:
    tag = header.text(b"x-pm-tag", MAX_TAG + 1).strip()
    if len(tag) > MAX_TAG:
        raise _Fault(f"X-PM-Tag has more than {MAX_TAG} characters")
    return tag


def _metadata(header: Header) -> dict[str, str]:
    """A key that is repeated gets a number."""
    found: dict[str, str] = {}
    for match in _FIELD.finditer(header.raw):
        if not match[1].lower().startswith(_METADATA):
            continue
        key = match[1][len(_METADATA) :].decode("ascii")
        name = match[1].lower()
        if key in found or any(known.lower() == key.lower() for known in found):
            continue  # its values were all read with the first
        for number, value in enumerate(header.all(name), 1):
            _put(found, key if number == 1 else f"{key}{number}", Header(b"v: " + value + b"\r\n").text(b"v", 1000))
    return found


def _put(found: dict[str, str], key: str, value: str) -> None:
    if len(key) > MAX_METADATA_KEY:
        raise _Fault(f"a metadata key has at most {MAX_METADATA_KEY} characters: {key}")
    if len(value) > MAX_METADATA_VALUE:
        raise _Fault(f"a metadata value has at most {MAX_METADATA_VALUE} characters: {key}")
    found[key] = value
    if len(found) > MAX_METADATA:
        raise _Fault(f"a message has at most {MAX_METADATA} metadata fields")


def _tracking(header: Header) -> dict[str, str]:
    """Both spellings in the wild are taken: TrackOpens and Track-Opens."""
    tracking = {}
    opens = next((t for n in (b"x-pm-trackopens", b"x-pm-track-opens") if (t := _truth(header, n)) is not None), None)
    if opens is not None:
        tracking["track_opens"] = "true" if opens else "false"
    links = header.text(b"x-pm-tracklinks") or header.text(b"x-pm-track-links")
    if links:
        if links.strip().lower() not in TRACK_LINKS:
            raise _Fault(f"X-PM-TrackLinks is one of {', '.join(TRACK_LINKS.values())}")
        tracking["track_links"] = TRACK_LINKS[links.strip().lower()]
    return tracking


def _truth(header: Header, name: bytes) -> bool | None:
    """True or false; None where the field is not there or empty."""
    text = header.text(name).strip().lower()
    if not text:
        return None
    if text not in _YES and text not in _NO:
        raise _Fault(f"{name.decode().title()} is true or false")
    return text in _YES


def _domains(header: Header) -> tuple[str, ...]:
    """Domains (A-labels) of everybody in From and Sender. Raises _Fault when there is nobody."""
    authors = read_authors(header)
    if authors.fault:
        raise _Fault(authors.fault)
    return tuple(sorted({address.domain.ascii for address in authors.people}))
