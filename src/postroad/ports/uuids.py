"""A message's id as a UUID and back: the MessageID that Postmark's clients know mail by.

Version 8 (RFC 9562 §5.8). The id's 64 bits come first, so that UUIDs sort as ids do; the 58 bits behind them are the
first 58 of SHA-256 over the id (8 octets, big-endian). So a UUID that is not one of ours is known as such.

    48 bits of id | 1000 | 12 bits of id | 10 | 4 bits of id, 58 bits of check
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from postroad.ports.ids import MessageId

NIL_UUID = "00000000-0000-0000-0000-000000000000"  # RFC 9562 §5.9: where no message came to be

_UUID = re.compile(r"\{?([0-9a-fA-F]{8})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{4})-?([0-9a-fA-F]{12})\}?")
_CHECK_BITS = 58


@lru_cache(maxsize=1024)  # one message spells its UUID several times: two header fields and the answer
def uuid_text(message: MessageId) -> str:
    """The 36 characters of a message's UUID."""
    number = (
        (message >> 16) << 80
        | 0x8 << 76
        | (message >> 4 & 0xFFF) << 64
        | 0b10 << 62
        | (message & 0xF) << _CHECK_BITS
        | _check(message)
    )
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_uuid(text: str) -> MessageId | None:
    """The message behind a UUID, in any case, with or without hyphens; None when it is no UUID of a message of ours."""
    match = _UUID.fullmatch(text.strip())
    if match is None:
        return None
    number = int("".join(match.groups()), 16)
    message = (number >> 80) << 16 | (number >> 64 & 0xFFF) << 4 | number >> _CHECK_BITS & 0xF
    found = MessageId(message)
    return found if message < 1 << 63 and uuid_text(found).replace("-", "") == f"{number:032x}" else None


def _check(message: int) -> int:
    return int.from_bytes(hashlib.sha256(message.to_bytes(8)).digest()[:8]) >> 64 - _CHECK_BITS
