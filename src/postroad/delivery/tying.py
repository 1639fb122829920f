"""Which message, and which recipients of it, something that came back is about. Pure, but for the rows it is given.

A message of ours is named in what comes back by its ENVID, by its own Message-ID or ours, and by our Received field:
all of them hold our id, so that it is found without a search. What strangers write there is believed only as far as the
return address that it came to proves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from postroad.content.returned import Returned, ReturnedRecipient
from postroad.mail.address import Address, AddressError
from postroad.mail.header import Header
from postroad.mail.returnaddress import StreamTag
from postroad.ports.ids import MessageId, parse_id
from postroad.ports.store import Delivery, Message, Tx
from postroad.ports.uuids import parse_uuid

MAX_CANDIDATES = 20
MAX_ADDRESSES = 20  # that may be return addresses
_ID = re.compile(rb"(?<![0-9A-Za-z])[0-9A-Za-z]{13}(?![0-9A-Za-z])")
_UUID = re.compile(rb"(?i)(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])")
_NAMING = (b"x-pm-message-id", b"message-id", b"received")
_ANSWERED = (b"in-reply-to", b"references")
_RETURN_ADDRESS = re.compile(
    rb"(?i)(?<![0-9a-z])b-[0-9a-z]{1,8}-[0-9a-z]{3}-[0-9a-z]{4}-[0-9a-z_-]{13,50}@[0-9a-z.-]{1,253}"
)


@dataclass(frozen=True, slots=True)
class Tied:
    """One recipient of a message of ours, and what is said of it (None: nothing in particular)."""

    delivery: Delivery
    said: ReturnedRecipient | None


def candidates(returned: Returned, header: Header) -> list[MessageId]:
    """Messages that it may be about, the likeliest first. `header` is that of what came back."""
    found: dict[MessageId, None] = {}
    for text in _texts(returned, header):
        for match in _UUID.finditer(text):
            _add(found, parse_uuid(match[0].decode("ascii")))
        for match in _ID.finditer(text):
            _add(found, parse_id(match[0].decode("ascii")))
    return list(found)[:MAX_CANDIDATES]


def _texts(returned: Returned, header: Header) -> Iterator[bytes]:
    original = returned.original
    if original is not None:
        yield original.envelope_id.encode()
        yield original.message_id.encode()
        block = Header(original.header.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
        for name in _NAMING:
            yield from block.all(name)
    for name in _ANSWERED:
        yield from header.all(name)


def _add(found: dict[MessageId, None], number: int | None) -> None:
    if number:
        found.setdefault(MessageId(number))


def message_ids(returned: Returned, header: Header) -> list[str]:
    """Message-IDs that people's own programs may have made, for a search."""
    named = [returned.original.message_id] if returned.original is not None else []
    named += [value.decode("ascii", "replace") for name in _ANSWERED for value in header.all(name)]
    return [text for each in named if (text := each.strip(" <>")) and " " not in text][:3]


def return_addresses(content: bytes) -> list[str]:
    """What looks like a return address of a stream anywhere in a report: providers repeat it in many places."""
    found = dict.fromkeys(match[0].decode("ascii") for match in _RETURN_ADDRESS.finditer(content))
    return list(found)[:MAX_ADDRESSES]


def first_fitting(tx: Tx, ids: Sequence[MessageId], fits: Callable[[Message], bool]) -> Message | None:
    """The first of the candidates that is there, and that what came back can be about."""
    return next((found for number in ids if (found := tx.messages.get(number)) is not None and fits(found)), None)


def is_of(message: Message, tag: StreamTag) -> bool:
    """Whether a message has left under such a return address."""
    day = int(message.created.timestamp() // 86400)
    return (message.server, message.stream, day) == (tag.server, tag.stream, tag.day)


def tie(returned: Returned, deliveries: Sequence[Delivery], may_be: Callable[[Delivery], bool]) -> list[Tied]:
    """The recipients of the message that it is about; `may_be` says which it may be about at all.

    A report may name an address that we have never heard of, for it was passed on there: where only one recipient may
    be meant, it is that one.
    """
    possible = [delivery for delivery in deliveries if may_be(delivery)]
    others = {_key(each.forward_path) for each in deliveries if each not in possible}
    tied: list[Tied] = []
    for said in returned.recipients:
        meant = [each for each in possible if names(said, each)]
        if not meant and len(possible) == 1 and len(returned.recipients) == 1 and not _named(said) & others:
            meant = possible
        tied += [Tied(each, said) for each in meant if each not in [known.delivery for known in tied]]
    if not returned.recipients and len(possible) == 1:
        tied.append(Tied(possible[0], None))
    return tied


def names(said: ReturnedRecipient, delivery: Delivery) -> bool:
    """Whether a report speaks of this recipient by name."""
    return bool(_named(said) & {_key(delivery.forward_path), _key(delivery.orig)})


def _named(said: ReturnedRecipient) -> set[str]:
    return {_key(name) for name in (said.address, said.original) if name}


def _key(address: str) -> str:
    try:
        return Address.parse(address.strip().strip("<>")).key
    except AddressError:
        return address.strip().lower()
