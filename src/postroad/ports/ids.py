"""Typed ids, their text form, and where new ones come from.

An id is a positive integer below 2**63 that grows with time: 42 bits of milliseconds, 9 of node, 12 of sequence.
People see it as 13 characters of Crockford's base 32, lower case, which sort as the numbers do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NewType, Protocol

MessageId = NewType("MessageId", int)
DeliveryId = NewType("DeliveryId", int)
AttemptId = NewType("AttemptId", int)
EventId = NewType("EventId", int)
BlobId = NewType("BlobId", int)
AccountId = NewType("AccountId", int)
DomainId = NewType("DomainId", int)
MailboxId = NewType("MailboxId", int)
NodeId = NewType("NodeId", int)
ServerId = NewType("ServerId", int)  # of a sending project: small, counted from 1, never used twice
TokenId = NewType("TokenId", int)
AdminId = NewType("AdminId", int)
SessionId = NewType("SessionId", int)
AuditId = NewType("AuditId", int)
AppPasswordId = NewType("AppPasswordId", int)
Uid = NewType("Uid", int)
ModSeq = NewType("ModSeq", int)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)} | {"i": 1, "l": 1, "o": 0}
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LENGTH = 13


class IdSource(Protocol):
    """Where new ids come from; safe to call from any thread."""

    def new(self) -> int:
        """An id that no other call, here or on another node, has returned."""


@lru_cache(maxsize=1024)  # one message spells its id several times: answer, trace field, log
def id_text(number: int) -> str:
    """The 13 characters that people see."""
    return (
        _ALPHABET[number >> 60 & 31]
        + _PAIRS[number >> 50 & 1023]
        + _PAIRS[number >> 40 & 1023]
        + _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )


def parse_id(text: str) -> int | None:
    """The number behind `text`, or None when it is not an id."""
    if len(text) != _LENGTH:
        return None
    number = 0
    for character in text.lower():
        value = _VALUES.get(character)
        if value is None:
            return None
        number = number * 32 + value
    return number if number < 1 << 63 else None
