"""From what MAIL and RCPT said to what is kept with the message and its recipients. Most mail never comes here."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

from postroad.intake.transaction import MailTransaction, PlannedDelivery
from postroad.mail.envelope import BodyFlag, Notify
from postroad.mail.header import Header
from postroad.mail.terms import NO_RECIPIENT_TERMS, NO_TERMS, ByMode, RecipientTerms, Terms, TlsWish, expanded, merged
from postroad.proto.smtp.parameters import (
    MAIL_PARAMETERS,
    RCPT_PARAMETERS,
    MailParameters,
    RcptParameters,
    written,
)

_KEPT = {keyword: row for keyword, row in MAIL_PARAMETERS.items() if row.extension}
_TOLD = 5  # recipients


def terms_of(mail: MailTransaction, header: Header) -> Terms | None:
    """What MAIL and the header ask for; None where nothing was said that has to be kept."""
    waived = waives_tls(header)
    if not mail.parameters.asks and not waived:
        return None
    assert mail.received is not None
    return message_terms(mail.parameters, mail.received, waived=waived)


def waives_tls(header: Header) -> bool:
    """`TLS-Required: No`, once, and nothing else (RFC 8689 §3)."""
    values = header.all(b"tls-required")
    return len(values) == 1 and values[0].strip().lower() == b"no"


def message_terms(parameters: MailParameters, received: datetime, *, waived: bool = False) -> Terms | None:
    """None where nothing was said that has to be kept. REQUIRETLS goes before the header (RFC 8689 §4.1)."""
    by = parameters.deliver_by
    release = parameters.hold_until
    if parameters.hold_for is not None:
        release = received + timedelta(seconds=parameters.hold_for)
    terms = Terms(
        parameters.ret,
        parameters.envid or "",
        release if release is not None and release > received else None,
        received + timedelta(seconds=by.seconds) if by else None,
        ByMode(by.mode) if by else None,
        by.trace if by else False,
        parameters.priority or 0,
        TlsWish.REQUIRE if parameters.require_tls else TlsWish.WAIVE if waived else TlsWish.UNSAID,
    )
    return None if terms == NO_TERMS else terms


def recipient_terms(mail: MailTransaction, planned: PlannedDelivery) -> RecipientTerms | None:
    """For one delivery, whoever led to it: an alias of several has its own report (RFC 3461 §5.2.7.3 c)."""
    terms: RecipientTerms | None = None
    for number, name in enumerate(planned.recipients):
        said = _said(mail.wishes.get(name))
        if said is not None and name in mail.expanded:
            said = expanded(said)
        terms = merged(terms, said) if number else said
    return terms


def wants_expansion(mail: MailTransaction, name: str) -> bool:
    """Whether the sender is told that `name` is an alias of several, if it still is a recipient."""
    wish = mail.wishes.get(name)
    return wish is not None and name in mail.recipients and wish.notify & Notify.SUCCESS != 0


def in_words(mail: MailTransaction) -> str:
    """What was asked for, as MAIL and RCPT said it: for the message's story. Of many recipients the first few."""
    parts = [written(mail.parameters, _KEPT).strip()] if mail.parameters.asks else []
    for name, wish in islice(mail.wishes.items(), _TOLD):
        parts.append(f"{name}{written(wish, RCPT_PARAMETERS)}")
    return ", ".join(part for part in parts if part)


def _said(wish: RcptParameters | None) -> RecipientTerms | None:
    if wish is None:
        return None
    terms = RecipientTerms(int(wish.notify), wish.orcpt or "")
    return None if terms == NO_RECIPIENT_TERMS else terms


def utf8_flag(parameters: MailParameters, header: Header, flags: BodyFlag) -> BodyFlag:
    """Whether it can go by SMTPUTF8 alone: the client said SMTPUTF8, and needs it for more than an address.

    Many clients say it always (RFC 6531 §3.4 asks them not to); what is ASCII in its header goes to any server. The
    headers inside of a multipart are not looked at: there, any octet beyond ASCII counts.
    """
    if not parameters.utf8 or not flags & BodyFlag.EIGHT_BIT:
        return flags
    multipart = header.text(b"content-type").lower().lstrip().startswith(("multipart/", "message/"))
    return flags | BodyFlag.UTF8 if multipart or not header.raw.isascii() else flags
