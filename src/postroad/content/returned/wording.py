"""What the words of a reply give away by their form: codes, the stage, an address. Pure."""

from __future__ import annotations

import re

from postroad.content.returned.model import Stage
from postroad.mail.status import EnhancedCode

LOOKED_AT = 4000  # characters of a reply

# `550`, `550-5.1.1`, `#550`, `(550)`; not a part of a longer number, an address or a host's name
_REPLY_CODE = re.compile(r"(?:(?<![\w.@:/=+-])|(?<=\s:))[#(\[]?([245][0-5]\d)(?=[\s#)\]:;,-]|\Z)(?!-\d{2})")
_ENHANCED = re.compile(r"(?:(?<![\w.@-])|(?<=[245]\d\d-))[#(\[]?([245]\.\d{1,2}\.\d{1,3})(?![\d.]*\d|\w)", re.ASCII)
_STAGES = tuple(
    (re.compile(pattern), stage)
    for pattern, stage in (
        (r"(?i:end of data|end-of-data|after data|message body|failed after i sent the message)|\bDOT\b", Stage.DATA),
        (r"(?i:\bRCPT\b|does not like recipient|rejected recipient)", Stage.RCPT),
        (r"(?i:\bMAIL FROM\b|\bMAIL command|but sender was rejected|\[MAIL_FROM\])", Stage.MAIL),
        (r"\bDATA\b", Stage.DATA),
        (r"\b(?:EHLO|HELO|LHLO)\b|but my name was rejected", Stage.HELO),
        (r"\bSTARTTLS\b", Stage.TLS),
        (r"\bAUTH\b", Stage.AUTH),
        (
            r"(?i:refused at connection|initial connection|initial (?:server )?greeting|waiting for greeting"
            r"|but greeting failed)",
            Stage.CONNECT,
        ),
    )
)

_TRANSCRIPT = re.compile(r">>>\s*([A-Za-z]{4,8}|\.)|<<<\s*([45]\d\d)")  # what was said, and what was refused
_COMMANDS = {
    "EHLO": Stage.HELO,
    "HELO": Stage.HELO,
    "STARTTLS": Stage.TLS,
    "AUTH": Stage.AUTH,
    "MAIL": Stage.MAIL,
    "RCPT": Stage.RCPT,
    "DATA": Stage.DATA,
    "BDAT": Stage.DATA,
    ".": Stage.DATA,
}


def codes_in(words: str) -> tuple[int, EnhancedCode | None]:
    """The reply code and the enhanced code that the words repeat; 0 and None where they do not."""
    words = words[:LOOKED_AT]
    enhanced = None
    for found in _ENHANCED.finditer(words):
        code = EnhancedCode.parse(found[1])
        if code is not None and code.klass != 2:
            enhanced = code
            break
        enhanced = enhanced or code
    reply = 0
    for match in _REPLY_CODE.finditer(words):
        if match[1][0] != "2":
            return int(match[1]), enhanced
        reply = reply or int(match[1])
    return reply, enhanced


def stage_of(words: str) -> Stage:
    """Where in the dialogue the reply was given, if the reporter says: by a transcript, or in words."""
    words = words[:LOOKED_AT]
    asked = ""
    for found in _TRANSCRIPT.finditer(words) if "<<<" in words else ():
        if found[2]:
            return _COMMANDS.get(asked, Stage.UNKNOWN)
        asked = found[1].upper()
    return next((stage for pattern, stage in _STAGES if pattern.search(words)), Stage.UNKNOWN)
