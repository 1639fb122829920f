"""What repositories and doors ask of a database: a thin connection, and the few words in which engines differ.

SQL is written once, with `?` for parameters. It keeps to what both engines read alike (ON CONFLICT, RETURNING, partial
indexes, row values); literals stand in conditions that a partial index repeats, since a parameter would hide it.
"""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol

Row = tuple[Any, ...]
Params = Sequence[Any]

MAX_LIST = 500  # values in one IN list; repositories cut longer ones into slices


@dataclass(frozen=True, slots=True)
class Dialect:
    """Words that differ."""

    name: str
    types: dict[str, str]  # for the schema files
    skip_locked: str  # behind a SELECT whose rows are about to be changed
    fold: str  # function that lowers the case of any letter, not of ASCII alone
    empty_bytes: str  # the literal
    has_table: str  # a query that has a row when the table named by its parameter exists
    locked_begin: str  # begins a transaction that no other process can migrate beside


class Fault(Enum):
    """What an exception out of the database means for the group that it happened in."""

    OWN = "own"  # raised by the function itself: only that unit fails
    CONSTRAINT = "constraint"  # the rows say no: only that unit fails
    RETRY = "retry"  # a deadlock or serialization failure: run it again
    NO_SPACE = "no space"
    BROKEN = "broken"  # an I/O error, a lost connection, a read-only remount


class Connection(Protocol):
    """One connection inside one transaction."""

    @property
    def dialect(self) -> Dialect: ...

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        """Run one statement and take all its rows."""

    def run(self, sql: str, params: Params = ()) -> int:
        """Run one statement; how many rows it changed."""

    def run_many(self, sql: str, params: Iterable[Params]) -> None:
        """Run one statement for each set of parameters."""

    def returning_many(self, sql: str, params: Iterable[Params]) -> list[Row]:
        """The same for a statement with RETURNING; the rows of all, in order."""

    def update_from(
        self, update: str, columns: Sequence[str], rows: Sequence[Row], where: str, texts: Sequence[str] = ()
    ) -> list[Row]:
        """Change many rows, each by its own: `v` in `update` and `where` stands for one of `rows`, whose columns are
        integers except those in `texts`."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row], tail: str = "") -> None:
        """Insert rows set-wise; `tail` stands behind, for ON CONFLICT."""


def first(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None


def in_list(values: Sequence[Any]) -> tuple[str, list[Any]]:
    """`(?, ?, ...)` with its parameters, padded to a power of two so that few different statements need preparing."""
    width = 1 << max(0, len(values) - 1).bit_length()
    filler = values[-1] if values else None  # `x IN (NULL)` fits no row
    return "(" + ",".join("?" * width) + ")", [*values, *[filler] * (width - len(values))]


def slices(values: Sequence[Any], size: int = MAX_LIST) -> Iterable[Sequence[Any]]:
    for at in range(0, len(values), size):
        yield values[at : at + size]


@lru_cache(maxsize=512)
def _insert_text(table: str, columns: tuple[str, ...], rows: int, tail: str) -> str:
    row = "(" + ",".join("?" * len(columns)) + ")"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {','.join([row] * rows)} {tail}"


@lru_cache(maxsize=128)
def _update_text(update: str, columns: tuple[str, ...], rows: int, where: str) -> str:
    row = "(" + ",".join("?" * len(columns)) + ")"
    return f"WITH v ({', '.join(columns)}) AS (VALUES {','.join([row] * rows)}) {update} FROM v {where}"


def update_statements(
    update: str, columns: Sequence[str], rows: Sequence[Row], where: str
) -> Iterator[tuple[str, list[Any]]]:
    """As few statements as with `insert_statements`."""
    names = tuple(columns)
    for some in _widths(rows):
        yield _update_text(update, names, len(some), where), list(chain.from_iterable(some))


def _widths(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Up to 16 rows as they come, more by 64, 32 and 16: each width is a statement to prepare and to keep."""
    at = 0
    while at < len(rows):
        left = len(rows) - at
        width = next((wide for wide in (64, 32, 16) if wide <= left), left)
        yield rows[at : at + width]
        at += width


def insert_statements(
    table: str, columns: Sequence[str], rows: Sequence[Row], tail: str
) -> Iterator[tuple[str, list[Any]]]:
    """As few statements as will do: each lets another thread run, and this one waits to run again."""
    names = tuple(columns)
    for some in _widths(rows):
        yield _insert_text(table, names, len(some), tail), list(chain.from_iterable(some))
