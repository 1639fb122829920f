"""A maildrop: what one POP3 session sees of an INBOX (RFC 1939 §4).

A snapshot at login, kept as arrays of numbers: messages that arrive later, or that others expunge meanwhile, do not
renumber it. Nothing is locked, since content never changes; a message that has gone is said to be gone when asked for.
Clients read from the first to the last, so small messages are read ahead, many with one change of thread.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterator

from postroad.mailbox.service import MailboxService
from postroad.ports.blobs import BlobPlace, BlobStore
from postroad.ports.ids import AccountId, BlobId, MailboxId, Uid
from postroad.ports.store import MailboxMessage, Store, Tx

INBOX = "INBOX"
PAGE = 5000  # rows of one read at login
SMALL = 64 * 1024  # octets of a message that is read whole; a larger one is streamed
AHEAD_BYTES = 256 * 1024  # what one session holds of messages that were not asked for yet
AHEAD_MESSAGES = 64
_LAST_UID = Uid(2**32 - 1)


class Maildrop:
    """Numbers count from 1, as the client says them."""

    __slots__ = (
        "_ahead", "_blobs", "_expected", "_ids", "_mailbox", "_mailboxes", "_ready", "_sizes", "_store", "_uids",
        "deleted", "uid_validity",
    )  # fmt: skip

    def __init__(self, store: Store, blobs: BlobStore, mailboxes: MailboxService) -> None:
        self._store = store
        self._blobs = blobs
        self._mailboxes = mailboxes
        self._mailbox = MailboxId(0)
        self.uid_validity = 0
        self._uids = array("q")
        self._sizes = array("q")
        self._ids = array("q")  # of the content
        self.deleted: set[int] = set()
        self._ready: dict[int, bytes] = {}  # read ahead
        self._expected = 1  # the number that a client reading in order asks for next
        self._ahead = 4  # how many to read then; doubled each time it was right

    async def load(self, account: AccountId) -> None:
        """Take the snapshot."""
        inbox = await self._mailboxes.find(account, INBOX)
        self._mailbox, self.uid_validity = inbox.id, inbox.uid_validity
        low = Uid(1)
        while True:
            rows = await self._store.read(
                lambda tx, low=low: tx.mailbox_messages.texts(  # type: ignore[misc]
                    inbox.id, low=low, high=_LAST_UID, limit=PAGE, envelope=False, structure=False, body=False
                )
            )
            self._uids.extend([row.uid for row in rows])
            self._sizes.extend([row.size for row in rows])
            self._ids.extend([row.blob for row in rows])
            if len(rows) < PAGE:
                return
            low = Uid(rows[-1].uid + 1)

    # --- figures ------------------------------------------------------------------------------------------------------

    def has(self, number: int) -> bool:
        """Whether there is such a message and it is not marked as deleted."""
        return number <= len(self._uids) and number not in self.deleted

    def totals(self) -> tuple[int, int]:
        """How many messages and octets are not marked."""
        size = sum(self._sizes) - sum(self._sizes[number - 1] for number in self.deleted)
        return len(self._uids) - len(self.deleted), size

    def size(self, number: int) -> int:
        return self._sizes[number - 1]

    def unique_id(self, number: int) -> str:
        """RFC 1939 §7 UIDL: the same for as long as the message lives, never used again in this mailbox."""
        return f"{self.uid_validity}-{self._uids[number - 1]}"

    def size_lines(self) -> Iterator[bytes]:
        """`number size` of all that are not marked, in pieces."""
        return self._lines([b"%d %d\r\n" % pair for pair in enumerate(self._sizes, 1)])

    def unique_id_lines(self) -> Iterator[bytes]:
        """`number unique-id`, likewise."""
        validity = b"%d-" % self.uid_validity
        return self._lines([b"%d %b%d\r\n" % (number, validity, uid) for number, uid in enumerate(self._uids, 1)])

    def _lines(self, lines: list[bytes]) -> Iterator[bytes]:
        for number in self.deleted:
            lines[number - 1] = b""
        return (b"".join(lines[start : start + 1000]) for start in range(0, len(lines), 1000))

    # --- content ------------------------------------------------------------------------------------------------------

    def is_small(self, number: int) -> bool:
        return self._sizes[number - 1] <= SMALL

    def ready(self, number: int) -> bytes | None:
        """A small message that was read ahead."""
        content = self._ready.pop(number, None)
        if content is not None:
            self._expected = number + 1
        return content

    async def read(self, number: int) -> bytes | None:
        """A small message, prefix and content; None when it has been expunged. Reads ahead."""
        wanted = self._choose(number)
        rows, places = await self._rows(wanted)
        numbers = [n for n in wanted if (row := rows.get(self._uids[n - 1])) is not None and row.blob in places]
        contents = await self._blobs.read_many([(places[BlobId(self._ids[n - 1])], 0, None) for n in numbers])
        self._ready = {
            n: rows[self._uids[n - 1]].prefix + content for n, content in zip(numbers, contents, strict=True)
        }
        return self._ready.pop(number, None)

    async def open(self, number: int) -> AsyncIterator[bytes] | None:
        """A large message in pieces; None when it has been expunged."""
        rows, places = await self._rows([number])
        row = rows.get(self._uids[number - 1])
        if row is None or row.blob not in places:
            return None
        return self._stream(row.prefix, places[row.blob])

    async def _stream(self, prefix: bytes, place: BlobPlace) -> AsyncIterator[bytes]:
        if prefix:
            yield prefix
        async for piece in self._blobs.stream(place):
            yield piece

    def _choose(self, number: int) -> list[int]:
        """`number`, and those behind it that the client will ask for next, if it reads in order."""
        ahead = self._ahead if number == self._expected else 1
        self._ahead = min(ahead * 2, AHEAD_MESSAGES)
        self._expected = number + 1
        chosen, room = [number], AHEAD_BYTES - self._sizes[number - 1]
        for candidate in range(number + 1, min(number + ahead, len(self._sizes) + 1)):
            room -= self._sizes[candidate - 1]
            if room < 0 or not self.is_small(candidate):
                break
            if candidate not in self.deleted:
                chosen.append(candidate)
        return chosen

    async def _rows(self, numbers: list[int]) -> tuple[dict[int, MailboxMessage], dict[BlobId, BlobPlace]]:
        uids = [Uid(self._uids[number - 1]) for number in numbers]
        blobs = [BlobId(self._ids[number - 1]) for number in numbers]

        def run(tx: Tx) -> tuple[list[MailboxMessage], dict[BlobId, BlobPlace]]:
            return tx.mailbox_messages.get(self._mailbox, uids), tx.messages.places(blobs)

        rows, places = await self._store.read(run)
        return {row.uid: row for row in rows}, places

    async def remove_deleted(self) -> None:
        """The UPDATE state (RFC 1939 §6). Raises StoreUnavailable or Refused."""
        uids = [Uid(self._uids[number - 1]) for number in sorted(self.deleted)]
        await self._mailboxes.expunge(self._mailbox, uids, marked=False)
