"""FETCH: from the view alone, from stored wire texts, or with the octets of messages (RFC 3501 §6.4.5).

Answers go out in pieces of 64 KiB, each after the peer has read enough. Small bodies are read many at a time; a large
one is streamed, so no message is ever whole in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, TypedDict

from postroad.mailbox.reading import SLICE, Source
from postroad.mailbox.sections import Span, choose_fields, locate, needs_layout
from postroad.mailbox.service import FlagChange
from postroad.mailbox.view import View
from postroad.ports.ids import Uid
from postroad.ports.store import MessageText, SystemFlag
from postroad.proto.imap import commands
from postroad.proto.imap.fetch import FetchItems, Item, Part, Section
from postroad.proto.imap.responses import FLAG_SETS, MONTHS, Result, flag_names, ok
from postroad.sessions.imap_core import PIECE, ImapConversation, Waiting
from postroad.sessions.imap_messages import changing

IN_PLACE = 1000  # messages answered from the view without a task
GAP = 50  # messages that are read in vain rather than asking twice
BATCH = 250  # messages whose sections are located at once
SMALL = 64 * 1024  # octets of a section that is read whole; larger ones are streamed
GATHERED = 256 * 1024  # octets of small sections read at once
MAX_HEADER = 1024 * 1024  # octets of a header block that fields are chosen from

_FROM_VIEW = Item.FLAGS | Item.UID
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEEN = FlagChange(SystemFlag.SEEN)


def fetch(session: ImapConversation, command: commands.Fetch) -> Waiting:
    view, items = session.selected, command.items
    ranges = view.resolve(command.numbers, uid=command.uid)
    if command.uid:
        items = FetchItems(items.simple | Item.UID, items.sections)  # RFC 3501 §6.4.8
    if items.sections:
        return _with_sections(session, items, ranges)
    if items.simple & ~_FROM_VIEW:
        return _with_texts(session, items.simple, ranges)
    if sum(map(len, ranges)) > IN_PLACE:
        return _with_flags(session, items.simple, ranges)
    session.machine.send_raw(b"".join(_view_lines(view, items.simple, ranges)))
    return session.done(ok("fetched"))


# --- from the view ----------------------------------------------------------------------------------------------------


async def _with_flags(session: ImapConversation, simple: int, ranges: Sequence[range]) -> None:
    await session.send_lines(_view_lines(session.selected, simple, ranges))
    await session.end(ok("fetched"))


def _view_lines(view: View, simple: int, ranges: Sequence[range]) -> Iterator[bytes]:
    spell = _spellers(view)[simple]
    for part in ranges:
        for at in part:
            yield b"* %d FETCH (%b)\r\n" % (at + 1, spell(at))


def _spellers(view: View) -> dict[int, Callable[[int], bytes]]:
    """What spells the items that the view knows, by their bits."""
    uids, flags, words = view.uids, view.flags, view.words

    def names(at: int) -> bytes:
        if words and (own := words.get(uids[at])):
            return flag_names(flags[at], own)
        return FLAG_SETS[flags[at] & 31]

    return {
        0: lambda _: b"",
        Item.UID: lambda at: b"UID %d" % uids[at],
        Item.FLAGS: lambda at: b"FLAGS (%b)" % names(at),
        _FROM_VIEW: lambda at: b"UID %d FLAGS (%b)" % (uids[at], names(at)),
    }


# --- from stored texts ------------------------------------------------------------------------------------------------


async def _with_texts(session: ImapConversation, simple: int, ranges: Sequence[range]) -> None:
    sent = 0
    for group in _groups(ranges):
        at, last = group[0].start, group[-1].stop - 1
        while at <= last:
            rows = await _text_rows(session, simple, at, last)
            lines, at = _text_lines(session.selected, simple, rows, group, at)
            sent += len(lines)
            await session.send_lines(lines)
            if len(rows) < SLICE:
                break
    await session.end(_ended(sent, ranges))


async def _text_rows(session: ImapConversation, simple: int, at: int, last: int) -> list[MessageText]:
    view = session.selected
    return await session.services.reader.texts(
        view.mailbox,
        Uid(view.uids[at]),
        Uid(view.uids[last]),
        **_texts_wanted(simple),
    )


class _Texts(TypedDict):
    """Which stored texts are asked for."""

    envelope: bool
    structure: bool
    body: bool


def _texts_wanted(simple: int) -> _Texts:
    return {
        "envelope": bool(simple & Item.ENVELOPE),
        "structure": bool(simple & Item.BODYSTRUCTURE),
        "body": bool(simple & Item.BODY),
    }


def _groups(ranges: Sequence[range]) -> Iterator[list[range]]:
    """Ranges that lie so close together that one look at the rows serves them."""
    group: list[range] = []
    for part in ranges:
        if group and part.start - group[-1].stop > GAP:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def _text_lines(
    view: View, simple: int, rows: Sequence[MessageText], group: Sequence[range], at: int
) -> tuple[list[bytes], int]:
    """The answers, and the place behind the last row. Rows and view are both in order of UIDs."""
    uids, lines = view.uids, []
    wanted = {place for part in group for place in part} if len(group) > 1 else group[0]
    spell = _spellers(view)[simple & _FROM_VIEW]
    for row in rows:
        while uids[at] < row[0]:  # expunged, and not yet told
            at += 1
        if at in wanted and uids[at] == row[0]:
            lines.append(b"* %d FETCH (%b)\r\n" % (at + 1, _text_items(spell(at), simple, row)))
        at += uids[at] == row[0]
        if at == len(uids):
            break
    return lines, at


def _text_items(before: bytes, simple: int, row: MessageText) -> bytes:
    """`before` is what the view has said."""
    _, size, internal_date, _, _, envelope, bodystructure, body = row
    found = [before] if before else []
    if simple & Item.INTERNALDATE:
        found.append(_internal_date(internal_date))
    if simple & Item.SIZE:
        found.append(b"RFC822.SIZE %d" % size)
    if simple & Item.ENVELOPE:
        found.append(b"ENVELOPE " + envelope)
    if simple & Item.BODYSTRUCTURE:
        found.append(b"BODYSTRUCTURE " + bodystructure)
    if simple & Item.BODY:
        found.append(b"BODY " + body)
    return b" ".join(found)


def _internal_date(seconds: int) -> bytes:
    days, second = divmod(seconds, 86_400)
    minute, second = divmod(second, 60)
    return b'INTERNALDATE "%b %02d:%02d:%02d +0000"' % (_day(days), minute // 60, minute % 60, second)


@lru_cache(maxsize=4096)
def _day(days: int) -> bytes:
    day = _EPOCH + timedelta(days=days)
    return b"%02d-%b-%04d" % (day.day, MONTHS[day.month - 1], day.year)


def _ended(sent: int, ranges: Sequence[range]) -> Result:
    """RFC 5530 §3: some messages have been expunged, which FETCH itself may not tell."""
    if sent == sum(map(len, ranges)):
        return ok("fetched")
    return ok("fetched, less messages that have been expunged", b"EXPUNGEISSUED")


# --- with octets of messages ------------------------------------------------------------------------------------------


class _Piece(NamedTuple):
    """One section of one message; no span: there is no such part."""

    section: Section
    span: Span | None
    is_large: bool  # streamed, not read whole


_Heap = list[tuple[Source, list[_Piece]]]


async def _with_sections(session: ImapConversation, items: FetchItems, ranges: Sequence[range]) -> None:
    view, reader = session.selected, session.services.reader
    layout, texts = any(map(needs_layout, items.sections)), _texts_wanted(items.simple)
    uids, sent = view.uids_of(ranges), 0
    for start in range(0, len(uids), BATCH):
        part = uids[start : start + BATCH]
        changed = await _mark_seen(session, part) if items.sets_seen and not session.read_only else frozenset()
        sources = await reader.sources(view.mailbox, part, layout=layout, **texts)
        sent += len(sources)
        for heap in _heaps(sources, items.sections):
            await _send_heap(session, items, heap, changed)
    await session.end(_ended(sent, ranges))


async def _mark_seen(session: ImapConversation, uids: Sequence[Uid]) -> frozenset[int]:
    """Set \\Seen where it is not set; the client is told with the message itself."""
    view = session.selected
    unseen = [uid for uid in uids if not view.flags[view.place(uid)] & SystemFlag.SEEN]
    if unseen:
        async for changes in changing(session, unseen, _SEEN):
            view.tell([change.uid for change in changes])
    return frozenset(unseen)


def _heaps(sources: Sequence[Source], sections: Sequence[Section]) -> Iterator[_Heap]:
    """Messages in heaps whose small sections are read together; a large section ends its heap."""
    heap: _Heap = []
    total = 0
    for source in sources:
        pieces = [_piece(section, source) for section in sections]
        small = sum([piece.span.size for piece in pieces if piece.span and not piece.is_large])
        if heap and total + small > GATHERED:
            yield heap
            heap, total = [], 0
        heap.append((source, pieces))
        total += small
        if any(piece.is_large for piece in pieces):
            yield heap
            heap, total = [], 0
    if heap:
        yield heap


def _piece(section: Section, source: Source) -> _Piece:
    span = locate(section, source.layout)
    if span is None:
        return _Piece(section, None, is_large=False)
    if section.fields:
        return _Piece(section, Span(span.start, min(span.end, span.start + MAX_HEADER)), is_large=False)
    span = span.part(section.partial)
    return _Piece(section, span, span.size > SMALL)


async def _send_heap(session: ImapConversation, items: FetchItems, heap: _Heap, changed: frozenset[int]) -> None:
    wanted = [(source, p.span) for source, pieces in heap for p in pieces if p.span and not p.is_large]
    octets = iter(await session.services.reader.read_many(wanted) if wanted else ())
    send, unsent = session.machine.send_raw, 0
    for source, pieces in heap:
        place = session.selected.place(source.text.uid)
        before = _message_items(session.selected, items.simple, source, place, changed)
        send(b"* %d FETCH (%b" % (place + 1, before))
        space = b" " if before else b""
        for section, span, is_large in pieces:
            label, space = space + section.label, b" "
            if span is None:
                send(label + b" NIL")
            elif is_large:
                await _stream(session, label, source, span)
            else:
                data = _chosen(section, next(octets))
                send(b"%b {%d}\r\n%b" % (label, len(data), data))
                unsent += len(data)
        send(b")\r\n")
        if unsent >= PIECE:
            unsent = 0
            await session.room()


async def _stream(session: ImapConversation, label: bytes, source: Source, span: Span) -> None:
    machine = session.machine
    machine.begin_literal(label + b" ", span.size)
    async for piece in session.services.reader.stream(source, span):
        machine.literal_data(piece)
        await session.room()
    if machine.literal_open:
        raise OSError("the stored message is shorter than its row says")


def _chosen(section: Section, data: bytes) -> bytes:
    if not section.fields:
        return data
    data = choose_fields(data, frozenset(section.fields), without=section.part is Part.FIELDS_NOT)
    if section.partial is None:
        return data
    start, count = section.partial
    return data[start : start + count]


def _message_items(view: View, simple: int, source: Source, place: int, changed: frozenset[int]) -> bytes:
    if source.text.uid in changed:
        simple |= Item.FLAGS
    if not simple:
        return b""
    return _text_items(_spellers(view)[simple & _FROM_VIEW](place), simple, source.text)
