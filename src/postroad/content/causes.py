"""What many refused recipients have in common: a reply with what differs from message to message taken out. Pure.

`450 4.2.0 Greylisted, try again in 287 seconds` and the same with 12 seconds are one cause. A word with a digit or an
at sign differs, whatever it is: a time, an address, a queue's id, a link with a token. No list of phrases is needed.
"""

from __future__ import annotations

import json
import re

from postroad.mail.status import EnhancedCode, Status

VARIED = "…"  # stands for what differs
LONGEST = 160  # characters of a cause's words
_VARYING = re.compile(r"\S*[\d@]\S*")
_REPEATED = re.compile(rf"{VARIED}(?: {VARIED})+")


def cause_of(status: Status | None) -> str:
    """`450 4.2.0 Greylisted, try again in … seconds`; empty where nothing has been answered yet."""
    if status is None:
        return ""
    return " ".join(part for part in (*_codes(status), _words(status.text)) if part)


def _codes(status: Status) -> tuple[str, str]:
    return str(status.reply_code), str(status.enhanced) if status.enhanced else ""


def _words(text: str) -> str:
    words = _REPEATED.sub(VARIED, _VARYING.sub(VARIED, " ".join(text.split())))
    if len(words) <= LONGEST:
        return words
    return f"{words[:LONGEST].rpartition(' ')[0] or words[:LONGEST]} {VARIED}"


def cause_parts(cause: str) -> tuple[str, str, str]:
    """Reply code, enhanced code and words of a cause."""
    code, _, rest = cause.partition(" ")
    enhanced, _, words = rest.partition(" ")
    if EnhancedCode.parse(enhanced) is None:
        return code, "", rest
    return code, enhanced, words


def cause_pattern(cause: str) -> str:
    """A LIKE pattern (ESCAPE '!') that the stored form of every status with this cause fits, and few others do.

    The stored form is JSON, `[450,"4.2.0","Greylisted, try again in 287 seconds", ...]`: see adapters.sql.values.
    """
    code, enhanced, words = cause_parts(cause)
    literal = json.dumps(words, ensure_ascii=False)[1:-1]
    escaped = literal.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f'[{code},"{enhanced}","%' + escaped.replace(VARIED, "%").replace(" ", "%") + "%"
