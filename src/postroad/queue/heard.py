"""What a temporary reply tells of the next try: that we were too quick, are to come back, or that a mailbox is full.

Pure. Only replies that put mail off come here; codes and words decide, never who said it.
"""

from __future__ import annotations

import re
from enum import StrEnum

from postroad.mail.status import Status


class Heard(StrEnum):
    """As `[[retry]]` names it in the settings."""

    NETWORK = "network"  # no connection, no answer, no DNS
    THROTTLED = "throttled"  # too many messages or connections of ours: the provider's limit, not the message's fault
    GREYLISTED = "greylisted"  # come back later, and it will be taken
    FULL = "mailbox-full"
    OTHER = "other"


_GREY = re.compile(r"gr[ea]y[- _]?list|come back (?:later|in)|postgrey|first.?time (?:sender|triplet)", re.IGNORECASE)
_FULL = re.compile(r"(?:mailbox|mail box|inbox|quota|storage|mail store|disk)\b.{0,40}\b(?:full|exceed\w*|limit)"
                   r"|over.?quota|insufficient (?:system )?storage|out of storage", re.IGNORECASE)  # fmt: skip
_THROTTLE = re.compile(
    r"too (?:many|much|fast|quick)|rate.{0,3}limit|limit(?:ed|s)?\b.{0,40}\b(?:exceed|reach)|exceed\w*\b.{0,60}\blimit"
    r"|throttl|unusual (?:rate|traffic)|slow (?:it )?down|messages? from your (?:ip )?address"
    r"|temporarily (?:rate|deferred)"
    r"|try again (?:more )?slowly|concurren|connections? (?:limit|quota)|per (?:minute|hour|day)\b|frequency|flood",
    re.IGNORECASE,
)
_SPAN = re.compile(
    r"(?:in|after|for|wait|within)\s+(?:about\s+)?(?:(\d{1,2}):(\d{2}):(\d{2})|(\d{1,6})\s*(s\b|sec|m\b|min|h\b|hour)?)",
    re.IGNORECASE,
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_HINT = 6 * 3600.0  # seconds: who asks for more is tried by the schedule


def hear(status: Status) -> Heard:
    """What kind of temporary failure it is."""
    enhanced = status.enhanced
    if not status.diagnostic or (enhanced is not None and enhanced.subject == 4 and enhanced.detail != 5):
        return Heard.NETWORK
    words = status.diagnostic or status.text
    if _GREY.search(words):
        return Heard.GREYLISTED
    if enhanced is not None and (enhanced.subject, enhanced.detail) in _BY_CODE:
        return _BY_CODE[enhanced.subject, enhanced.detail]
    if _FULL.search(words):
        return Heard.FULL
    if status.reply_code == 421 or _THROTTLE.search(words):
        return Heard.THROTTLED
    return Heard.OTHER


# RFC 3463, RFC 7372 and what large providers make of them.
_BY_CODE = {
    (2, 2): Heard.FULL,
    (3, 2): Heard.THROTTLED,  # "system not accepting network messages"
    (4, 5): Heard.THROTTLED,  # "mail system congestion"
    (7, 28): Heard.THROTTLED,  # "unusual rate of mail"
}


def hint_of(status: Status) -> float:
    """Seconds after which the server says we may come back; 0: it does not say."""
    found = _SPAN.search(status.diagnostic or status.text)
    if found is None:
        return 0.0
    hours, minutes, seconds, number, unit = found.groups()
    if number is None:
        span = int(hours) * 3600.0 + int(minutes) * 60 + int(seconds)
    elif unit:
        span = int(number) * _UNITS[unit[0].lower()]
    else:
        return 0.0
    return span if 0 < span <= LONGEST_HINT else 0.0
