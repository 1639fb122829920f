"""What can happen to mail: the kinds of event and which of them end a delivery."""

from __future__ import annotations

from enum import StrEnum

from postroad.ports.store import DeliveryState


class EventKind(StrEnum):
    """Each is one row; its detail's keys stand beside it."""

    # message: client, helo, protocol, size, recipients, account, track_opens, track_links, wishes,
    # verdicts
    RECEIVED = "received"
    QUEUED = "queued"  # delivery: dest, release; orig and via where an alias or forward changed the recipient
    DEFERRED = "deferred"  # delivery: reply, host, attempt, next
    DELIVERED = "delivered"  # delivery: mailbox, or host and reply
    BOUNCED = "bounced"  # delivery: reply, host, cause
    EXPIRED = "expired"  # delivery: reply of the last try
    CANCELLED = "cancelled"  # delivery: by
    HELD = "held"  # delivery: why
    RELEASED = "released"  # delivery: by
    RETRY_ASKED = "retry-asked"  # delivery: by
    REPORT_SENT = "report-sent"  # delivery, or none for an alias: report (id of the DSN), to, action
    REPORT_WITHHELD = "report-withheld"  # delivery: why no DSN was sent (null reverse-path, a stranger)
    REPEAT = "repeat"  # message: the client sent it again because it never saw our 250
    # delivery, or none where it is not known: report (id of what came back), host, reply, type (Postmark's name),
    # reason, address (where that is another), feedback, unproven
    RETURNED = "returned"  # a bounce or a delay was reported later, by mail
    COMPLAINED = "complained"  # the recipient calls it spam
    AUTO_REPLIED = "auto-replied"  # a robot answered
    CHALLENGED = "challenged"  # a filter there wants to see a person
    SUPPRESSED = "suppressed"  # delivery: address, stream, reason: it gets nothing more on that stream
    ADMIN = "admin"  # nothing of the mail: action, by, what


FINAL_KIND = {
    DeliveryState.DELIVERED: EventKind.DELIVERED,
    DeliveryState.BOUNCED: EventKind.BOUNCED,
    DeliveryState.EXPIRED: EventKind.EXPIRED,
    DeliveryState.CANCELLED: EventKind.CANCELLED,
}
