"""Which recipients of the queue a page shows or an action means: from the address, from ticked boxes, to filters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from msgspec.structs import replace
from starlette.exceptions import HTTPException

from postroad.content.causes import cause_title
from postroad.ports.ids import DeliveryId, MessageId, id_text, parse_id
from postroad.ports.store import MAX_SELECTION, DeliveryState, QueueFilter
from postroad.queue.census import BANDS
from postroad.routing.routes import told_apart
from postroad.web.console.forms import Form
from postroad.web.console.readable import readable
from postroad.web.console.wording import duration

NO_REPLY = "-"  # the cause of what has not been answered yet
NAMES = ("dest", "provider", "cause", "age", "state", "sender", "recipient", "message")
ALL = "all:"


@dataclass(frozen=True, slots=True)
class Scope:
    """What the address of a list says, as texts: every one that is not empty must fit."""

    values: Mapping[str, str]

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Scope:
        return cls({name: given[name].strip() for name in NAMES if given.get(name, "").strip()})

    @classmethod
    def of_form(cls, form: Form) -> Scope:
        return cls.read({name: form.text(name) for name in NAMES})

    def filter(self) -> QueueFilter:
        """Raises a 404 where a text makes no sense: only an address typed by hand has such."""
        where = QueueFilter(
            dest=self.values.get("dest", ""),
            provider=self.values.get("provider", ""),
            sender=self.values.get("sender", ""),
            recipient=self.values.get("recipient", ""),
            cause=_cause(self.values.get("cause")),
            state=_state(self.values.get("state", "")),
            message=_message(self.values.get("message", "")),
        )
        return _of_age(where, self.values["age"]) if "age" in self.values else where

    def without(self, name: str) -> str:
        """The query of the same list with one condition less."""
        return urlencode({key: value for key, value in self.values.items() if key != name})

    def having(self, **more: str) -> Scope:
        return Scope({**self.values, **more})

    @property
    def query(self) -> str:
        return urlencode(self.values)

    def chips(self) -> list[tuple[str, str, str]]:
        """Each condition: its name, its words, and the query without it."""
        return [(name, in_words(name, value), self.without(name)) for name, value in self.values.items()]


def picked(picks: list[str], scope: Scope) -> list[QueueFilter]:
    """The filters of what was ticked: recipients together in one, each group in one of its own."""
    if ALL in picks:
        return [scope.filter()]
    base = scope.filter()
    deliveries = [_number(pick.removeprefix("delivery:")) for pick in picks if pick.startswith("delivery:")]
    found: list[QueueFilter] = []
    for at in range(0, len(deliveries), MAX_SELECTION):
        some = tuple(DeliveryId(number) for number in deliveries[at : at + MAX_SELECTION])
        found.append(replace(base, deliveries=some))
    for pick in picks:
        name, _, value = pick.partition(":")
        if name in ("dest", "provider", "cause", "age"):
            found.append(scope.having(**{name: value}).filter())
    return found


def delivery_pick(delivery: DeliveryId) -> str:
    return f"delivery:{id_text(delivery)}"


def in_words(name: str, value: str) -> str:
    return _WORDS[name](value)


def dest_words(dest: str) -> str:
    """A next-hop key as people call it: `mx:example.org` is example.org."""
    dest, wished = told_apart(dest)
    if wished:
        return dest_words(dest) + wished
    if dest.startswith("to:"):
        way = dest.removeprefix("to:")
        return f"{readable(way.removeprefix('mx:')) if way != 'smarthost' else 'the smarthost'} (chosen by hand)"
    kind, _, name = dest.partition("#")[0].partition(":")
    return {"mx": readable(name), "host": f"{name} (a fixed host)", "lmtp": f"{name} (by LMTP)"}.get(
        kind, "mailboxes here"
    )


def cause_words(cause: str) -> str:
    return "Not tried yet" if cause in ("", NO_REPLY) else cause_title(cause)


def band_words(band: int) -> str:
    """A band of age: under 5 min, 5 min to 30 min, over 3 d."""
    if band == 0:
        return f"Under {duration(BANDS[0])}"
    if band >= len(BANDS):
        return f"Over {duration(BANDS[-1])}"
    return f"{duration(BANDS[band - 1])} to {duration(BANDS[band])}"


_WORDS: dict[str, Callable[[str], str]] = {
    "dest": lambda value: f"to {dest_words(value)}",
    "provider": lambda value: f"at {value}",
    "cause": cause_words,
    "age": lambda value: f"waiting {band_words(_band(value)).lower()}",
    "state": lambda value: value,
    "sender": lambda value: f"from {value}",
    "recipient": lambda value: f"recipient has “{value}”",
    "message": lambda value: f"message {value}",
}


def _cause(text: str | None) -> str | None:
    return "" if text == NO_REPLY else text


def _state(text: str) -> DeliveryState | None:
    if not text:
        return None
    if text not in (DeliveryState.QUEUED, DeliveryState.HELD):
        raise HTTPException(404)
    return DeliveryState(text)


def _message(text: str) -> MessageId | None:
    return MessageId(_number(text)) if text else None


def _number(text: str) -> int:
    number = parse_id(text)
    if number is None:
        raise HTTPException(404)
    return number


def _band(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= len(BANDS)):
        raise HTTPException(404)
    return int(text)


def _of_age(where: QueueFilter, text: str) -> QueueFilter:
    band = _band(text)
    older: timedelta | None = BANDS[band - 1] if band else None
    younger: timedelta | None = BANDS[band] if band < len(BANDS) else None
    return replace(where, older_than=older, younger_than=younger)
