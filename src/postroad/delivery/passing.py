"""What a sender asked for, said to the next hop as far as that one offers it; and what of it cannot be had there.

Pure. The usual message asks for nothing and never comes here.
"""

from __future__ import annotations

from datetime import datetime
from math import floor

from postroad.mail.envelope import Notify
from postroad.mail.status import EnhancedCode, Status
from postroad.mail.terms import ByMode, RecipientTerms, Terms, TlsWish
from postroad.ports.store import Message
from postroad.proto.smtp.extensions import Capabilities
from postroad.proto.smtp.parameters import DeliverBy, MailParameters, RcptParameters

_MAX_BY = 999_999_999  # RFC 2852 §4: nine digits


def mail_parameters(terms: Terms, now: datetime, capabilities: Capabilities) -> MailParameters:
    """For MAIL FROM; what the next hop does not offer is left out when it is written."""
    return MailParameters(
        ret=terms.ret,
        envid=terms.envid or None,
        deliver_by=_time_left(terms, now) if takes_deadline(terms, now, capabilities) else None,
        priority=terms.priority or None,
        require_tls=terms.tls is TlsWish.REQUIRE,
    )


def names_it(message: Message, capabilities: Capabilities) -> bool:
    """Whether a next hop is told how we call our own people's message, so that its report names it (RFC 3461 §4.4)."""
    return (message.server is not None or message.account is not None) and "DSN" in capabilities.keywords


def rcpt_parameters(terms: RecipientTerms) -> RcptParameters:
    """For RCPT TO."""
    return RcptParameters(notify=Notify(terms.notify), orcpt=terms.orcpt or None)


def takes_deadline(terms: Terms, now: datetime, capabilities: Capabilities) -> bool:
    """Whether the next hop keeps to a time, and to one as short as what is left (RFC 2852 §2, §4.1.3)."""
    if terms.deadline is None or "DELIVERBY" not in capabilities:
        return False
    least = next(iter(capabilities.keywords["DELIVERBY"]), "")
    shortest = int(least) if least.isascii() and least.isdigit() and len(least) <= 9 else 0
    left = floor((terms.deadline - now).total_seconds())
    return left >= shortest or left <= 0


def offered_to(terms: Terms | None, now: datetime, known: Capabilities) -> frozenset[str]:
    """The extensions by which the next hop takes over what was asked for, and we need not report it."""
    kept = {"DSN"} & known.keywords.keys()
    if terms is not None and takes_deadline(terms, now, known):
        kept.add("DELIVERBY")
    return frozenset(kept)


def against(terms: Terms, now: datetime, capabilities: Capabilities, host: str) -> Status | None:
    """Why the message must not go to this host now; what is in time, and returned when late, stays with those who keep
    to the time (RFC 2852 §4.1.4)."""
    if terms.deadline is None or not terms.returns_late:
        return None
    if now >= terms.deadline:
        return Status(550, EnhancedCode(5, 4, 7), "its time ran out before it could be delivered", "", host)
    if not takes_deadline(terms, now, capabilities):
        text = f"{host} does not promise to deliver it in time"
        return Status(550, EnhancedCode(5, 3, 3), text, "DELIVERBY is not offered, or not for so short a time", host)
    return None


def _time_left(terms: Terms, now: datetime) -> DeliverBy:
    assert terms.deadline is not None
    left = floor((terms.deadline - now).total_seconds())
    left = max(-_MAX_BY, min(left, _MAX_BY))
    if terms.by_mode is ByMode.RETURN:
        left = max(left, 1)  # `against` has seen that some is left
    return DeliverBy(left, (terms.by_mode or ByMode.NOTIFY).value, terms.by_trace)
