"""Any message -> what it tells about one of ours (RFC 3464, RFC 6533), standard or not.

The order is by certainty: machine-readable parts, their fields where a reporter put them into its text, then prose.
"""

from __future__ import annotations

import re

from msgspec import structs

from postroad.content.returned import prose, signals
from postroad.content.returned.feedback import complainer, read_feedback
from postroad.content.returned.fields import StatusPart, bare, more_telling, read_status, typed
from postroad.content.returned.model import Kind, Original, Returned, ReturnedRecipient
from postroad.content.returned.notices import read_notice
from postroad.content.returned.parts import Parts, fields_of, take_apart
from postroad.content.returned.wording import codes_in, stage_of
from postroad.mail.dsn import Action

MAX_HEADER = 64 * 1024  # characters of the original's header that are kept
_FIELDS_IN_TEXT = re.compile(r"^[ \t]*final-recipient[ \t]*:", re.IGNORECASE | re.MULTILINE)


def read(content: bytes) -> Returned:
    """Never raises; what is nothing special is of kind NONE."""
    parts = take_apart(content)
    if parts.feedback is not None or signals.is_complaint(parts):
        return _complaint(parts)
    standard = _standard(parts)
    if standard is not None:
        return standard
    notice = read_notice(parts.prose)
    if notice is not None:
        return notice
    told = _told(parts) if signals.looks_returned(parts) and not parts.disposition else None
    return told or _answer(parts)


# --- machine-readable -------------------------------------------------------------------------------------------------


def _complaint(parts: Parts) -> Returned:
    kind, reporter, recipients, envelope_id = read_feedback(parts.feedback or "")
    original = _original(parts.original, envelope_id)
    named = recipients or list(original.recipients[:1] if original else ()) or [""]
    told = tuple(complainer(address) for address in named)
    return Returned(Kind.FEEDBACK, told, original, reporter, kind or "abuse", standard=parts.feedback is not None)


def _standard(parts: Parts) -> Returned | None:
    text, quoted = parts.status, parts.original
    if text is None:
        text, quoted = _fields_in_text(parts)
    found = read_status(text)
    if not found.recipients:
        return None
    recipients = tuple(_explained(parts, found))
    envelope_id = found.message.get("original-envelope-id", "")
    reporter = typed(found.message.get("reporting-mta", ""))
    return Returned(
        _kind(recipients), recipients, _original(quoted, envelope_id), reporter, standard=parts.status is not None
    )


def _fields_in_text(parts: Parts) -> tuple[str, str]:
    """Some write the fields into their text; the original may follow them there."""
    if not _FIELDS_IN_TEXT.search(parts.prose) or not signals.looks_returned(parts):
        return "", ""
    split = prose.part(parts.prose)
    return "\n".join(line.strip() if ":" in line else line for line in split.report), parts.original or split.original


def _explained(parts: Parts, found: StatusPart) -> list[ReturnedRecipient]:
    """With what the text for people says of each: many leave the field for the reply empty and say it there."""
    lines = prose.part(parts.prose).report if parts.prose else []
    addresses = [recipient.address for recipient in found.recipients]
    entries = prose.find(lines, expected=addresses) if lines else []
    said = {entry.address.lower(): prose.words_of(entry, entries, lines) for entry in entries}
    explained = []
    for recipient in found.recipients:
        own, whole = said.get(recipient.address.lower(), ("", ""))
        context = own if len(found.recipients) > 1 else whole
        reply_code, spoken = codes_in(own)
        explained.append(
            structs.replace(
                recipient,
                context=context,
                reply_code=recipient.reply_code or reply_code,
                enhanced=more_telling(recipient.enhanced, spoken),
                stage=recipient.stage or stage_of(context),
            )
        )
    return explained


def _kind(recipients: tuple[ReturnedRecipient, ...]) -> Kind:
    """A report with one failure in it is a bounce, one with a delay and successes a delay."""
    actions = {recipient.action for recipient in recipients}
    if Action.FAILED in actions:
        return Kind.BOUNCE
    return Kind.DELAY if Action.DELAYED in actions else Kind.DELIVERED


# --- prose ------------------------------------------------------------------------------------------------------------


def _told(parts: Parts) -> Returned | None:
    split = prose.part(parts.prose)
    original = _original(parts.original or split.original)
    header = parts.header
    failed = [bare(each) for each in header.get("x-failed-recipients", "").split(",")[: prose.MAX_RECIPIENTS] if each]
    passing = [bare(each) for name in ("to", "from") for each in header.get(name, "").split(",")[:20]]
    entries = prose.find(split.report, excluded=passing, expected=failed)
    if not entries and original is not None:  # it says that it failed, and only the original says for whom
        entries = [
            prose.Entry(address, [], prose.ANYWHERE) for address in original.recipients if address not in passing
        ]
    if not entries:
        return None
    late = signals.is_late_only(parts, prose.joined(split.report))
    action = Action.DELAYED if late else Action.FAILED
    subject = header.get("subject", "")
    recipients = tuple(_said(entry, entries, split.report, action, subject) for entry in entries)
    return Returned(Kind.DELAY if late else Kind.BOUNCE, recipients, original)


def _said(
    entry: prose.Entry, entries: list[prose.Entry], lines: list[str], action: Action, subject: str
) -> ReturnedRecipient:
    own, whole = prose.words_of(entry, entries, lines)
    reply_code, enhanced = codes_in(own)
    if len(entries) == 1 or not (reply_code or enhanced):
        later = codes_in(whole)
        reply_code, enhanced = reply_code or later[0], enhanced or later[1]
    return ReturnedRecipient(
        address=entry.address,
        action=action,
        reply_code=reply_code,
        enhanced=enhanced,
        diagnostic=own,
        stage=stage_of(own) or stage_of(whole),
        context=f"{whole} {subject}".strip(),
    )


def _answer(parts: Parts) -> Returned:
    """A robot's answer; or nothing special."""
    kind = (
        Kind.CHALLENGE
        if signals.is_challenge(parts)
        else Kind.AUTO_REPLY
        if signals.is_auto_reply(parts) and not parts.disposition
        else Kind.NONE
    )
    if kind is Kind.NONE:
        return Returned()
    who = ReturnedRecipient(
        bare(parts.header.get("from", "")), Action.DELIVERED, diagnostic=parts.header.get("subject", "")
    )
    return Returned(kind, (who,), _answered(parts))


def _answered(parts: Parts) -> Original | None:
    """The message that was answered."""
    found = re.search(r"<([^<>\s]{3,998})>", parts.header.get("in-reply-to", "") or parts.header.get("references", ""))
    return Original(message_id=found[1]) if found else None


def _original(text: str, envelope_id: str = "") -> Original | None:
    block = text.lstrip("\n").partition("\n\n")[0][:MAX_HEADER]
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
