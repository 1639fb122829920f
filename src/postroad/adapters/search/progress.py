"""How far an index has come."""

from __future__ import annotations

from typing import NamedTuple

from postroad.ports.ids import EventId, MessageId
from postroad.ports.search import Coverage


class Progress(NamedTuple):
    """It is made from messages up to `built`, at last to `target`; from then on it follows the events."""

    built: int
    target: int
    events: int

    @property
    def is_building(self) -> bool:
        return self.built < self.target

    @property
    def coverage(self) -> Coverage:
        return Coverage(MessageId(self.built if self.is_building else self.events), EventId(self.events))

    def rewound(self, to: int) -> Progress:
        """Events from there on are to be looked at once more."""
        return self._replace(events=min(self.events, to))


EVENTS_A_MESSAGE = 3  # about: a slice of messages is so many events
# The events after which a message's words or facets are not what they were.
KINDS = "'received', 'deferred', 'delivered', 'bounced', 'expired', 'cancelled', 'held', 'released'"
