"""What a temporary reply tells of the next try: that we were too quick, are to come back, or that a mailbox is full.

Pure. Only replies that put mail off come here; the reason that content.classify finds decides, then codes.
"""

from __future__ import annotations

import re
from enum import StrEnum

from postroad.content.classify import reasoned
from postroad.content.reasons import Reason
from postroad.mail.status import Status


class Heard(StrEnum):
    """As `[[retry]]` names it in the settings."""

    NETWORK = "network"  # no connection, no answer, no DNS
    THROTTLED = "throttled"  # too many messages or connections of ours: the provider's limit, not the message's fault
    GREYLISTED = "greylisted"  # come back later, and it will be taken
    FULL = "mailbox-full"
    OTHER = "other"


_BY_REASON: dict[str, Heard] = {
    Reason.GREYLISTED: Heard.GREYLISTED,
    Reason.MAILBOX_FULL: Heard.FULL,
    Reason.RECEIVER_FULL: Heard.FULL,
    Reason.RATE_LIMITED: Heard.THROTTLED,
    Reason.TOO_MANY_CONNECTIONS: Heard.THROTTLED,
    Reason.BAD_REPUTATION: Heard.THROTTLED,  # put off for what they think of us: less is taken, not nothing
    Reason.NO_CONNECTION: Heard.NETWORK,
    Reason.DNS_FAILURE: Heard.NETWORK,
}
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
    heard = _BY_REASON.get(reasoned(status).reason)
    if heard is not None:
        return heard
    if enhanced is not None and (enhanced.subject, enhanced.detail) in _BY_CODE:
        return _BY_CODE[enhanced.subject, enhanced.detail]
    return Heard.THROTTLED if status.reply_code == 421 else Heard.OTHER


# RFC 3463, RFC 7372 and what large providers make of them.
_BY_CODE = {
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
