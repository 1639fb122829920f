"""The language of message searches: `invoice from:alice@example.com state:bounced since:2d`. Pure.

Words stand for themselves, in addresses, subject, tag or Message-ID; `name:value` says where to look; quotes keep words
together. All must fit. What somebody has half typed is no mistake: `from:` alone asks for nothing yet.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from msgspec.structs import replace

from postroad.content.words import words
from postroad.ports.ids import parse_id
from postroad.ports.search import MessageQuery, SearchField, SearchTerm
from postroad.ports.store import DeliveryState
from postroad.ports.uuids import parse_uuid

ID_LENGTH = 13
_ID_BITS = 5  # a character
_ANYWHERE = (SearchField.SENDER, SearchField.RECIPIENT, SearchField.SUBJECT, SearchField.TAG, SearchField.IDENT)
_TEXTS = {
    "from": (SearchField.SENDER,),
    "to": (SearchField.RECIPIENT,),
    "address": (SearchField.SENDER, SearchField.RECIPIENT),
    "subject": (SearchField.SUBJECT,),
    "tag": (SearchField.TAG,),
    "reply": (SearchField.REPLY,),
}
STATES: dict[str, tuple[DeliveryState, ...]] = {
    **{state.value: (state,) for state in DeliveryState},
    "failed": (DeliveryState.BOUNCED, DeliveryState.EXPIRED),
    "waiting": (DeliveryState.QUEUED, DeliveryState.HELD),
}
DEFERRED = "deferred"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,5})([mhdw])")
_DAYS = {"today": 0, "yesterday": 1}
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2150, 1, 1, tzinfo=UTC)  # ids reach no further
_PART = re.compile(r'([A-Za-z-]+):(?:"([^"]*)"?|(\S*))|"([^"]*)"?|(\S+)')  # a quote half typed goes to the end


class QueryError(ValueError):
    """A query that cannot be understood; the text says what would be."""


@dataclass(slots=True)
class _Reading:
    """A query as it is read."""

    now: datetime
    zone: tzinfo
    query: MessageQuery = field(default_factory=MessageQuery)

    def change(self, **values: object) -> None:
        self.query = replace(self.query, **values)


def parse(text: str, now: datetime, zone: tzinfo) -> MessageQuery:
    """Read a query; days are those of `zone`. Raises QueryError."""
    reading = _Reading(now, zone)
    for name, value in _parts(text):
        if not value:
            continue
        if not name:
            _word(reading, value)
        elif name in _TEXTS:
            _term(reading, _TEXTS[name], value)
        else:
            _READERS[name](reading, value)
    return reading.query


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """(name, value), the name empty where a word stands for itself."""
    for match in _PART.finditer(text):
        name = (match[1] or "").lower()
        value = next((text for text in match.groups()[1:] if text is not None), "").strip()
        if name in NAMES:
            yield name, value
        elif name and (near := difflib.get_close_matches(name, NAMES, 1, 0.75)):
            raise QueryError(f"There is no `{name}:`; did you mean `{near[0]}:`? Put it in quotes to search for it.")
        else:
            yield "", f"{name}:{value}" if name else value


def _term(reading: _Reading, fields: tuple[SearchField, ...], value: str) -> None:
    reading.change(terms=(*reading.query.terms, SearchTerm(fields, value.lower())))


def _word(reading: _Reading, value: str) -> None:
    """A word that can only be an id is one; signs alone are none."""
    number = _whole_id(value)
    if number is not None:
        reading.change(ids=(number, number + 1))
    elif words(value):
        _term(reading, _ANYWHERE, value)


def _whole_id(value: str) -> int | None:
    if len(value) == ID_LENGTH and value[0].isdigit():
        return parse_id(value)
    return parse_uuid(value)


def _ident(reading: _Reading, value: str) -> None:
    """An id of ours or its beginning, a UUID, or a Message-ID."""
    number = _whole_id(value)
    if number is not None:
        reading.change(ids=(number, number + 1))
        return
    low = parse_id(value.ljust(ID_LENGTH, "0")) if value[0].isdigit() else None
    if low is not None:
        reading.change(ids=(low, low + (1 << _ID_BITS * (ID_LENGTH - len(value)))))
    else:
        _term(reading, (SearchField.IDENT,), value)


def _state(reading: _Reading, value: str) -> None:
    """Several states widen the search: a recipient is in one of them. `boun` is enough."""
    fits = [name for name in (*STATES, DEFERRED) if name.startswith(value.lower())]
    if not fits:
        raise QueryError(f"There is no state `{value}`; there are {', '.join((*STATES, DEFERRED))}.")
    states = [*reading.query.states, *(state for name in fits for state in STATES.get(name, ()))]
    reading.change(states=tuple(dict.fromkeys(states)), deferred=reading.query.deferred or DEFERRED in fits)


def _since(reading: _Reading, value: str) -> None:
    reading.change(since=_clamped(_moments(reading, "since", value)[0]))


def _until(reading: _Reading, value: str) -> None:
    reading.change(until=_clamped(_moments(reading, "until", value)[1]))


def _on(reading: _Reading, value: str) -> None:
    since, until = _moments(reading, "on", value)
    if since == until:
        raise QueryError("`on:` wants a day, such as on:2026-11-23 or on:yesterday; `since:` takes spans and times.")
    reading.change(since=_clamped(since), until=_clamped(until))


def _clamped(moment: datetime) -> datetime:
    """Within the times that can be reckoned with."""
    return min(max(moment, _EARLIEST), _LATEST)


def _moments(reading: _Reading, name: str, value: str) -> tuple[datetime, datetime]:
    """What a time means as a beginning and as an end: a day is all of it."""
    value = value.lower()
    try:
        if match := _SPAN.fullmatch(value):
            moment = reading.now - timedelta(**{_UNITS[match[2]]: int(match[1])})
            return moment, moment
        if value in _DAYS:
            return _day(reading, reading.now.astimezone(reading.zone) - timedelta(days=_DAYS[value]))
        moment = datetime.fromisoformat(value.upper())
        if len(value) <= len("2026-11-23"):
            return _day(reading, moment)
    except (ValueError, OverflowError):
        raise QueryError(
            f"`{name}:` wants a day or a time, such as {name}:2026-11-23, {name}:2026-11-23T09:00 or {name}:yesterday,"
            f" or how long ago, such as {name}:2h, {name}:3d or {name}:2w."
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=reading.zone)
    return moment, moment


def _day(reading: _Reading, moment: datetime) -> tuple[datetime, datetime]:
    begin = datetime(moment.year, moment.month, moment.day, tzinfo=reading.zone)
    following = begin.date() + timedelta(days=1)
    return begin, datetime(following.year, following.month, following.day, tzinfo=reading.zone)


def _stream(reading: _Reading, value: str) -> None:
    reading.change(stream=value)


def _server(reading: _Reading, value: str) -> None:
    reading.change(server=value)


_READERS: dict[str, Callable[[_Reading, str], None]] = {
    "id": _ident,
    "state": _state,
    "stream": _stream,
    "server": _server,
    "since": _since,
    "until": _until,
    "on": _on,
}
NAMES = (*_TEXTS, *_READERS)
