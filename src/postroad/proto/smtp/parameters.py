"""ESMTP parameters of MAIL and RCPT, read and written by both sides (RFC 5321 §4.1.2).

`MAIL_PARAMETERS` and `RCPT_PARAMETERS` are the tables: one row for a keyword, with the extension that brings it. What
the grammar refuses is refused here; whether the extension is offered to this client is for `order`, and what is done
about a wish for `intake`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from postroad.mail.envelope import Notify
from postroad.proto.smtp.encodings import (
    decode_utf8_address,
    decode_xtext,
    decode_xtext_utf8,
    encode_utf8_address,
    encode_xtext,
)
from postroad.proto.smtp.reply import TWO_HOLDS, UNKNOWN_PARAMETER, CommandFault, bad_argument

# What the extensions add to the 512 octets of a command line (RFC 5321 §4.5.3.1.4): SIZE (RFC 1870 §3), BODY
# (RFC 6152 §2), AUTH (RFC 4954 §3), SMTPUTF8 (RFC 6531 §3.4), RET and ENVID, NOTIFY and ORCPT (RFC 3461 §4),
# HOLDFOR or HOLDUNTIL (RFC 4865 §4), BY (RFC 2852 §4), MT-PRIORITY (RFC 6710 §3), REQUIRETLS (RFC 8689 §2).
MAX_MAIL_LINE: Final = 512 + 26 + 17 + 500 + 10 + (9 + 107) + 34 + 17 + 15 + 11
MAX_RCPT_LINE: Final = 512 + (8 + 28) + (7 + 500)

_NOTHING: Final[frozenset[str]] = frozenset()
_BY = re.compile(r"([+-]?[0-9]{1,9});([NRnr])([Tt]?)")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}(?::[0-9]{2}){2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_PRIORITY = re.compile(r"0|-?[1-9]")
_ATOM = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+"


class DeliverBy(Struct, frozen=True, gc=False):
    """BY=, RFC 2852 §4: within so many seconds, or return it (`R`) or tell of the delay (`N`)."""

    seconds: int  # below one: the time has run out, which `N` allows
    mode: str  # N or R
    trace: bool = False  # every relay shall tell of itself


class MailParameters(Struct, frozen=True, gc=False):
    """The parameters of MAIL."""

    size: int | None = None  # SIZE=, RFC 1870
    body: str = ""  # BODY=: "", 7BIT, 8BITMIME (RFC 6152) or BINARYMIME (RFC 3030)
    auth: str | None = None  # AUTH=, decoded; "" for `<>`, RFC 4954 §5
    utf8: bool = False  # SMTPUTF8, RFC 6531
    ret: str = ""  # RET=: "", FULL or HDRS, RFC 3461 §4.3
    envid: str | None = None  # ENVID=, decoded, RFC 3461 §4.4
    hold_for: int | None = None  # HOLDFOR=, seconds, RFC 4865
    hold_until: datetime | None = None  # HOLDUNTIL=, RFC 4865
    deliver_by: DeliverBy | None = None  # BY=, RFC 2852
    priority: int | None = None  # MT-PRIORITY=, -9 to 9, RFC 6710
    require_tls: bool = False  # REQUIRETLS, RFC 8689
    asks: frozenset[str] = _NOTHING  # the extensions that must be offered for it: follows from the others

    def __post_init__(self) -> None:
        wishes = self.ret or self.envid or self.hold_until or self.deliver_by or self.utf8 or self.body == "BINARYMIME"
        if wishes or self.hold_for is not None or self.priority is not None or self.require_tls:
            asks = _extensions(MAIL_PARAMETERS, self)
            force_setattr(self, "asks", asks | {"BINARYMIME"} if self.body == "BINARYMIME" else asks)


class RcptParameters(Struct, frozen=True, gc=False):
    """The parameters of RCPT."""

    notify: Notify = Notify.UNSAID  # NOTIFY=, RFC 3461 §4.1
    orcpt: str | None = None  # ORCPT=, decoded, `type;address` as Original-Recipient has it, RFC 3461 §4.2
    asks: frozenset[str] = _NOTHING

    def __post_init__(self) -> None:
        if self.notify or self.orcpt:
            force_setattr(self, "asks", _extensions(RCPT_PARAMETERS, self))


NO_PARAMETERS: Final = MailParameters()
NO_RCPT_PARAMETERS: Final = RcptParameters()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A row of a table. `read` returns None for a bad value; one without `valued` is a word alone."""

    field: str
    extension: str  # its EHLO keyword; empty for what is always taken
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    max_value: int  # characters
    unsaid: Any = None
    valued: bool = True


def _extensions(table: Mapping[str, Parameter], parameters: object) -> frozenset[str]:
    said = (row.extension for row in table.values() if getattr(parameters, row.field) != row.unsaid)
    return frozenset(extension for extension in said if extension)


# --- values -----------------------------------------------------------------------------------------------------------


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda value: value.upper() if value.upper() in words else None


def _read_digits(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() else None


def _read_auth(value: str) -> str | None:
    text = decode_xtext(value)
    return "" if text == "<>" else text or None


def _read_date_time(value: str) -> datetime | None:
    """RFC 3339 §5.6; an offset is allowed (erratum 2040 of RFC 4865)."""
    if not _DATE_TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _write_date_time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _read_by(value: str) -> DeliverBy | None:
    match = _BY.fullmatch(value)
    if not match:
        return None
    by = DeliverBy(int(match[1]), match[2].upper(), bool(match[3]))
    return None if by.mode == "R" and by.seconds <= 0 else by  # RFC 2852 §4: it could only be returned at once


def _write_by(by: DeliverBy) -> str:
    return f"{by.seconds};{by.mode}{'T' if by.trace else ''}"


def _read_priority(value: str) -> int | None:
    return int(value) if _PRIORITY.fullmatch(value) else None


def _read_notify(value: str) -> Notify | None:
    """NEVER alone, or a list of the others (RFC 3461 §4.1)."""
    asked = Notify.UNSAID
    for word in value.upper().split(","):
        if word not in _NOTIFY:
            return None
        asked |= _NOTIFY[word]
    return None if asked & Notify.NEVER and asked != Notify.NEVER else asked


def _write_notify(value: Notify) -> str:
    return ",".join(word for word, flag in _NOTIFY.items() if value & flag)


_NOTIFY: Final = {
    "NEVER": Notify.NEVER,
    "SUCCESS": Notify.SUCCESS,
    "FAILURE": Notify.FAILURE,
    "DELAY": Notify.DELAY,
}


def _read_orcpt(value: str) -> str | None:
    kind, mark, text = value.partition(";")
    address = (decode_utf8_address if kind.lower() == "utf-8" else decode_xtext)(text)
    if address is None and kind.lower() == "rfc822" and (address := decode_xtext_utf8(text)):
        kind = "utf-8"  # `rfc822` is for ASCII alone
    return f"{kind};{address}" if mark and re.fullmatch(_ATOM, kind) and address else None


def write_orcpt(value: str) -> str:
    """In ASCII, which every server takes (RFC 6533 §3)."""
    kind, _, address = value.partition(";")
    return f"{kind};{(encode_utf8_address if kind.lower() == 'utf-8' else encode_xtext)(address)}"


MAIL_PARAMETERS: Final[Mapping[str, Parameter]] = {
    "SIZE": Parameter("size", "", _read_digits, str, 20),
    "BODY": Parameter("body", "", _one_of("7BIT", "8BITMIME", "BINARYMIME"), str, 10, unsaid=""),
    "AUTH": Parameter("auth", "", _read_auth, lambda value: encode_xtext(value) or "<>", 500),
    "SMTPUTF8": Parameter("utf8", "SMTPUTF8", lambda _: True, lambda _: "", 0, unsaid=False, valued=False),
    "RET": Parameter("ret", "DSN", _one_of("FULL", "HDRS"), str, 4, unsaid=""),
    "ENVID": Parameter("envid", "DSN", lambda value: decode_xtext(value) or None, encode_xtext, 100),
    "HOLDFOR": Parameter("hold_for", "FUTURERELEASE", _read_digits, str, 9),
    "HOLDUNTIL": Parameter("hold_until", "FUTURERELEASE", _read_date_time, _write_date_time, 35),
    "BY": Parameter("deliver_by", "DELIVERBY", _read_by, _write_by, 13),
    "MT-PRIORITY": Parameter("priority", "MT-PRIORITY", _read_priority, str, 2),
    "REQUIRETLS": Parameter("require_tls", "REQUIRETLS", lambda _: True, lambda _: "", 0, unsaid=False, valued=False),
}
RCPT_PARAMETERS: Final[Mapping[str, Parameter]] = {
    "NOTIFY": Parameter("notify", "DSN", _read_notify, _write_notify, 28, unsaid=Notify.UNSAID),
    "ORCPT": Parameter("orcpt", "DSN", _read_orcpt, write_orcpt, 500),
}


# --- lists of them ----------------------------------------------------------------------------------------------------


def read_mail_parameters(text: str) -> MailParameters:
    """Read ` KEYWORD=value` words. Raises CommandFault: 555 for unknown ones, 501 for bad values."""
    values = _read(MAIL_PARAMETERS, text)
    if "hold_for" in values and "hold_until" in values:
        raise CommandFault(TWO_HOLDS)  # RFC 4865 §4
    return MailParameters(**values)


def read_rcpt_parameters(text: str) -> RcptParameters:
    """The same for RCPT."""
    return RcptParameters(**_read(RCPT_PARAMETERS, text))


def _read(table: Mapping[str, Parameter], text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in text.split(" "):
        if not word:
            continue
        keyword, equals, value = word.partition("=")
        row = table.get(keyword.upper())
        if row is None:
            raise CommandFault(UNKNOWN_PARAMETER)
        read = row.read(value) if (equals != "") is row.valued and len(value) <= row.max_value else None
        if read is None or row.field in values:
            raise CommandFault(bad_argument(f"Bad value of {keyword.upper()}"))
        values[row.field] = read
    return values


def written(
    parameters: MailParameters | RcptParameters,
    table: Mapping[str, Parameter],
    offered: Container[str] | None = None,
) -> str:
    """` KEYWORD=value` words of what was said; with `offered` only of the extensions in it."""
    words = []
    for keyword, row in table.items():
        value = getattr(parameters, row.field)
        if value != row.unsaid and (offered is None or row.extension in offered):
            words.append(f" {keyword}={row.write(value)}" if row.valued else f" {keyword}")
    return "".join(words)
