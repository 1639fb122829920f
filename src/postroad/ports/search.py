"""The search port: what a query for messages asks, the rows that decide, and the index that proposes.

An index may lag behind the rows: `coverage` says how far it has come, and whoever asks looks at the rest himself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from postroad.ports.ids import EventId, MessageId, ServerId
from postroad.ports.store import Delivery, DeliveryState, Message, Record


class SearchField(StrEnum):
    """Texts that can be searched."""

    SENDER = "sender"  # the reverse-path, and the From field
    RECIPIENT = "recipient"  # where it went, and whom the client named
    SUBJECT = "subject"
    IDENT = "ident"  # the Message-ID field
    TAG = "tag"
    REPLY = "reply"  # the last reply about a recipient, and the name of its reason


class SearchTerm(Record, frozen=True):
    """A text, in lower case, that stands in one of the fields from the beginning of a word on."""

    fields: tuple[SearchField, ...]
    text: str


class MessageQuery(Record, frozen=True):
    """Which messages: everything given must fit. An empty query means all of them."""

    terms: tuple[SearchTerm, ...] = ()
    ids: tuple[int, int] | None = None  # of the message, or of one of its recipients: from the first up to the second
    states: tuple[DeliveryState, ...] = ()  # some recipient is in one of them
    deferred: bool = False  # some recipient waits after a failed try
    stream: str = ""
    server: str = ""  # as it was written: a name or a number
    server_id: ServerId | None = None  # what `server` means
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_selective(self) -> bool:
        """Whether it is about more than times and ids, so that many rows may have to be looked at for one that fits."""
        return bool(self.terms or self.states or self.deferred or self.stream or self.server_id is not None)

    @property
    def wants_index(self) -> bool:
        return self.is_selective and (self.ids is None or self.ids[1] - self.ids[0] > 1)


class FoundMessage(Record, frozen=True):
    """One row of a list of messages. Of many recipients only the first few are there; `states` counts all."""

    message: Message
    deliveries: list[Delivery]
    recipients: int = 0
    states: Mapping[DeliveryState, int] = {}


class SearchFacts(Record, frozen=True):
    """What decides whether a message fits: its row, and those of its other texts that might."""

    message: Message
    recipients: tuple[str, ...] = ()
    replies: tuple[str, ...] = ()


class Walk(NamedTuple):
    """A stretch of rows looked at, newest first: those that may fit, and where the stretch ends (None: nowhere)."""

    ids: list[MessageId]
    floor: MessageId | None


class SearchRows(Protocol):
    """The rows themselves: `tx.search`. What it says of texts is a little too wide; the caller looks closely."""

    def walk(self, query: MessageQuery, *, below: MessageId | None, above: MessageId, limit: int, window: int) -> Walk:
        """Messages that may fit, newest first, below one id and down to another; at most `window` rows are looked
        at."""

    def touched(self, since: EventId, *, below: MessageId | None, under: MessageId) -> list[MessageId]:
        """Messages under `under` of which something was recorded since then, newest first."""

    def facts(self, query: MessageQuery, ids: Sequence[MessageId]) -> list[SearchFacts]:
        """Of those that are there and fit in all but the words, newest first."""

    def found(self, messages: Sequence[Message], each: int) -> list[FoundMessage]:
        """With the first `each` recipients of each."""

    def owner_of(self, number: int) -> MessageId | None:
        """The message with this id, or the one whose recipient has it."""


class Coverage(NamedTuple):
    """What an index knows: messages below `messages` as they stood before the events from `events` on."""

    messages: MessageId
    events: EventId


class SearchIndex(Protocol):
    """Proposes messages; may name too many, but of what it covers never too few. Methods are called on the loop."""

    async def coverage(self) -> Coverage | None:
        """How far it has come; None while there is no index."""

    async def find(
        self, query: MessageQuery, *, below: MessageId | None, above: MessageId, limit: int, patience: float
    ) -> Walk | None:
        """Messages that may fit, newest first; it may stop short after so many seconds. None: the index cannot help
        with this query."""

    async def advance(self, until: datetime) -> bool:
        """Take in one slice of what was recorded before then; whether there is more. Raises StoreUnavailable."""

    def rewind(self, to: datetime) -> None:
        """What was recorded since then is to be looked at once more."""

    async def trim(self, before: datetime) -> int:
        """Forget messages made before then that are no more; how many parts of the index, or messages, went."""

    async def close(self) -> None:
        """A slice under way is finished."""
