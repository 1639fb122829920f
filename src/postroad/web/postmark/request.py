"""A message as Postmark's clients ask for it: JSON read as loosely as they write it.

Keys in any case, unknown ones ignored; null, "" and [] are the same as nothing; numbers and words where booleans or
texts are meant. What comes out has one shape; what a field may say is judged in `checks`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import Struct

from postroad.web.postmark.errors import error, wrong_fields

MAX_MARKS = 1_000_000  # texts, commas and opening brackets of a body: 500 messages with 100 headers each have a third

_SPACES = b" \t\r\n"
_ESCAPE = re.compile(  # a pair of surrogates | one alone, as group 1 | any other escape
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
_MARK = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{,]', re.DOTALL)  # a text, or what comes with a value
_TRUE, _FALSE = frozenset(("true", "1", "yes", "on")), frozenset(("false", "0", "no", "off"))


class FileRequest(Struct, gc=False):
    """One of `Attachments`."""

    name: str = ""
    content: str = ""
    content_type: str = ""
    content_id: str = ""


class SendRequest(Struct):
    """What `POST /email` takes. Texts are as they came."""

    sender: str = ""
    to: str = ""
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    subject: str = ""
    tag: str = ""
    text: str = ""
    html: str = ""
    stream: str = ""
    track_opens: bool | None = None
    track_links: str = ""
    headers: list[tuple[str, str]] = []
    metadata: dict[str, str] = {}
    attachments: list[FileRequest] = []


def read_json(body: bytes | bytearray) -> Any:
    """What the body says, whatever it is. Raises ApiError 402."""
    if body[:3] == b"\xef\xbb\xbf":
        body = body[3:]  # a byte order mark (RFC 8259 §8.1)
    if _is_bomb(body):
        raise error(402, "it holds too many values.")
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        if (mended := _ESCAPE.sub(_whole, body)) != body:
            return read_json(mended)
        why = "it is nested too deeply" if isinstance(problem, RecursionError) else str(problem)
        raise error(402, "the body is empty." if not body.strip(_SPACES) else f"{why}.") from None


def _is_bomb(body: bytes | bytearray) -> bool:
    """Whether reading it would take far more memory than the body itself: `[]` becomes 80 octets."""
    if len(body) <= MAX_MARKS or sum(map(body.count, (b'"', b",", b"[", b"{"))) <= MAX_MARKS:
        return False  # nearly all: the marks inside of texts need not be told apart
    return next(islice(_MARK.finditer(body), MAX_MARKS, None), None) is not None


def _whole(escape: re.Match[bytes]) -> bytes:
    """Half of a character (JavaScript cuts texts so) becomes one that says so, as everywhere else."""
    return b"\\ufffd" if escape[1] else escape[0]


def read_message(given: Any) -> SendRequest:
    """One message. Raises ApiError 403 with the names of all fields that are of a wrong type."""
    if not isinstance(given, dict):
        raise error(402, "a message is an object.")
    found: dict[str, Any] = {}
    wrong = []
    for key, value in given.items():
        field = _FIELDS.get(key) or _FIELDS.get(key.lower())
        if field is None or value is None:
            continue
        name, spelling, read = field
        try:
            found[name] = read(value)
        except _WrongType:
            wrong.append(spelling)
    if wrong:
        raise wrong_fields(*wrong)
    return SendRequest(**found)


def text_of(given: Any, name: str) -> str:
    """A field (in lower case) of a message that may be nonsense: what answers repeat."""
    found = ""
    if isinstance(given, dict):
        for key, value in given.items():
            if isinstance(value, str) and key.lower() == name:
                found = value
    return found


def read_list(given: Any) -> list[Any] | None:
    """A list; None when it is something else. Null and {} are PHP's empty list."""
    if given is None or given == {}:
        return []
    return given if isinstance(given, list) else None


def lower_keys(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in given.items()}


# --- fields -----------------------------------------------------------------------------------------------------------


class _WrongType(Exception):  # noqa: N818
    """The value is of a type that the field cannot have."""


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if value is None or value == []:
        return ""
    if type(value) in (int, float):
        return str(value)
    raise _WrongType


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = _text(value).strip().lower()
    if not word:
        return None
    if word not in _TRUE | _FALSE:
        raise _WrongType
    return word in _TRUE


def _list(value: Any) -> list[dict[str, Any]]:
    """A list of objects, their keys in lower case."""
    found = read_list(value)
    if found is None or not all(isinstance(each, dict) for each in found):
        raise _WrongType
    return [lower_keys(each) for each in found]


def _headers(value: Any) -> list[tuple[str, str]]:
    return [(_text(each.get("name")), _text(each.get("value"))) for each in _list(value)]


def _metadata(value: Any) -> dict[str, str]:
    if value == []:
        return {}
    if not isinstance(value, dict):
        raise _WrongType
    return {key: _scalar(each) for key, each in value.items() if each is not None}


def _scalar(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else _text(value)


def _attachments(value: Any) -> list[FileRequest]:
    return [FileRequest(*[_text(each.get(key)) for key in _FILE_KEYS]) for each in _list(value)]


_DECODER = msgspec.json.Decoder()
_FILE_KEYS = ("name", "content", "contenttype", "contentid")
_BY_SPELLING: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "From": ("sender", _text),
    "To": ("to", _text),
    "Cc": ("cc", _text),
    "Bcc": ("bcc", _text),
    "ReplyTo": ("reply_to", _text),
    "Subject": ("subject", _text),
    "Tag": ("tag", _text),
    "TextBody": ("text", _text),
    "HtmlBody": ("html", _text),
    "MessageStream": ("stream", _text),
    "TrackOpens": ("track_opens", _flag),
    "TrackLinks": ("track_links", _text),
    "Headers": ("headers", _headers),
    "Metadata": ("metadata", _metadata),
    "Attachments": ("attachments", _attachments),
}
_FIELDS: Final[dict[str, tuple[str, str, Callable[[Any], Any]]]] = {
    key: (name, spelling, read)
    for spelling, (name, read) in _BY_SPELLING.items()
    for key in (spelling, spelling.lower())
}
