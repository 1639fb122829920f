"""One session's picture of a mailbox: which message has which sequence number, and what it has still to be told.

Changes are queued by UID and only `updates` lets them out, because a sequence number may change only when the client is
told (RFC 3501 §5.5, §7.4.1). Pure; `service.py` fills it from the rows.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from postroad.ports.ids import MailboxId, ModSeq, Uid
from postroad.ports.store import MailboxChange, SystemFlag
from postroad.proto.imap.sequence import SequenceSet

_NO_WORDS: tuple[str, ...] = ()
_FEW = 64  # removed one by one; more are left out of a new array
_SEEN_OR_NOT = bytes(bits & SystemFlag.SEEN for bits in range(256))


class NoSuchMessage(Exception):  # noqa: N818 - the peer's, not ours
    """A sequence number beyond the last message."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The message with this number (at this moment) was removed."""

    seq: int


@dataclass(frozen=True, slots=True)
class Count:
    """There are now so many messages."""

    total: int


@dataclass(frozen=True, slots=True)
class Changed:
    """The flags of one message."""

    seq: int
    uid: Uid
    flags: int
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewKeywords:
    """The mailbox has keywords that the client has not been told of."""

    keywords: tuple[str, ...]


Update = Gone | Count | Changed | NewKeywords


class View:
    """UIDs in order, a byte of flags for each, keywords where there are any; and the pending changes."""

    __slots__ = ("_arrived", "_changed", "_told", "_vanished", "flags", "known", "mailbox", "modseq", "uids", "words")

    def __init__(self, mailbox: MailboxId, modseq: ModSeq) -> None:
        self.mailbox = mailbox
        self.modseq = modseq  # the rows up to here are known
        self.uids = array("I")
        self.flags = bytearray()
        self.words: dict[int, tuple[str, ...]] = {}  # keywords by UID
        self.known: dict[str, str] = {}  # every keyword of the mailbox, by lower case
        self._told = 0  # so many of `known` have been told
        self._vanished: set[int] = set()
        self._changed: set[int] = set()
        self._arrived: dict[int, tuple[int, tuple[str, ...]]] = {}

    def __len__(self) -> int:
        return len(self.uids)

    # --- filling ------------------------------------------------------------------------------------------------------

    def load(self, rows: Sequence[tuple[Uid, int, tuple[str, ...]]]) -> None:
        """A page of rows, before the client sees anything."""
        self.uids.extend([row[0] for row in rows])
        self.flags.extend([row[1] for row in rows])
        for uid, _, keywords in rows:
            if keywords:
                self._set_words(uid, keywords)

    def loaded(self) -> None:
        """All pages are in: what is known now is what SELECT tells."""
        self.updates(expunge=True)
        self._told = len(self.known)

    def apply(self, changes: Iterable[MailboxChange], *, silent: bool = False) -> None:
        """Queue changes. `silent`: the client makes these itself and needs no telling (STORE, RFC 3501 §6.4.6)."""
        for change in changes:
            uid = change.uid
            at = self._find(uid)
            if change.vanished:
                self._vanish(uid, at)
            elif at >= 0:
                self._change(uid, at, change, silent=silent)
            elif not self.uids or uid > self.uids[-1]:
                self._arrived[uid] = (change.flags, change.keywords)

    def caught_up(self, modseq: ModSeq) -> None:
        """All changes up to `modseq` have been applied."""
        self.modseq = max(self.modseq, modseq)

    def made(self, changes: Sequence[MailboxChange]) -> bool:
        """Whether these changes of our own are all that happened since the last look; then there is none to take."""
        if not changes or min(change.modseq for change in changes) > self.modseq + 1:
            return False
        self.modseq = ModSeq(max(change.modseq for change in changes))
        return True

    def _change(self, uid: int, at: int, change: MailboxChange, *, silent: bool) -> None:
        if change.flags == self.flags[at] and change.keywords == self.words.get(uid, _NO_WORDS):
            return
        self.flags[at] = change.flags
        self._set_words(uid, change.keywords)
        if not silent:
            self._changed.add(uid)

    def _vanish(self, uid: int, at: int) -> None:
        self._arrived.pop(uid, None)
        if at >= 0:
            self._vanished.add(uid)

    def _set_words(self, uid: int, keywords: tuple[str, ...]) -> None:
        if not keywords:
            self.words.pop(uid, None)
            return
        self.words[uid] = keywords
        for word in keywords:
            self.known.setdefault(word.lower(), word)

    # --- telling ------------------------------------------------------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        return bool(self._vanished or self._changed or self._arrived) or len(self.known) > self._told

    def updates(self, *, expunge: bool) -> list[Update]:
        """What the client is to be told now, in order; it then counts as told."""
        found: list[Update] = []
        if self._vanished and expunge:
            found += self._remove()
        if self._arrived:
            self._admit()
            found.append(Count(len(self.uids)))
        found += self.new_keywords()
        if self._changed:
            found += self._report_changed()
        return found

    def new_keywords(self) -> list[Update]:
        """The client is told of a keyword before it meets it (RFC 3501 §7.2.6)."""
        if len(self.known) == self._told:
            return []
        self._told = len(self.known)
        return [NewKeywords(tuple(self.known.values()))]

    def tell(self, uids: Iterable[int]) -> None:
        """The client was just told the flags of these."""
        self._changed.difference_update(uids)

    def _remove(self) -> list[Update]:
        """Highest first, so that no number moves under a later line."""
        places = sorted((at for uid in self._vanished if (at := self._find(uid)) >= 0), reverse=True)
        for uid in self._vanished:
            self.words.pop(uid, None)
        self._changed -= self._vanished
        self._vanished.clear()
        if len(places) <= _FEW:
            for at in places:
                del self.uids[at], self.flags[at]
        else:
            out = set(places)
            kept = [at for at in range(len(self.uids)) if at not in out]
            self.uids = array("I", [self.uids[at] for at in kept])
            self.flags = bytearray([self.flags[at] for at in kept])
        return [Gone(at + 1) for at in places]

    def _admit(self) -> None:
        for uid in sorted(self._arrived):
            flags, keywords = self._arrived[uid]
            self.uids.append(uid)
            self.flags.append(flags)
            self._set_words(uid, keywords)
        self._arrived.clear()

    def _report_changed(self) -> list[Update]:
        uids = sorted(self._changed - self._vanished)
        self._changed.clear()
        return [self.changed(at) for uid in uids if (at := self._find(uid)) >= 0]

    # --- asking -------------------------------------------------------------------------------------------------------

    def changed(self, at: int) -> Changed:
        """The flags of the message at this place (sequence number less one)."""
        uid = self.uids[at]
        return Changed(at + 1, Uid(uid), self.flags[at], self.words.get(uid, _NO_WORDS))

    def place(self, uid: int) -> int:
        """Where a UID stands, or -1."""
        return self._find(uid)

    def keywords(self, uid: int) -> tuple[str, ...]:
        return self.words.get(uid, _NO_WORDS)

    def resolve(self, numbers: SequenceSet, *, uid: bool) -> list[range]:
        """The places that a set names, ascending. UIDs that are not there are passed over (RFC 3501 §6.4.8); a
        sequence number that is not there raises NoSuchMessage."""
        count = len(self.uids)
        if uid:
            return list(self._uid_ranges(numbers))
        if not count and numbers.has_star:
            return []  # clients ask `1:*` of an empty mailbox and expect silence; BAD makes some of them give up
        if numbers.highest > count:
            raise NoSuchMessage(f"there are {count} messages")
        return [range(low - 1, high) for low, high in numbers.resolve(count) if low >= 1]

    def uids_of(self, places: Iterable[range]) -> list[Uid]:
        return [Uid(uid) for part in places for uid in self.uids[part.start : part.stop]]

    def first_unseen(self) -> int:
        """Its sequence number; 0: all are seen."""
        return self.flags.translate(_SEEN_OR_NOT).find(0) + 1

    def with_flag(self, bit: int) -> list[Uid]:
        return [Uid(uid) for uid, flags in zip(self.uids, self.flags, strict=True) if flags & bit]

    def _uid_ranges(self, numbers: SequenceSet) -> Iterator[range]:
        if not self.uids:
            return
        for low, high in numbers.resolve(self.uids[-1]):
            start, stop = bisect_left(self.uids, low), bisect_left(self.uids, high + 1)
            if start < stop:
                yield range(start, stop)

    def _find(self, uid: int) -> int:
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1
