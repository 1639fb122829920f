"""Types and small steps that several resources share: ids, pages, times of waiting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

from postroad.ports.ids import id_text, parse_id
from postroad.ports.store import Refused
from postroad.web.api.problems import Trouble, not_found

T = TypeVar("T")
R = TypeVar("R")

PAGE, MAX_PAGE = 50, 200

Time = Annotated[datetime, Meta(tz=True)]
IdText = Annotated[str, Meta(pattern="^[0-7][0-9a-hjkmnp-tv-z]{12}$", description="An id.", examples=["1m2n3p4q5r6st"])]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="At most so many items.")]
AfterId = Annotated[
    str,
    Meta(pattern="^([0-7][0-9a-hjkmnp-tv-z]{12})?$", description="`next` of the page before; empty: the first page."),
]
AfterName = Annotated[str, Meta(max_length=1000, description="`next` of the page before; empty: the first page.")]
Text = Annotated[str, Meta(max_length=1000)]
ServerNumber = Annotated[int, Meta(ge=1, le=2**31 - 1, description="A server's number.")]


class Page(Struct, Generic[T]):
    """Some items, and where the following page begins; null: that was all."""

    items: list[T]
    next: str | None


class ById(Struct, forbid_unknown_fields=True):
    """One page of many."""

    limit: Limit = PAGE
    after: AfterId = ""


class ByName(Struct, forbid_unknown_fields=True):
    """One page of many, in order of name."""

    limit: Limit = PAGE
    after: AfterName = ""


def read_id(text: str, parameter: str) -> int | None:
    """An id that may be empty. Raises Trouble."""
    number = parse_id(text) if text else None
    if text and number is None:
        raise Trouble("invalid-parameter", f"{parameter}: “{text}” is not an id.")
    return number


def page_by_name(rows: Sequence[R], query: ByName, name: Callable[[R], str], show: Callable[[R], T]) -> Page[T]:
    """A page of what stands in memory, in order of name."""
    ordered = sorted((row for row in rows if name(row) > query.after), key=name)
    shown = ordered[: query.limit]
    return Page([show(row) for row in shown], name(shown[-1]) if len(ordered) > len(shown) else None)


def page_by_id(rows: Sequence[R], limit: int, number: Callable[[R], int], show: Callable[[R], T]) -> Page[T]:
    """A page of rows of which one more than `limit` was asked for."""
    shown = rows[:limit]
    return Page([show(row) for row in shown], id_text(number(shown[-1])) if len(rows) > limit else None)


async def existing(found: Awaitable[R]) -> R:
    """What a service finds by name; its refusal means that there is nothing of that name. Raises Trouble."""
    try:
        return await found
    except Refused as error:
        raise not_found(sentence(str(error))) from None


def sentence(text: str) -> str:
    """The words of a refusal as a sentence. A name that they begin with stays as it is."""
    first, _, _ = text.partition(" ")
    begun = f"{text[:1].upper()}{text[1:]}" if first.isalpha() else text
    return begun if begun.endswith((".", "?")) else f"{begun}."
