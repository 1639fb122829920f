"""Messages whose 250 never reached the client: when it sends one again, it is told 250 and nothing is kept twice.

RFC 1047 describes the trouble. Remembered for an hour: client, envelope and digest together; bounded.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

from postroad.intake.spool import Digest
from postroad.intake.transaction import MailTransaction
from postroad.ports.clock import Clock
from postroad.ports.ids import MessageId

REMEMBERED_SECONDS = 3600.0
MAX_REMEMBERED = 1000


class Repeats:
    """One for a process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[MessageId, float]] = OrderedDict()

    def remember(self, transaction: MailTransaction, digest: Digest, message: MessageId) -> None:
        """The client does not know that `message` is ours."""
        self._known[_key(transaction, digest)] = (message, self._clock.monotonic() + REMEMBERED_SECONDS)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def find(self, transaction: MailTransaction, digest: Digest) -> MessageId | None:
        """The message that this one repeats. Found once: who knows our answer and sends on means a second message."""
        if not self._known:
            return None
        message, until = self._known.pop(_key(transaction, digest), (None, 0.0))
        return message if until > self._clock.monotonic() else None


def _key(transaction: MailTransaction, digest: Digest) -> bytes:
    envelope = (transaction.origin.client, transaction.origin.account, str(transaction.reverse_path))
    text = "\0".join((*envelope, *sorted(transaction.recipients)))
    return hashlib.sha256(digest.value() + text.encode("utf-8", "surrogatepass")).digest()
