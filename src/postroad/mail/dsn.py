"""Delivery status notifications (RFC 3464, in the multipart/report of RFC 3462): written for people first, machines
second, and read back.

To senders whose own address is internationalized they go in the forms of RFC 6533, to all others in ASCII forms. Pure:
time, message id and boundary come from the caller. Who gets a report, and who must not, `queue.bounces` decides.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum

from postroad.mail.status import EnhancedCode, Status

MAX_DIAGNOSTIC = 2000  # octets of a remote's words that a report repeats
_FOLD_AT = 76
_REPLY_CODE = re.compile(r"[2-5][0-9]{2}", re.ASCII)
# RFC 6533 §3 EmbeddedUnicodeChar, to U+10FFFF and without halves of surrogate pairs
_EMBEDDED = re.compile(r"\\x\{(?!D[89A-F][0-9A-F]{2}\})((?:10|[1-9A-F])?[0-9A-F]{2,4})\}")


class Action(StrEnum):
    """RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of one recipient (RFC 3464 §2.3)."""

    final_recipient: str
    action: Action
    status: Status
    original_recipient: str = ""  # as the sender named it, where that differs
    last_attempt: datetime | None = None
    expired: bool = False  # given up after trying for a while, not refused for good
    orcpt: str = ""  # ORCPT as it came: `rfc822;a@b` (RFC 3461 §6.3 d)
    will_retry_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """One report on one message (RFC 3464 §2.2)."""

    reporting_mta: str
    recipients: Sequence[RecipientReport]
    arrival: datetime | None = None
    tried_for: timedelta = timedelta(0)
    envid: str = ""  # ENVID as it came, decoded (RFC 3461 §6.3 a)
    utf8: bool = False  # it goes by SMTPUTF8: addresses stand in it as they are (RFC 6533 §4)


@dataclass(frozen=True, slots=True)
class ReturnedMessage:
    """What of the original goes back with the report: all of it, or its header block alone."""

    content: bytes
    whole: bool
    subject: str = ""
    utf8: bool = False  # its header fields are internationalized (RFC 6532)


def write(
    report: DeliveryReport, returned: ReturnedMessage, *, to: str, now: datetime, message_id: str, boundary: str
) -> bytes:
    """The report as a complete message, lines ended by CRLF. `message_id` is without its angle brackets."""
    cut = b"--" + boundary.encode("ascii")
    parts = [_header(report, to, now, message_id, boundary)]
    parts += [cut, *_human_part(report, returned)]
    parts += [cut, *_status_part_of(report)]
    parts += [cut, *_returned_part(returned, eight_bit=report.utf8)]
    parts += [cut + b"--", b""]
    return b"\r\n".join(parts)


def _header(report: DeliveryReport, to: str, now: datetime, message_id: str, boundary: str) -> bytes:
    """Auto-Submitted keeps vacation programs silent (RFC 3834 §5)."""
    lines = (
        f"From: Mail Delivery System <mailer-daemon@{report.reporting_mta}>",
        f"To: <{to}>",
        f"Subject: {_subject(report)}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{message_id}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
        "",
        "This is a report on the delivery of your message, in MIME format.",
    )
    return "\r\n".join(lines).encode("utf-8")


def _subject(report: DeliveryReport) -> str:
    actions = {recipient.action for recipient in report.recipients}
    if Action.FAILED in actions:
        return "Your message could not be delivered"
    if Action.DELAYED in actions:
        return "Your message is late"
    return "Your message was delivered" if actions == {Action.DELIVERED} else "Your message was passed on"


# --- for people -------------------------------------------------------------------------------------------------------


def _human_part(report: DeliveryReport, returned: ReturnedMessage) -> list[bytes]:
    text = "\r\n".join(_human_lines(report, returned)).encode("utf-8", "replace")
    encoding = b"7bit" if text.isascii() else b"8bit"
    return [b"Content-Type: text/plain; charset=utf-8", b"Content-Transfer-Encoding: " + encoding, b"", text]


def _human_lines(report: DeliveryReport, returned: ReturnedMessage) -> Iterator[str]:
    yield "Hello,"
    yield ""
    about = f' "{_printable(returned.subject)}"' if returned.subject else ""
    whom = "these recipients" if len(report.recipients) > 1 else "this recipient"
    yield from _wrapped(f"this is the mail server {report.reporting_mta}. {_news(report, about, whom)}:")
    for recipient in report.recipients:
        yield ""
        yield from _human_recipient(recipient, report.tried_for)
    yield ""
    yield "Nobody else is concerned: other recipients of the message are not named here."
    yield "Below are the details for your administrator, and " + (
        "your message." if returned.whole else "the header of your message."
    )
    yield ""


def _news(report: DeliveryReport, about: str, whom: str) -> str:
    actions = {recipient.action for recipient in report.recipients}
    if Action.FAILED in actions:
        return f"I am sorry: your message{about} did not reach {whom}"
    if Action.DELAYED in actions:
        return f"Your message{about} has not yet reached {whom}, and you need do nothing: I keep trying"
    return f"As you asked to be told: this is where your message{about} stands for {whom}"


def _human_recipient(recipient: RecipientReport, tried_for: timedelta) -> Iterator[str]:
    name = recipient.original_recipient or recipient.final_recipient
    passed_on = f" (passed on to {recipient.final_recipient})" if name != recipient.final_recipient else ""
    yield f"  {name}{passed_on}"
    status = recipient.status
    for line in _wrapped(_TELLING.get(recipient.action, _reason)(recipient, tried_for)):
        yield f"    {line}"
    if status.diagnostic and not status.is_success:
        yield f"    The words of {status.remote or 'the other server'}:"
        for line in _wrapped(_printable(status.diagnostic)):
            yield f"      {line}"


def _late(recipient: RecipientReport, tried_for: timedelta) -> str:
    until = recipient.will_retry_until
    end = f" I shall go on until {format_datetime(until)}." if until else ""
    return f"I have been trying for {_span(tried_for)}.{end}"


def _arrived(recipient: RecipientReport, _tried_for: timedelta) -> str:
    return {
        Action.DELIVERED: "It is in the mailbox.",
        Action.EXPANDED: "This is a name for several addresses: it has been sent on to each of them. Whether it"
        " arrives there is told only where it does not.",
    }.get(
        recipient.action,
        f"The server {recipient.status.remote or 'next on the way'} has taken it. It makes no reports of success: you"
        " will hear no more, unless it fails there.",
    )


def _reason(recipient: RecipientReport, tried_for: timedelta) -> str:
    status = recipient.status
    if recipient.expired:
        return f"I kept trying for {_span(tried_for)} and have now given up. {_advice(status.enhanced, temporary=True)}"
    if status.remote:
        return f"The server {status.remote} refused it. {_advice(status.enhanced, temporary=False)}"
    return f"{_sentence(status.text)} {_advice(status.enhanced, temporary=False)}"


_TELLING = {
    Action.DELAYED: _late,
    Action.DELIVERED: _arrived,
    Action.RELAYED: _arrived,
    Action.EXPANDED: _arrived,
}
_ADVICE = {
    (1, 1): "The address does not exist there: please check its spelling.",
    (1, 2): "The part after the @ does not exist: please check its spelling.",
    (1, 10): "That domain takes no mail at all: please check its spelling.",
    (2, 1): "The mailbox is switched off: please reach the recipient in another way.",
    (2, 2): "The mailbox is full: please try again later, or reach the recipient in another way.",
    (2, 3): "The message is too large for this mailbox: please send something smaller.",
    (3, 4): "The message is too large for that server: please send something smaller.",
    (4, 6): "The mail for this domain runs in a circle: its administrator has to repair it.",
    (4, 7): "It was to be there by a certain time, and that time has passed.",
    (6, 3): "That server cannot take it as it is, and its signature forbids to rewrite it.",
    (6, 7): "That server does not take addresses with letters outside ASCII.",
    (7, 1): "That server does not want this message: its words below say more.",
}


def _advice(enhanced: EnhancedCode | None, *, temporary: bool) -> str:
    known = _ADVICE.get((enhanced.subject, enhanced.detail)) if enhanced else None
    if known:
        return known
    return "You can send the message again later." if temporary else "Sending the same message again will not help."


def _sentence(text: str) -> str:
    text = _printable(text).strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _span(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    if hours >= 48:
        return f"{round(hours / 24)} days"
    return f"{round(hours)} hours" if hours >= 2 else f"{max(1, round(hours * 60))} minutes"


# --- for machines -----------------------------------------------------------------------------------------------------


def _status_part_of(report: DeliveryReport) -> list[bytes]:
    fields = list(_status_fields(report))
    if not report.utf8:
        return [b"Content-Type: message/delivery-status", b"", *fields]
    return [b"Content-Type: message/global-delivery-status", b"Content-Transfer-Encoding: 8bit", b"", *fields]


def _status_fields(report: DeliveryReport) -> Iterator[bytes]:
    if report.envid:
        yield _field("Original-Envelope-Id", report.envid)
    yield _field("Reporting-MTA", f"dns; {report.reporting_mta}")
    if report.arrival is not None:
        yield _field("Arrival-Date", format_datetime(report.arrival))
    for recipient in report.recipients:
        yield b""
        yield from _recipient_fields(recipient, utf8=report.utf8)
    yield b""


def _recipient_fields(recipient: RecipientReport, *, utf8: bool) -> Iterator[bytes]:
    status = recipient.status
    if recipient.orcpt:  # and only then, RFC 3461 §6.3 d
        kind, _, address = recipient.orcpt.partition(";")
        yield _field("Original-Recipient", _typed_address(address, kind, utf8=utf8), utf8=utf8)
    yield _field("Final-Recipient", _typed_address(recipient.final_recipient, utf8=utf8), utf8=utf8)
    yield _field("Action", recipient.action)
    yield _field("Status", str(_status_code(recipient)))
    if status.remote:
        yield _field("Remote-MTA", f"dns; {status.remote}")
    words = status.diagnostic or str(status)
    kind = "smtp; " if status.diagnostic else "x-postroad; "
    yield _field("Diagnostic-Code", kind + words[:MAX_DIAGNOSTIC], utf8=utf8)
    if recipient.last_attempt is not None:
        yield _field("Last-Attempt-Date", format_datetime(recipient.last_attempt))
    if recipient.will_retry_until is not None:
        yield _field("Will-Retry-Until", format_datetime(recipient.will_retry_until))


def _typed_address(address: str, kind: str = "rfc822", *, utf8: bool = False) -> str:
    """With its type; letters outside ASCII as RFC 6533 §3 has them where a report is ASCII: `utf-8; b\\x{FC}cher@a`."""
    if address.isascii() and kind.lower() != "utf-8":
        return f"{kind}; {address}"
    if utf8:
        return f"utf-8; {address}"
    return "utf-8; " + "".join(c if "!" <= c <= "~" and c not in "\\+=" else f"\\x{{{ord(c):02X}}}" for c in address)


def _status_code(recipient: RecipientReport) -> EnhancedCode:
    """Required by RFC 3464 §2.3.4; its class follows the reply code where the remote gave none that fits."""
    status = recipient.status
    klass = 2 if status.is_success else 5 if status.is_permanent else 4
    if status.enhanced is not None and status.enhanced.klass == klass:
        return status.enhanced
    return EnhancedCode(klass, 0, 0)


def _field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """One field, folded at spaces, without encoded words (RFC 3464 §2.1.1); ASCII but for `utf8` (RFC 6533 §4)."""
    text = "\r\n ".join(_wrapped(f"{name}: {_printable(value)}"))
    return text.encode("utf-8" if utf8 else "ascii", "replace")


def _returned_part(returned: ReturnedMessage, *, eight_bit: bool) -> list[bytes]:
    """What is internationalized is `message/global` (RFC 6532 §3.7), in base64 where the report itself is not."""
    if not returned.utf8:
        kind = b"message/rfc822" if returned.whole else b"text/rfc822-headers"
        encoding = b"7bit" if returned.content.isascii() else b"8bit"
        content = returned.content.removesuffix(b"\r\n")
        return [b"Content-Type: " + kind, b"Content-Transfer-Encoding: " + encoding, b"", content]
    kind = b"Content-Type: " + (b"message/global" if returned.whole else b"message/global-headers")
    if eight_bit:
        return [kind, b"Content-Transfer-Encoding: 8bit", b"", returned.content.removesuffix(b"\r\n")]
    lines = (returned.content[at : at + 57] for at in range(0, len(returned.content), 57))
    encoded = b"\r\n".join(b2a_base64(line, newline=False) for line in lines)
    return [kind, b"Content-Transfer-Encoding: base64", b"", encoded]


def _printable(text: str) -> str:
    """On one line, without control characters: a remote's words must not forge fields."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _wrapped(text: str) -> list[str]:
    """Cut at spaces into lines of about 76; a longer word is cut at 900 (RFC 5322 §2.1.1 allows 998 octets)."""
    lines: list[str] = []
    line = ""
    for long_word in text.split():
        for word in (long_word[i : i + 900] for i in range(0, len(long_word), 900)):
            if line and len(line) + 1 + len(word) > _FOLD_AT:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
    return [*lines, line]


# --- reading ----------------------------------------------------------------------------------------------------------


def read(content: bytes) -> DeliveryReport | None:
    """The report inside a `multipart/report` message, ours or another's; None when there is none to be found."""
    blocks = [_fields(block) for block in _status_part(content).split("\n\n") if block.strip()]
    if not blocks or "reporting-mta" not in blocks[0]:
        return None
    recipients = [_read_recipient(fields) for fields in blocks[1:] if "final-recipient" in fields]
    envid = blocks[0].get("original-envelope-id", "")
    return DeliveryReport(_typed(blocks[0]["reporting-mta"]), recipients, envid=envid) if recipients else None


def _status_part(content: bytes) -> str:
    """The body of the message/delivery-status part, lines ended by LF, up to the next boundary line."""
    text = content.replace(b"\r\n", b"\n")
    lower = text.lower()
    at = lower.find(b"\ncontent-type: message/delivery-status")
    at = at if at >= 0 else lower.find(b"\ncontent-type: message/global-delivery-status")
    if at < 0:
        return ""
    start = text.find(b"\n\n", at)
    boundary = text[text.rfind(b"\n--", 0, at + 1) + 1 :].split(b"\n", 1)[0]
    end = text.find(b"\n" + boundary, start) if boundary.startswith(b"--") else -1
    return text[start + 2 : end if end >= 0 else len(text)].decode("utf-8", "replace") if start >= 0 else ""


def _fields(block: str) -> dict[str, str]:
    unfolded = block.replace("\n ", " ").replace("\n\t", " ")
    pairs = (line.partition(":") for line in unfolded.splitlines() if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _typed(value: str) -> str:
    """`rfc822; a@b` without its type."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon else kind.strip()


def read_address(value: str) -> str:
    """The address in either type (RFC 6533 §3)."""
    address = _typed(value)
    if not value.lower().startswith("utf-8"):
        return address
    return _EMBEDDED.sub(lambda found: chr(int(found[1], 16)), address)


def _read_recipient(fields: dict[str, str]) -> RecipientReport:
    code = EnhancedCode.parse(fields.get("status", "").split(" ", 1)[0])
    action = fields.get("action", "").lower()
    diagnostic = _typed(fields.get("diagnostic-code", ""))
    reply_code = int(diagnostic[:3]) if _REPLY_CODE.match(diagnostic) else (code.klass * 100 + 50 if code else 450)
    return RecipientReport(
        final_recipient=read_address(fields["final-recipient"]),
        action=Action(action) if action in set(Action) else Action.FAILED,
        status=Status(reply_code, code, diagnostic, remote=_typed(fields.get("remote-mta", "")), diagnostic=diagnostic),
        original_recipient=read_address(fields.get("original-recipient", "")),
    )
