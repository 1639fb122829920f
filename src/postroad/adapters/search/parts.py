"""The tables of the search index beside SQLite, and what is done to them in one transaction.

The index is cut into parts by id, that is by time, each an FTS5 table. The rows are attached as `mail`, read-only, so
that a slice of indexing is one statement that holds neither the interpreter's lock nor a lock on the rows.
"""

# ruff: noqa: S608 - what is put into statements is our own names and numbers

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apsw

from postroad.adapters.search.progress import EVENTS_A_MESSAGE, KINDS, Progress
from postroad.adapters.search.proposals import MAX_ID
from postroad.adapters.search.tokens import tokenizer
from postroad.observe import log

VERSION = 1  # of the tables and of what is indexed how
CARRIED = 2_000  # messages that outlive their part and are taken over by the next one

_SCHEMA = """CREATE TABLE progress (built INTEGER NOT NULL, target INTEGER NOT NULL, events INTEGER NOT NULL);
CREATE TABLE part (
  number INTEGER PRIMARY KEY, first INTEGER NOT NULL, begun INTEGER NOT NULL, last INTEGER NOT NULL,
  docs INTEGER NOT NULL
)"""
_FIELDS = "sender, recipient, subject, ident, tag, reply, facet"
_TABLE = f'CREATE VIRTUAL TABLE {{}} USING fts5({_FIELDS}, content="", contentless_delete=1, tokenize="{{}}")'
_REPLY = " || ' ' || ".join(f"COALESCE(json_extract(d.last_status, '$[{place}]'), '')" for place in range(7))
# The facets are words that nobody writes: s and a state, v and a server, m and a stream in hexadecimal.
_INDEX = f"""INSERT OR REPLACE INTO {{table}} (rowid, {_FIELDS})
SELECT m.id, m.reverse_path || ' ' || m.header_from, group_concat(d.forward_path || ' ' || d.orig, ' '), m.subject,
  m.message_id, m.tag, group_concat({_REPLY}, ' '),
  COALESCE(group_concat('s' || d.state, ' '), '') || COALESCE(' v' || m.server, '') || ' m' || hex(m.stream)
FROM {{source}} LEFT JOIN mail.delivery d ON d.message = m.id WHERE m.id >= ? AND m.id < ? GROUP BY m.id"""
_FROM_ROWS = "mail.message m"
_FROM_TOUCHED = "temp.touched t JOIN mail.message m ON m.id = t.id"

_log = log.get("search")


@dataclass(frozen=True, slots=True)
class Sizes:
    """A part is full with so many messages, or when it covers so much of time (as ids do); a slice is indexed at
    once."""

    part: int
    width: int
    slice: int


def create(database: apsw.Connection, until: int) -> None:
    """The tables of an empty file; what is older than `until` will be indexed from the messages."""
    with database:
        database.execute(_SCHEMA)
        rows(database, "INSERT INTO progress VALUES (0, ?, ?)", until, until)
        database.pragma("user_version", VERSION)


def prepare(database: apsw.Connection) -> None:
    """What a connection that indexes needs of its own."""
    rows(database, "CREATE TEMP TABLE touched (id INTEGER PRIMARY KEY)")


def read_progress(database: apsw.Connection) -> Progress:
    return Progress(*rows(database, "SELECT built, target, events FROM progress")[0])


def _write(database: apsw.Connection, progress: Progress) -> None:
    rows(database, "UPDATE progress SET built = ?, target = ?, events = ?", *progress)


def build(database: apsw.Connection, progress: Progress, sizes: Sizes) -> tuple[Progress, bool]:
    """One slice from the messages themselves, by id, up to those that their events will tell of."""
    low = progress.built
    ((last, count),) = rows(
        database,
        "SELECT MAX(id), COUNT(*) FROM (SELECT id FROM mail.message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?)",
        low,
        progress.target,
        sizes.slice,
    )
    if count:
        part = _newest_part(database, low, last, sizes)
        _index(database, part, _FROM_ROWS, low, last + 1)
        rows(database, "UPDATE part SET last = ?, docs = docs + ? WHERE number = ?", last, count, part)
    progress = progress._replace(built=progress.target if count < sizes.slice else last + 1)
    _write(database, progress)
    if not progress.is_building:
        _log.info("the index is complete")
    return progress, True


def follow(database: apsw.Connection, progress: Progress, until: int, sizes: Sizes) -> tuple[Progress, bool]:
    """One slice of the messages of which something was recorded; each is indexed anew."""
    low = progress.events
    if until <= low:
        return progress, False
    cut = rows(
        database,
        "SELECT id FROM mail.event WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?",
        low,
        until,
        sizes.slice * EVENTS_A_MESSAGE,
    )
    high = cut[0][0] if cut else until
    rows(
        database,
        "INSERT OR IGNORE INTO temp.touched SELECT message FROM mail.event WHERE id >= ? AND id < ?"
        f" AND kind IN ({KINDS}) AND message IS NOT NULL",
        low,
        high,
    )
    touched = database.changes()
    if touched:
        _take_in(database, sizes)
        rows(database, "DELETE FROM temp.touched")
    progress = progress._replace(events=high)
    if touched or cut:  # nothing is written while nothing happens
        _write(database, progress)
    return progress, bool(cut)


def _take_in(database: apsw.Connection, sizes: Sizes) -> None:
    """What was touched, each into the part that its id belongs to."""
    ((first, last),) = rows(database, "SELECT MIN(id), MAX(id) FROM temp.touched")
    _newest_part(database, first, last, sizes)
    end = MAX_ID
    for number, begin, known in rows(database, "SELECT number, first, last FROM part ORDER BY first DESC"):
        _index(database, number, _FROM_TOUCHED, begin, end)
        new = "SELECT COUNT(*), MAX(id) FROM temp.touched WHERE id > ? AND id < ?"
        ((fresh, newest),) = rows(database, new, known, end)
        if fresh:
            rows(database, "UPDATE part SET docs = docs + ?, last = ? WHERE number = ?", fresh, newest, number)
        if first >= begin:
            return
        end = begin


def _index(database: apsw.Connection, part: int, source: str, low: int, high: int) -> None:
    rows(database, _INDEX.format(table=f"part_{part}", source=source), low, high)


def _newest_part(database: apsw.Connection, low: int, last: int, sizes: Sizes) -> int:
    """The part for what is new: another one where the newest is full."""
    newest = rows(database, "SELECT number, begun, last, docs FROM part ORDER BY first DESC LIMIT 1")
    if not newest:
        return _new_part(database, 1, first=0, begun=low)
    number, begun, known, docs = newest[0]
    is_full = docs >= sizes.part or last - begun >= sizes.width
    begin = max(low, known + 1)
    return _new_part(database, number + 1, begin, begin) if is_full and last > known else int(number)


def _new_part(database: apsw.Connection, number: int, first: int, begun: int) -> int:
    rows(database, _TABLE.format(f"part_{number}", tokenizer()))
    rows(database, "INSERT INTO part VALUES (?, ?, ?, ?, 0)", number, first, begun, begun)
    return number


def drop_oldest(database: apsw.Connection, before: int) -> bool:
    """Drop the oldest part, if its time is over. The few messages that outlive it go into the one behind it; where they
    are many, it stays."""
    parts = rows(database, "SELECT number, first, last FROM part ORDER BY first LIMIT 2")
    if len(parts) < 2 or parts[0][2] >= before:
        return False
    (old, first, _), (following, end, _) = parts
    left = "SELECT COUNT(*) FROM (SELECT 1 FROM mail.message WHERE id >= ? AND id < ? LIMIT ?)"
    ((count,),) = rows(database, left, first, end, CARRIED + 1)
    if count > CARRIED:
        return False
    _index(database, following, _FROM_ROWS, first, end)
    rows(database, "DELETE FROM part WHERE number = ?", old)
    rows(database, "UPDATE part SET first = ?, docs = docs + ? WHERE number = ?", first, count, following)
    rows(database, f"DROP TABLE part_{old}")
    return True


def rows(database: apsw.Connection, sql: str, *params: int | str) -> list[tuple[Any, ...]]:
    return database.execute(sql, params).fetchall()
