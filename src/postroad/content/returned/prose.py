"""Reports that follow no standard: who failed and in which words, found by the forms that reporters share.

No reporter is known by name here. A report is cut where the original begins; each line that leads with an address, or
names one behind a label, in a reply or in a sentence, opens an entry; the lines behind it are its words. Which forms
count is decided by rank: the surest that is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from msgspec import Struct

from postroad.content.returned.wording import codes_in

MAX_LINES = 1500
MAX_WORDS = 2000  # characters about one recipient
MAX_RECIPIENTS = 1000

_LOCAL_PART = r"[^\s<>()\[\],;:\"@|\\]{1,128}"
_ADDRESS = (
    rf"{_LOCAL_PART}@(?:[^\W_](?:[\w-]{{0,62}})\.){{1,8}}[^\W\d_][\w-]{{1,62}}"
    rf"|{_LOCAL_PART}@\[[\d.]{{7,15}}\]"
)
ADDRESS = re.compile(_ADDRESS)

# where the original begins, in the languages and programs of the world: a line that says so ...
_BEGINS = re.compile(
    r"^[\s>|]{0,8}(?:"
    r"[-=*_~+]{2,80}[^\n]{0,40}?(?:copy of|original|returned|unsent|undelivered message"
    r"|message header|header of|below this line|"
    r"enclosed is|message below|message content|forwarded|mail header|received message)[^\n]{0,80}"
    r"|(?:your |the )?(?:original|returned) (?:message|mail)(?: text| headers?"
    r"| header fields)?(?: (?:follows|as follows|is (?:below|attached|included)))?[.:]{0,3}\s*"
    r"|(?:the )?(?:message|mail) (?:headers?|text|body)(?: lines?)? (?:follows?|as follows)\.?:?\s*"
    r"|below is a copy of[^\n]{0,60}|included is a copy of[^\n]{0,60}|(?:first"
    r"|here) [^\n]{0,30}(?:lines|header) of (?:the )?[^\n]{0,30}message[^\n]{0,30}:"
    r"|(?:the )?headers? (?:of|from) (?:the|your) (?:original |returned )?(?:message|mail)[^\n]{0,40}:?"
    r"|\S{0,20}original mail info\S{0,3}|(?:the )?(?:bounced|rejected|failed) (?:e-?mail|message)\s?:"
    r")\s*$",
    re.IGNORECASE,
)
# ... or the header itself
_HEADER_LINE = re.compile(
    r"^[\s>|]{0,8}(?:Received|Return-Path|DKIM-Signature|X-Received|Delivered-To|ARC-Seal|X-CTCH-\w+)\s*:",
    re.IGNORECASE,
)
_FIELD = re.compile(r"^[>|]{0,2}\s?([A-Za-z][A-Za-z0-9-]{1,60})\s?:(?!//)")
_OF_A_LETTER = frozenset(("from", "to", "subject", "date", "message-id", "mime-version", "received", "content-type"))


class Entry(Struct):
    """One recipient, and the lines that belong to it."""

    address: str
    words: list[str]
    rank: int


class Prose(Struct):
    """A report's text, parted from the original that it quotes."""

    report: list[str]
    original: str


def part(text: str) -> Prose:
    """Cut at the first line that announces the original, or with which its header begins."""
    lines = text.split("\n")[:MAX_LINES]
    for at, line in enumerate(lines):
        if _BEGINS.match(line) and at and _has_header(lines, at + 1):
            return Prose(lines[:at], _dedented(lines[at + 1 :]))
        if _HEADER_LINE.match(line) and _has_header(lines, at):
            return Prose(lines[:at], _dedented(lines[at:]))
    return Prose(lines, "")


def _has_header(lines: list[str], at: int) -> bool:
    """Whether fields of a letter stand in the lines from here on, or nothing at all."""
    names = {found[1].lower() for line in lines[at : at + 80] if (found := _FIELD.match(line.strip()))}
    return len(names & _OF_A_LETTER) >= 2 or not any(line.strip() for line in lines[at:])


def _dedented(lines: list[str]) -> str:
    while lines and not _FIELD.match(lines[0].strip()):
        lines = lines[1:]
    if not lines:
        return ""
    indent = len(lines[0]) - len(lines[0].lstrip(" >|"))
    return "\n".join(line[indent:] if not line[:indent].strip(" >|") else line for line in lines)


# --- who failed -------------------------------------------------------------------------------------------------------

_LABELS = (
    r"recipients?|recipient address|address(?:ee)?|user|users|mailbox|account|e-?mail|failed|failure"
    r"|delivery failed|for|"
    r"final recipient|original recipient|destination|destinatario|destinataire|empf(?:ä|ae)nger|получатель|宛先|受信者"
)
_LEADS = re.compile(
    rf"^\s*(?:>>>\s*|[*•·>-]{{1,3}}\s+|\d{{1,3}}[.)]\s+)?[\"'<(\[]{{0,2}}(?:mailto:|smtp:"
    rf"|rfc822;\s*)?({_ADDRESS})[\"'>)\]]{{0,2}}(?P<rest>\s*$|\s*[:;,.]\s*$|.*$)",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    rf"^[\s*>-]{{0,12}}(?:[\w' -]{{0,40}}\b)?(?:{_LABELS})\s*[:=]\s*(?:rfc822;\s*)?[\"'<(\[]{{0,2}}({_ADDRESS})",
    re.IGNORECASE,
)
_REPLIED = re.compile(
    rf"^\s*(?:<<<\s*)?[245]\d\d[ -](?:[245]\.\d\.\d{{1,3}} )?[\"'<(\[]{{0,2}}({_ADDRESS})[\"'>)\]]{{0,2}}\s*(?:\.\.\."
    rf"|:)",
    re.IGNORECASE,
)
_COMMANDED = re.compile(rf"\bRCPT TO:?\s*<?({_ADDRESS})", re.IGNORECASE)
_SPOKEN = re.compile(
    rf"\b(?:to|for|recipients?|user|address|mailbox|in|of)\s*:?\s*[\"'(<]{{0,2}}({_ADDRESS})", re.IGNORECASE
)

_FORMS: tuple[Callable[[str], re.Match[str] | None], ...] = (
    _LEADS.match,
    _LABELLED.match,
    _REPLIED.match,
    _COMMANDED.search,
    _SPOKEN.search,
    ADDRESS.search,
)
LEADS, LABELLED, REPLIED, COMMANDED, SPOKEN, ANYWHERE = range(6)


def find(lines: list[str], *, excluded: Iterable[str] = (), expected: Iterable[str] = ()) -> list[Entry]:
    """The recipients that a report's lines name. `expected` are known to have failed (X-Failed-Recipients): no others
    are looked for. `excluded` are the sender and the reporter, who are named in passing."""
    wanted = {address.lower() for address in expected}
    shunned = {address.lower() for address in excluded} - wanted
    entries: list[Entry] = []
    for rank in range(len(_FORMS)):
        entries = _merged(_scan(lines, wanted, shunned, rank))
        if entries and wanted <= {entry.address.lower() for entry in entries}:
            return entries
    known = {entry.address.lower() for entry in entries}
    return [*entries, *(Entry(address, [], ANYWHERE) for address in expected if address.lower() not in known)]


def _scan(lines: list[str], wanted: set[str], shunned: set[str], most: int) -> list[Entry]:
    """Every line that opens an entry in a form of rank `most` or surer, with what stands behind it; a reply has the
    transcript in front of it too."""
    entries: list[Entry] = []
    since: list[str] = []
    current: Entry | None = None
    for line in lines:
        entry = _opened(line, wanted, shunned, most)
        if entry is not None and len(entries) < MAX_RECIPIENTS:
            same = current is not None and current.address.lower() == entry.address.lower()
            if same and current is not None and current.rank <= entry.rank:
                current.words.append(line)
                continue
            entry.words = [*(since[-12:] if entry.rank in (REPLIED, ANYWHERE) else ()), line]
            entries.append(entry)
            current, since = entry, []
            continue
        if current is not None:
            current.words.append(line)
        since.append(line)
    return entries


def _opened(line: str, wanted: set[str], shunned: set[str], most: int) -> Entry | None:
    if "@" not in line:
        return None
    for rank, form in enumerate(_FORMS[: most + 1]):
        found = form(line[:2000])
        if found is None:
            continue
        address = found[1] if rank != ANYWHERE else found[0]
        address = address.strip("'\"`.").removesuffix("'")
        lower = address.lower()
        if lower in shunned or (wanted and lower not in wanted):
            continue
        if rank >= SPOKEN and lower.startswith(("postmaster@", "mailer-daemon@", "abuse@", "support@")):
            continue
        return Entry(address, [], rank)
    return None


def _merged(entries: list[Entry]) -> list[Entry]:
    """One for each address; words that come again are not repeated."""
    merged: dict[str, Entry] = {}
    for entry in entries:
        known = merged.setdefault(entry.address.lower(), Entry(entry.address, [], entry.rank))
        if known.words != entry.words:
            known.words += entry.words
    return list(merged.values())


# --- in which words ---------------------------------------------------------------------------------------------------

_RULE = re.compile(r"^[\s=*_~#+-]{3,}$")


def words_of(entry: Entry, entries: list[Entry], lines: list[str]) -> tuple[str, str]:
    """What is said of this recipient, and what the whole report says besides."""
    own = _cut_out(entry)
    whole = joined(lines)
    if len(entries) == 1:
        return own, whole
    if not _says(own):
        mentions = [line for line in lines if entry.address.lower() in line.lower()]
        own = joined(mentions) if _says(joined(mentions)) else own
    return own, whole


def _cut_out(entry: Entry) -> str:
    """Its lines without the address that leads them."""
    lines = list(entry.words)
    return joined(lines)


def _says(words: str) -> bool:
    reply, enhanced = codes_in(words)
    return bool(reply or enhanced)


def joined(lines: Iterable[str]) -> str:
    """On one line; rules and the dashes of a reply of many lines left out."""
    kept = (line.strip() for line in lines if line.strip() and not _RULE.match(line))
    return " ".join(kept)[:MAX_WORDS]
