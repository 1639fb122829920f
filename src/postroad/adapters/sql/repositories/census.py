"""Counting one slice of the queue: rows that are alike become one cell. Runs in a reader's thread."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime

from postroad.adapters.ids import first_id_at, made_at
from postroad.adapters.sql.connection import Row
from postroad.adapters.sql.values import status_of, time_or_none
from postroad.ports.queueing import QueueCell
from postroad.ports.store import DeliveryState


def count_cells(rows: Sequence[Row], bands: Sequence[datetime]) -> Iterator[QueueCell]:
    """`rows` are (id, destination, state, last status, due, message). Age is read from the message's id, which tells
    when it was accepted, so that no message has to be looked up."""
    from postroad.content.causes import cause_of  # its patterns take a tenth of a second: not for each command

    edges = [-first_id_at(time) for time in bands]  # ascending, as bisect wants them
    cells: dict[tuple[str, str, int, str], list[int | None]] = {}
    causes: dict[str | None, str] = {}
    for _, dest, state, last_status, due, message in rows:
        cause = causes.get(last_status)
        if cause is None:
            cause = causes[last_status] = cause_of(status_of(last_status))
        key = (dest, cause, bisect_left(edges, -message), state)
        cell = cells.get(key)
        if cell is None:
            cells[key] = [1, message, due]
            continue
        count, oldest, first_due = cell
        cell[0] = (count or 0) + 1
        if oldest is None or message < oldest:
            cell[1] = message
        if due is not None and (first_due is None or due < first_due):
            cell[2] = due
    for (dest, cause, band, state), (count, oldest, first_due) in cells.items():
        queued = DeliveryState(state)
        next_due = time_or_none(first_due) if queued is DeliveryState.QUEUED else None
        yield QueueCell(dest, cause, band, queued, count or 0, made_at(oldest or 0), next_due)
