"""Trace fields: Received, Return-Path, Delivered-To, and what they tell of loops (RFC 5321 §4.4, §6.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from postroad.mail.address import Address, AddressError
from postroad.mail.envelope import Origin
from postroad.mail.header import Header, date_time

_HELO_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]")


def received(
    origin: Origin,
    *,
    by: str,
    id: str,  # noqa: A002
    when: datetime,
    recipient: str = "",
    utf8: bool = False,
) -> bytes:
    """Our Received field. `recipient` is given only when there is a single one: more would tell recipients of each
    other (RFC 5321 §7.6). `utf8`: the transaction was one for SMTPUTF8."""
    protocol = _utf8_protocol(origin.protocol) if utf8 else origin.protocol
    tls = f"\r\n\t({origin.tls.version} {origin.tls.cipher})" if origin.tls else ""
    destination = f"\r\n\tfor <{recipient}>" if recipient else ""
    return (
        f"Received: {_from(origin)}by {by} with {protocol} id {id}{tls}{destination};\r\n\t{date_time(when)}\r\n"
    ).encode()


def _utf8_protocol(protocol: str) -> str:
    """RFC 6531 §3.7.3: ESMTPSA is UTF8SMTPSA then, LMTPS is UTF8LMTPS."""
    return f"UTF8{protocol.removeprefix('E')}" if protocol.startswith(("ESMTP", "LMTP")) else protocol


def _from(origin: Origin) -> str:
    if origin.service in ("local", "api"):  # RFC 5321 §4.4 demands FROM "in an SMTP environment": there was none
        return ""
    if origin.account:  # people's addresses and networks are not told to their recipients
        return f"from {_submitter_name(origin.helo)}\r\n\t"
    return _from_client(origin.helo, origin.client)


@lru_cache(maxsize=1024)
def _from_client(helo: str, client: str) -> str:
    """RFC 5321 §4.4: the name that the client gave, then the address that we saw."""
    literal = f"[IPv6:{client}]" if ":" in client else f"[{client}]" if client else "unknown"
    return f"from {_clean(helo) or literal} ({literal})\r\n\t"


def _submitter_name(helo: str) -> str:
    """The name in EHLO, unless it is an address."""
    return "unknown" if not helo or helo.startswith("[") or helo.replace(".", "").isdigit() else _clean(helo)


def _clean(helo: str) -> str:
    """A client may say anything in HELO; only what cannot break the field's syntax is repeated."""
    return helo if _HELO_SAFE.issuperset(helo) else "".join(c if c in _HELO_SAFE else "?" for c in helo[:255])


def return_path(reverse_path: str) -> bytes:
    """RFC 5321 §4.4: what MAIL FROM said, kept at final delivery; `<>` for the null reverse-path."""
    return f"Return-Path: <{reverse_path}>\r\n".encode()


def delivered_to(address: str) -> bytes:
    """The mailbox that it was delivered to: what a later pass recognises as a loop."""
    return f"Delivered-To: {address}\r\n".encode()


def received_count(header: Header) -> int:
    """How many hops the message has behind it (RFC 5321 §6.3)."""
    return header.count(b"received")


def received_by(header: Header, hostname: str) -> int:
    """How many of them a host of that name has added, as far as the fields tell the truth."""
    stamp = re.compile(rb"(?:^|\s)by\s+" + re.escape(hostname.encode()) + rb"(?=[\s;(]|$)", re.IGNORECASE)
    return sum(stamp.search(value) is not None for value in header.all(b"received"))


def delivered_before(header: Header, mailboxes: Iterable[str]) -> str:
    """The first of `mailboxes` (canonical keys) that a Delivered-To field already names; "" when none does."""
    values = header.all(b"delivered-to")
    if not values:
        return ""
    seen = {_key(value) for value in values}
    return next((mailbox for mailbox in mailboxes if mailbox in seen), "")


def _key(value: bytes) -> str:
    text = value.decode("utf-8", "replace").strip().strip("<>")
    try:
        return Address.parse(text).key
    except AddressError:
        return text.lower()
