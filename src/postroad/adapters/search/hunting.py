"""Searching the index beside SQLite: from the newest part on, until the page is full.

What nearly every message has (`test` in all addresses, a single letter) costs most to look up and narrows nothing. So
it is left out where something rarer is asked for too; the rows decide in any case.
"""

# ruff: noqa: S608 - what is put into statements is our own names and numbers

from __future__ import annotations

import time
from collections.abc import Sequence

import apsw

from postroad.adapters.search.parts import rows
from postroad.adapters.search.proposals import MAX_ID, facet_expression, is_single, phrase, prefix
from postroad.ports.ids import MessageId
from postroad.ports.search import MessageQuery, SearchTerm, Walk

COMMON = 0.05  # of a part's messages: what is in more of them narrows little
_TRIED_ON = 500  # messages at least in the part that this is tried on


def hunt(
    database: apsw.Connection, query: MessageQuery, terms: Sequence[SearchTerm], *, low: int, high: int, limit: int,
    patience: float,
) -> Walk:  # fmt: skip
    """Messages that may fit, newest first, and how far down it has looked (None: to the end)."""
    end = time.monotonic() + patience
    parts = rows(database, "SELECT number, first, last, docs FROM part WHERE first < ? ORDER BY first DESC", high)
    expression = _expression(database, query, terms, parts)
    found: list[MessageId] = []
    for number, first, last, _ in parts:
        if last < low:
            break
        found += _find(database, number, expression, limit - len(found), low=low, high=high)
        if len(found) >= limit:
            return Walk(found, found[-1])
        if time.monotonic() > end and first > low:
            return Walk(found, MessageId(first))
    return Walk(found, None)


def _find(
    database: apsw.Connection, part: int, expression: str, limit: int, *, low: int = 0, high: int = MAX_ID
) -> list[MessageId]:
    table = f"part_{part}"
    sql = f"SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid < ? AND rowid >= ? ORDER BY rowid DESC LIMIT ?"
    return [MessageId(row[0]) for row in rows(database, sql, expression, high, low, limit)]


def _expression(
    database: apsw.Connection, query: MessageQuery, terms: Sequence[SearchTerm], parts: Sequence[tuple[int, ...]]
) -> str:
    """For MATCH: what is rare of the terms, and every facet."""
    facets = facet_expression(query)
    if len(terms) == 1 and is_single(terms[0]):  # nothing to choose from
        return " AND ".join([prefix(terms[0]), *facets])
    sample = next((part for part in parts if part[3] >= _TRIED_ON), None)
    rare, wide = [], []
    for term in terms:
        if sample is None or not _is_common(database, sample, prefix(term, last_word=True)):
            rare.append(prefix(term))
        elif is_single(term):
            wide.append(prefix(term))
        elif _is_common(database, sample, phrase(term)):
            wide.append(phrase(term))
        else:
            rare.append(phrase(term))
    return " AND ".join([*(rare or wide), *facets])


def _is_common(database: apsw.Connection, sample: Sequence[int], expression: str) -> bool:
    number, _, _, docs = sample
    limit = int(docs * COMMON)
    return len(_find(database, number, expression, limit)) >= limit
