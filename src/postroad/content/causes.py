"""What many refused recipients have in common: the reason that stands with their last reply. Pure."""

from __future__ import annotations

from postroad.content.classify import reasoned
from postroad.content.reasons import Reason, meaning
from postroad.mail.status import Status


def cause_of(status: Status | None) -> str:
    """The name of the reason; empty where nothing has been answered yet."""
    return "" if status is None else reasoned(status).reason


def cause_title(cause: str) -> str:
    """A reason in words; what is none is told as it is."""
    return meaning(Reason(cause)).title if cause in set(Reason) else cause


def cause_pattern(cause: str) -> str:
    """A LIKE pattern (ESCAPE '!') that the stored form of a status with this reason fits, and hardly any other does.

    The stored form is JSON, `[450,"4.2.0","try later", ... ,"greylisted"]`: see adapters.sql.values.
    """
    escaped = cause.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f'[%,"{escaped}"]'
