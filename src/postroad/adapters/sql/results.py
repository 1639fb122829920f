"""The second hot path: what attempts came to, set-wise for a whole group."""

# ruff: noqa: S608 - what is put into statements is our own column names and lists of placeholders

from __future__ import annotations

from collections.abc import Sequence

from postroad.adapters.sql.births import EVENT, event_row, lower_next_due
from postroad.adapters.sql.connection import Connection, Row, in_list, slices
from postroad.adapters.sql.names import NameCaches
from postroad.adapters.sql.repositories.sending import Suppressions
from postroad.adapters.sql.values import clean, json_text, moment, moment_or_none, status_text
from postroad.ports.ids import DeliveryId
from postroad.ports.store import Attempt, DeliveryResult, DeliveryState, Outcomes

ATTEMPT = ("id", "message", "started", "ended", "host", "address", "tls", "timings", "dialogue")

_ONCE = "ON CONFLICT DO NOTHING"  # whoever tells the same outcome twice finds the first
# A wish that the owner did not come to stays with a row that is tried again, except the wish for just that.
_WISH = (
    "wish = CASE WHEN v.state = 'queued' AND delivery.wish NOT IN ('retry', 'reroute') THEN delivery.wish ELSE '' END"
)
_APPLY = f"""UPDATE delivery SET state = v.state, last_status = v.last_status, tries = v.tries, due = v.due,
dest = COALESCE(v.dest, delivery.dest), owner = v.new_owner, finished = v.finished, held_for = v.held_for, {_WISH}"""
_RESULT = (
    "id", "state", "last_status", "tries", "due", "dest", "new_owner", "finished", "held_for", "owner", "epoch",
)  # fmt: skip
_TEXTS = ("state", "last_status", "held_for")
_OWNED = """WHERE delivery.id = v.id AND delivery.owner = v.owner AND delivery.epoch = v.epoch
RETURNING delivery.id, delivery.dest"""


def attempt_row(attempt: Attempt) -> Row:
    return (
        attempt.id, attempt.message, moment(attempt.started), moment(attempt.ended), attempt.host, attempt.address,
        attempt.tls, json_text(attempt.timings), clean(attempt.dialogue),
    )  # fmt: skip


def apply_group(connection: Connection, names: NameCaches, group: Sequence[Outcomes]) -> list[int]:
    """Write results, attempts and events; for each of the group how many of its results still held.

    An event about a delivery whose result did not hold is dropped with it: the new owner tells its own story.
    """
    mentioned = [result.delivery for outcomes in group for result in outcomes.results]
    if len(group) > 1 and len(set(mentioned)) < len(mentioned):  # the later one must see what the earlier one wrote
        return [apply_group(connection, names, (outcomes,))[0] for outcomes in group]
    dests = names.dests.ids(connection, {r.dest for o in group for r in o.results if r.dest is not None})
    rows = [_result_row(result, dests) for outcomes in group for result in outcomes.results]
    held: dict[DeliveryId, int] = dict(connection.update_from(_APPLY, _RESULT, rows, _OWNED, _TEXTS))
    _keep_terms(connection, group, held)
    attempts = [outcomes.attempt for outcomes in group if outcomes.attempt]
    connection.insert("attempt", ATTEMPT, [attempt_row(attempt) for attempt in attempts], _ONCE)
    connection.insert("delivery_attempt", ("delivery", "attempt", "status"), _statuses(group), _ONCE)
    events = []
    for outcomes in group:
        stale = {result.delivery for result in outcomes.results if result.delivery not in held}
        events += [event_row(event) for event in outcomes.events if event.delivery not in stale]
    connection.insert("event", EVENT, events)
    suppressed = [record for outcomes in group for record in outcomes.suppressions]
    if suppressed:
        Suppressions(connection).put_all(suppressed)
    lower_next_due(connection, _next_due(group, held))
    return [sum(result.delivery in held for result in outcomes.results) for outcomes in group]


def _result_row(result: DeliveryResult, dests: dict[str, int]) -> Row:
    owner = result.owner if result.keep_owner else None
    dest = None if result.dest is None else dests[result.dest]
    return (
        result.delivery, result.state._value_, status_text(result.status), result.tries, moment_or_none(result.due),
        dest, owner, moment_or_none(result.finished), result.held_for, result.owner, result.epoch,
    )  # fmt: skip


def _keep_terms(connection: Connection, group: Sequence[Outcomes], held: dict[DeliveryId, int]) -> None:
    done = [(r.terms, r.delivery) for o in group for r in o.results if r.terms is not None and r.delivery in held]
    if done:
        rows = [(json_text(terms), delivery) for terms, delivery in done]
        connection.run_many("UPDATE delivery SET terms = ? WHERE id = ?", rows)


def _statuses(group: Sequence[Outcomes]) -> list[Row]:
    return [
        (result.delivery, outcomes.attempt.id, status_text(result.status))
        for outcomes in group
        if outcomes.attempt
        for result in outcomes.results
    ]


def _next_due(group: Sequence[Outcomes], held: dict[DeliveryId, int]) -> dict[int, int]:
    """By destination: the earliest due time of what was given back."""
    due: dict[int, int] = {}
    for outcomes in group:
        for result in outcomes.results:
            waits = result.state is DeliveryState.QUEUED and not result.keep_owner and result.due is not None
            if waits and result.delivery in held:
                time, dest = moment_or_none(result.due), held[result.delivery]
                assert time is not None
                due[dest] = min(time, due.get(dest, time))
    return due


def written_already(connection: Connection, outcomes: Outcomes) -> bool:
    """Whether a commit of unknown outcome did write this: its attempt, event or (for want of both) state is there."""
    if outcomes.attempt:
        return bool(connection.rows("SELECT 1 FROM attempt WHERE id = ?", (outcomes.attempt.id,)))
    if outcomes.events:
        listed, params = in_list([event.id for event in outcomes.events][:1])
        return bool(connection.rows(f"SELECT 1 FROM event WHERE id IN {listed}", params))
    states = {result.delivery: result.state.value for result in outcomes.results}
    found: dict[DeliveryId, str] = {}
    for some in slices(list(states)):
        listed, params = in_list(some)
        found |= dict(connection.rows(f"SELECT id, state FROM delivery WHERE id IN {listed}", params))
    return found == states
