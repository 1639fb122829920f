"""The machine-readable part of a delivery report (RFC 3464 §2), its international form included (RFC 6533 §4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from postroad.content.returned.model import ReturnedRecipient
from postroad.content.returned.parts import Fields, pairs_of
from postroad.content.returned.wording import codes_in, stage_of
from postroad.mail.dsn import Action, read_address
from postroad.mail.status import EnhancedCode

MAX_RECIPIENTS = 1000
MAX_STATUS = 512 * 1024  # characters that are looked at
_STATUS = re.compile(r"[245][ \t]*\.[ \t]*\d{1,3}[ \t]*\.[ \t]*\d{1,3}")
_ABOUT_RECIPIENT = ("final-recipient", "original-recipient", "action", "x-actual-recipient")


class StatusPart(Struct):
    """Its fields about the message, and its recipients."""

    message: Fields
    recipients: list[ReturnedRecipient]


def read_status(text: str) -> StatusPart:
    """Any text can be read; one that is no report has no recipients."""
    message: Fields = {}
    recipients: list[ReturnedRecipient] = []
    for block in _blocks(text[:MAX_STATUS]):
        if "final-recipient" in block or "original-recipient" in block or "x-actual-recipient" in block:
            if len(recipients) < MAX_RECIPIENTS:
                recipients.append(_recipient(block))
        else:
            message = block | message
    return StatusPart(message, recipients)


def _blocks(text: str) -> Iterator[Fields]:
    """Blocks stand apart by empty lines (RFC 3464 §2.1); where a reporter forgot one, a second Final-Recipient begins
    the next, and where it put one too many, the fields behind it go on with the last."""
    pending: Fields = {}
    for block in re.split(r"\n[ \t]*\n", text.strip("\n")):
        current: Fields = {}
        about = False
        for name, value in pairs_of(block):
            begins = current and not about and name in _ABOUT_RECIPIENT and name != "action"
            if begins or (name == "final-recipient" and name in current):
                yield current
                current = {}
            about = about or name in _ABOUT_RECIPIENT
            current.setdefault(name, value)
        if not current:
            continue
        if not about and pending and not pending.keys() & current.keys():
            pending |= current
            continue
        if pending:
            yield pending
        pending = current
    if pending:
        yield pending


def _recipient(fields: Fields) -> ReturnedRecipient:
    address = read_address(fields.get("final-recipient") or fields.get("original-recipient", ""))
    original = read_address(fields.get("original-recipient") or fields.get("x-actual-recipient", ""))
    if "@" not in address and "@" in original:
        address = original
    words = typed(fields.get("diagnostic-code", "")) or typed(fields.get("x-supplementary-info", ""))
    reply_code, spoken = codes_in(words)
    return ReturnedRecipient(
        address=bare(address),
        action=_action(fields.get("action", "")),
        reply_code=reply_code,
        enhanced=more_telling(spoken, status_code(fields.get("status", ""))),
        diagnostic=words,
        remote=host_name(fields.get("remote-mta", "")),
        original=bare(original) if original != address else "",
        stage=stage_of(words),
    )


def _action(value: str) -> Action:
    word = re.match(r"[a-z]*", value.strip().lower())
    name = {"failure": "failed", "fail": "failed", "deliverable": "delivered", "expired": "failed"}.get(
        word[0] if word else "", word[0] if word else ""
    )
    return Action(name) if name in set(Action) else Action.FAILED


def status_code(value: str) -> EnhancedCode | None:
    """`5.1.1 (bad mailbox)`."""
    found = _STATUS.search(value)
    return EnhancedCode.parse(re.sub(r"[ \t]", "", found[0])) if found else None


def more_telling(first: EnhancedCode | None, second: EnhancedCode | None) -> EnhancedCode | None:
    """Of two codes for one failure the one that says more: `5.0.0` says nothing, `5.7.1` and `5.2.0` little."""
    if first is None or second is None:
        return first or second
    return max(first, second, key=_weight)


def _weight(code: EnhancedCode) -> int:
    return (code.subject != 0) + (code.detail != 0) * 2


def typed(value: str) -> str:
    """`smtp; 550 no` or `dns; mx.example.com` without its type."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and len(kind) <= 40 and " " not in kind.strip() else value.strip()


def host_name(value: str) -> str:
    """`dns; mx.example.com. (192.0.2.1, the server for the domain)` without type and remarks."""
    return re.split(r"[\s()|;,]", typed(value), maxsplit=1)[0].strip("[].")


def bare(address: str) -> str:
    """The address out of `<a@b>` or `Alice <a@b>`."""
    found = re.search(r"<([^<>\s]{1,320})>", address)
    return (found[1] if found else address).strip().strip("'\"")
