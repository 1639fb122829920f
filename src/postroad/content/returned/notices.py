"""Reports as JSON, as Amazon's mail service sends them by mail (its notification and its event format)."""

from __future__ import annotations

import json
from typing import Any

from postroad.content.returned.fields import bare, more_telling, status_code, typed
from postroad.content.returned.model import Kind, Original, Returned, ReturnedRecipient
from postroad.content.returned.wording import codes_in, stage_of
from postroad.mail.dsn import Action

MAX_RECIPIENTS = 1000
_KINDS = {
    "bounce": (Kind.BOUNCE, "bouncedRecipients", Action.FAILED),
    "complaint": (Kind.FEEDBACK, "complainedRecipients", Action.DELIVERED),
    "delivery": (Kind.DELIVERED, "recipients", Action.DELIVERED),
    "deliverydelay": (Kind.DELAY, "delayedRecipients", Action.DELAYED),
}


def read_notice(text: str) -> Returned | None:
    """None where there is no such notice in the text."""
    start = text.find("{")
    if start < 0 or '"mail"' not in text:
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text.replace("!\n ", ""), start)  # some relays cut lines so
        if isinstance(value, dict) and isinstance(value.get("Message"), str):
            value = json.loads(value["Message"])
        return _notice(value)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _notice(value: dict[str, Any]) -> Returned | None:
    name = str(value.get("notificationType") or value.get("eventType") or "").replace(" ", "").lower()
    if name not in _KINDS:
        return None
    kind, key, action = _KINDS[name]
    detail = value.get(name) or value.get("deliveryDelay") or {}
    recipients = tuple(_recipient(each, action, detail) for each in list(detail.get(key) or ())[:MAX_RECIPIENTS])
    if not recipients:
        return None
    mail = value.get("mail") or {}
    headers = mail.get("commonHeaders") or {}
    original = Original(
        message_id=str(headers.get("messageId") or mail.get("messageId") or "").strip("<>"),
        sender=bare(str((headers.get("from") or [mail.get("source", "")])[0])),
        recipients=tuple(bare(str(each)) for each in headers.get("to") or mail.get("destination") or ()),
        subject=str(headers.get("subject") or ""),
    )
    reporter = typed(str(detail.get("reportingMTA") or ""))
    feedback = str(detail.get("complaintFeedbackType") or "abuse") if kind is Kind.FEEDBACK else ""
    return Returned(kind, recipients, original, reporter, feedback)


def _recipient(each: object, action: Action, detail: dict[str, Any]) -> ReturnedRecipient:
    fields: dict[str, Any] = each if isinstance(each, dict) else {"emailAddress": each}
    words = typed(str(fields.get("diagnosticCode") or detail.get("smtpResponse") or ""))
    reply_code, spoken = codes_in(words)
    kind = " ".join(str(detail.get(name) or "") for name in ("bounceType", "bounceSubType", "delayType")).strip()
    return ReturnedRecipient(
        address=bare(str(fields.get("emailAddress") or "")),
        action=action,
        reply_code=reply_code,
        enhanced=more_telling(spoken, status_code(str(fields.get("status") or ""))),
        diagnostic=words,
        stage=stage_of(words),
        context=kind,
    )
