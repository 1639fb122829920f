"""Times, outcomes and structured values as columns hold them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from postroad.mail.envelope import Origin
from postroad.mail.status import EnhancedCode, Status
from postroad.mail.terms import RecipientTerms, Terms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encoder = msgspec.json.Encoder(enc_hook=str)
_origin = msgspec.json.Decoder(Origin)
_terms = msgspec.json.Decoder(Terms)
_recipient_terms = msgspec.json.Decoder(RecipientTerms)
encode_json = _encoder.encode

_MAX_ORIGINS = 256
_origins: dict[int, tuple[Origin, str]] = {}  # by identity; each is kept alive here, so that its number stays its own
_last_status: tuple[Status | None, str] = (None, "")


def moment(time: datetime) -> int:
    """Microseconds since 1970."""
    return round(time.timestamp() * 1_000_000)


def moment_or_none(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * 1_000_000)


def time_of(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND


def time_or_none(number: int | None) -> datetime | None:
    return None if number is None else _EPOCH + number * _MICROSECOND


def span(time: timedelta) -> int:
    return time // _MICROSECOND


def json_text(value: Mapping[str, Any] | Any) -> str:
    return encode_json(value).decode()


def json_value(text: str) -> Any:
    return msgspec.json.decode(text)


def origin_text(origin: Origin) -> str:
    """Many messages come over one connection and have one origin."""
    known = _origins.get(id(origin))
    if known is None or known[0] is not origin:
        if len(_origins) >= _MAX_ORIGINS:
            _origins.clear()
        known = _origins[id(origin)] = origin, encode_json(origin).decode()
    return known[1]


def origin_of(text: str) -> Origin:
    return _origin.decode(text)


def status_text(status: Status | None) -> str | None:
    """What mail into mailboxes comes to is one and the same status each time."""
    global _last_status
    if status is None:
        return None
    last, text = _last_status
    if status is not last:
        text = _status_text(status)
        _last_status = status, text
    return text


def _status_text(status: Status) -> str:
    enhanced = str(status.enhanced) if status.enhanced else ""
    parts = (status.reply_code, enhanced, status.text, status.cause, status.remote, status.diagnostic)
    if status.reply_code < 400:
        return encode_json(parts).decode()  # nearly all
    from postroad.content.classify import reasoned  # its patterns take a tenth of a second: not for each command

    return encode_json((*parts, reasoned(status).reason)).decode()


def status_of(text: str | None) -> Status | None:
    if text is None:
        return None
    reply_code, enhanced, *rest = json_value(text)
    return Status(reply_code, EnhancedCode.parse(enhanced) if enhanced else None, *rest)


def terms_of(text: str | None) -> Terms | None:
    return None if text is None else _terms.decode(text)


def recipient_terms_of(text: str | None) -> RecipientTerms | None:
    return None if text is None else _recipient_terms.decode(text)


def contains(text: str) -> str:
    """A LIKE pattern for `text` anywhere; use with ESCAPE '!'."""
    return "%" + text.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"


def clean(text: str) -> str:
    """Text from a stranger's header as a column can hold it: no NUL, no half of a surrogate pair."""
    if text.isprintable():
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
