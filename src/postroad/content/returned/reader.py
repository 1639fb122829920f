"""Any message -> what it tells about one of ours (RFC 3464, RFC 6533), standard or not.

The order is by certainty: a machine-readable part, then prose.
"""

from __future__ import annotations

from postroad.content.returned.fields import bare, read_status, typed
from postroad.content.returned.model import Kind, Original, Returned, ReturnedRecipient
from postroad.content.returned.parts import Parts, fields_of, take_apart
from postroad.mail.dsn import Action

MAX_HEADER = 64 * 1024  # characters of the original's header that are kept


def read(content: bytes) -> Returned:
    """Never raises; what is nothing special is of kind NONE."""
    parts = take_apart(content)
    if parts.status is not None:
        found = read_status(parts.status)
        if found.recipients:
            envelope_id = found.message.get("original-envelope-id", "")
            reporter = typed(found.message.get("reporting-mta", ""))
            return Returned(
                _kind(found.recipients), tuple(found.recipients), _original(parts, envelope_id), reporter, standard=True
            )
    return Returned()


def _kind(recipients: list[ReturnedRecipient]) -> Kind:
    """A report with one failure in it is a bounce, one with a delay and successes a delay."""
    actions = {recipient.action for recipient in recipients}
    if Action.FAILED in actions:
        return Kind.BOUNCE
    return Kind.DELAY if Action.DELAYED in actions else Kind.DELIVERED


def _original(parts: Parts, envelope_id: str = "") -> Original | None:
    block = parts.original.lstrip("\n").partition("\n\n")[0][:MAX_HEADER]
    fields = fields_of(block, decoded=True)
    if not fields and not envelope_id:
        return None
    return Original(
        message_id=fields.get("message-id", "").strip().strip("<>"),
        envelope_id=envelope_id,
        sender=bare(fields.get("from", "")),
        recipients=tuple(bare(each) for each in fields.get("to", "").split(",")[:100] if "@" in each),
        subject=fields.get("subject", ""),
        header=block.encode("utf-8", "surrogateescape"),
    )
