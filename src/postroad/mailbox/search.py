"""SEARCH: which messages of a view fit a key (RFC 3501 §6.4.4).

A key is compiled to a function that says yes, no, or (None) that it must know more. So flags are asked of the view,
then sizes and dates of the rows, then what is stored of the content, then headers, and only for what is still open the
text: that in a worker thread, a few megabytes at a time.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import partial

from postroad.mail.header import Header
from postroad.mail.render import MAX_STORED
from postroad.mailbox.bodytext import body_text, header_text
from postroad.mailbox.reading import SLICE, Reader, Source
from postroad.mailbox.sections import Span
from postroad.mailbox.view import View
from postroad.ports.ids import Uid
from postroad.ports.store import Content
from postroad.proto.imap import search as keys
from postroad.proto.imap.search import Key, Relation

MAX_MESSAGE = 4 * 1024 * 1024  # octets of one message whose text is looked at
MAX_HEADER = 128 * 1024  # octets of one header block that is looked at; those of a slice are held together
BATCH = 4 * 1024 * 1024  # octets read for one visit to a worker
TESTS = 20_000  # keys asked about messages of the view before others have their turn
_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86_400


class Facts:
    """What is known of one message so far."""

    __slots__ = ("at", "content", "day", "flags", "header", "known", "sent", "size", "subject", "uid", "words")

    def __init__(self, at: int, uid: int, flags: int, words: tuple[str, ...]) -> None:
        self.at = at
        self.uid = uid
        self.flags = flags
        self.words = words
        self.known = 0  # tiers 1 to 4 that have been filled in
        self.size = 0
        self.day = 0  # of the internal date, as an ordinal
        self.sent: int | None = None  # of the Date field
        self.subject = ""
        self.header = b""
        self.content = b""


Test = Callable[[Facts], bool | None]
ROW, CONTENT, HEADER, TEXT = 1, 2, 3, 4


def number_of_keys(key: Key) -> int:
    """What one message costs at most."""
    match key:
        case keys.Not(inner):
            return number_of_keys(inner)
        case keys.And(parts):
            return sum(map(number_of_keys, parts))
        case keys.Or(left, right):
            return number_of_keys(left) + number_of_keys(right)
    return 1


# --- keys to tests ----------------------------------------------------------------------------------------------------


def compile_key(key: Key, view: View) -> Test:
    """The test of a key; sets are resolved against the view as it is now."""
    match key:
        case keys.All(matches):
            return lambda _: matches
        case keys.Not(inner):
            return _not(compile_key(inner, view))
        case keys.And(parts):
            return _all([compile_key(part, view) for part in parts])
        case keys.Or(left, right):
            return _either(compile_key(left, view), compile_key(right, view))
        case keys.Flagged(bit):
            return lambda facts: bool(facts.flags & bit)
        case keys.HasKeyword(word):
            return lambda facts: word in [own.lower() for own in facts.words]
        case keys.InSet(numbers, uid):
            return _in_places(view.resolve(numbers, uid=uid))
        case keys.Sized(octets, larger):
            return _row(lambda facts: facts.size > octets if larger else facts.size < octets)
        case keys.Dated():
            return _dated(key)
        case keys.InHeader(field, text):
            return _subject(text) if field == "subject" else _field(field, text)
        case keys.InText(text, header):
            return _text(text, header=header)


def _not(test: Test) -> Test:
    def run(facts: Facts) -> bool | None:
        found = test(facts)
        return None if found is None else not found

    return run


def _all(tests: Sequence[Test]) -> Test:
    def run(facts: Facts) -> bool | None:
        verdict: bool | None = True
        for test in tests:
            found = test(facts)
            if found is False:
                return False
            if found is None:
                verdict = None
        return verdict

    return run


def _either(left: Test, right: Test) -> Test:
    def run(facts: Facts) -> bool | None:
        first = left(facts)
        if first:
            return True
        second = right(facts)
        if second:
            return True
        return None if first is None or second is None else False

    return run


def _in_places(ranges: Sequence[range]) -> Test:
    """Ranges stay ranges: hundreds of `1:*` in one search of a large mailbox would else fill the memory."""
    starts = [part.start for part in ranges]

    def run(facts: Facts) -> bool | None:
        at = bisect_right(starts, facts.at) - 1
        return at >= 0 and facts.at < ranges[at].stop

    return run


def _row(test: Test) -> Test:
    return lambda facts: test(facts) if facts.known >= ROW else None


_COMPARED: dict[Relation, Callable[[int, int], bool]] = {
    Relation.BEFORE: int.__lt__,
    Relation.ON: int.__eq__,
    Relation.SINCE: int.__ge__,
}


def _dated(key: keys.Dated) -> Test:
    day, fits = key.day.toordinal(), _COMPARED[key.relation]
    if not key.sent:
        return _row(lambda facts: fits(facts.day, day))

    def run(facts: Facts) -> bool | None:
        if facts.known < CONTENT:
            return None
        return facts.sent is not None and fits(facts.sent, day)

    return run


def _subject(text: str) -> Test:
    """What is stored of the subject decides, unless it was cut or is not there."""
    exact = _field("subject", text)

    def run(facts: Facts) -> bool | None:
        if facts.known < CONTENT:
            return None
        if text and text in facts.subject:
            return True
        return False if text and 0 < len(facts.subject) < MAX_STORED else exact(facts)

    return run


def _field(field: str, text: str) -> Test:
    name = field.encode("ascii", "replace")

    def run(facts: Facts) -> bool | None:
        if facts.known < HEADER:
            return None
        values = Header.of(facts.header).all(name)
        return any(text in header_text(value) for value in values)

    return run


def _text(text: str, *, header: bool) -> Test:
    def run(facts: Facts) -> bool | None:
        if header and facts.known >= HEADER and text in header_text(facts.header):
            return True
        if facts.known < TEXT:
            return None
        return text in body_text(facts.content)

    return run


# --- looking ----------------------------------------------------------------------------------------------------------


class Search:
    """One search under way."""

    __slots__ = ("_asked", "_found", "_open", "_reader", "_test", "_turn", "_view")

    def __init__(self, view: View, reader: Reader, key: Key) -> None:
        """Raises NoSuchMessage for a sequence number that is not there."""
        self._view = view
        self._reader = reader
        self._test = compile_key(key, view)
        self._turn = max(TESTS // number_of_keys(key), 1)  # messages
        self._asked = 0  # messages that the view was asked about
        self._found: list[int] = []
        self._open: list[Facts] = []

    def quick(self) -> bool:
        """Ask the view alone, for no longer than a turn; whether that settles it."""
        self._ask_view()
        return self._asked == len(self._view) and not self._open

    def _ask_view(self) -> None:
        """About as many messages as fit in a turn."""
        view, start = self._view, self._asked
        words, flags = view.words, view.flags
        self._asked = min(start + self._turn, len(view))
        for at, uid in enumerate(view.uids[start : self._asked], start):
            facts = Facts(at, uid, flags[at], words.get(uid, ()))
            found = self._test(facts)
            if found:
                self._found.append(at)
            elif found is None:
                self._open.append(facts)

    @property
    def places(self) -> list[int]:
        """What was found: places in the view, ascending."""
        return sorted(self._found)

    async def finish(self) -> None:
        """Ask rows and contents about what the view left open, slice by slice."""
        while self._asked < len(self._view):
            await asyncio.sleep(0)
            self._ask_view()
        opened, self._open = self._open, []
        for start in range(0, len(opened), SLICE):
            part = opened[start : start + SLICE]
            part = self._judge(await self._with_rows(part))
            if part:
                await self._ask_contents(part)

    def _judge(self, part: Iterable[Facts]) -> list[Facts]:
        """Those that are still open."""
        still = []
        for facts in part:
            found = self._test(facts)
            if found:
                self._found.append(facts.at)
            elif found is None:
                still.append(facts)
        return still

    async def _with_rows(self, part: list[Facts]) -> list[Facts]:
        """With size and internal date; those that have been expunged meanwhile fall out."""
        by_uid = {facts.uid: facts for facts in part}
        low, high = Uid(part[0].uid), Uid(part[-1].uid)
        found = []
        while low <= high:
            rows = await self._reader.texts(self._view.mailbox, low, high, envelope=False, structure=False, body=False)
            for row in rows:
                facts = by_uid.get(row.uid)
                if facts is not None:
                    facts.size, facts.day, facts.known = row.size, row.internal_date // _DAY + _EPOCH, ROW
                    found.append(facts)
            if len(rows) < SLICE:
                break
            low = Uid(rows[-1].uid + 1)
        return found

    async def _ask_contents(self, part: list[Facts]) -> None:
        sources = await self._reader.sources(self._view.mailbox, [Uid(facts.uid) for facts in part], layout=True)
        by_uid = {source.text.uid: source for source in sources}
        part = [facts for facts in part if facts.uid in by_uid]
        contents = await self._reader.contents([source.text.blob for source in sources])
        for facts in part:
            _fill_content(facts, contents[by_uid[Uid(facts.uid)].text.blob])
        part = await self._ask(self._judge(part), by_uid, HEADER)
        await self._ask(part, by_uid, TEXT)

    async def _ask(self, part: list[Facts], by_uid: dict[Uid, Source], tier: int) -> list[Facts]:
        """Read headers or messages, and judge them in a worker."""
        still: list[Facts] = []
        for batch in _batches(part, by_uid, tier):
            octets = await self._reader.read_many([(by_uid[Uid(facts.uid)], span) for facts, span in batch])
            waiting = [facts for facts, _ in batch]
            for facts, data in zip(waiting, octets, strict=True):
                _fill_octets(facts, by_uid[Uid(facts.uid)], data, tier)
            still += await self._reader.in_worker(partial(self._judge, waiting))
            for facts in waiting:
                facts.content = b""
        return still


def _fill_content(facts: Facts, content: Content) -> None:
    facts.known = CONTENT
    facts.subject = content.subject.casefold()
    facts.sent = content.sent.date().toordinal() if content.sent else None


def _fill_octets(facts: Facts, source: Source, data: bytes, tier: int) -> None:
    facts.known = tier
    if tier == HEADER:
        facts.header = data
    else:
        facts.content = data[source.layout.prefix :]


def _batches(part: list[Facts], by_uid: dict[Uid, Source], tier: int) -> Iterator[list[tuple[Facts, Span]]]:
    """What to read, in heaps of at most BATCH octets (or one message)."""
    batch: list[tuple[Facts, Span]] = []
    total = 0
    for facts in part:
        layout = by_uid[Uid(facts.uid)].layout
        size = layout.prefix + layout.header_size if tier == HEADER else layout.size
        span = Span(0, min(size, MAX_HEADER if tier == HEADER else MAX_MESSAGE))
        if batch and total + span.size > BATCH:
            yield batch
            batch, total = [], 0
        batch.append((facts, span))
        total += span.size
    if batch:
        yield batch
