"""What has to be done now and then: the sweep of content, in slices of the low lane, and the deep check.

`[retention]` is carried out by the janitor through `tx.retention`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from postroad.adapters.blobs.record import Scanned, scan
from postroad.adapters.blobs.segments import QUARANTINE, SegmentBlobs
from postroad.adapters.ids import first_id_at
from postroad.adapters.sql.connection import slices
from postroad.ports.blobs import BlobPlace
from postroad.ports.ids import BlobId, id_text
from postroad.ports.store import Lane, LedgerFinding, Store, Tx

_REMEMBERED = 3  # files


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep took away."""

    blobs: int
    files: int


async def sweep(store: Store, blobs: SegmentBlobs, before: datetime) -> Swept:
    """Forget content older than `before` that no row names, then remove files in which nothing lives any more.

    Readers walk the rows; the writer only deletes, in slices. A thin segment, most of it dead, stays until the last of
    it is.
    """
    empty = await asyncio.to_thread(_old_files, blobs, before)  # listed first: no row that names them can come later
    last = BlobId(first_id_at(before))
    forgotten = 0
    after = BlobId(0)
    while page := await store.read(partial(_page, after)):
        unnamed = [blob for blob, _, named in page if not named and blob < last]
        gone = set(await store.write(partial(_forget, unnamed), lane=Lane.LOW)) if unnamed else set()
        empty -= {place.segment for blob, place, _ in page if blob not in gone}
        forgotten += len(gone)
        after = page[-1][0]
    for some in slices(sorted(empty), 100):
        await store.write(partial(_forget_segments, some), lane=Lane.LOW)
        for name in some:
            blobs.remove(name)
    return Swept(forgotten, len(empty))


def _page(after: BlobId, tx: Tx) -> list[tuple[BlobId, BlobPlace, bool]]:
    return tx.places.walk(after)


def _forget(blobs: Sequence[BlobId], tx: Tx) -> list[BlobId]:
    return tx.places.forget(blobs)


def _forget_segments(names: Sequence[str], tx: Tx) -> None:
    tx.places.forget_segments(names)


def _old_files(blobs: SegmentBlobs, before: datetime) -> set[str]:
    """Files that nothing was written to since `before`."""
    moment = before.timestamp()
    found = [*blobs.segments.glob("*.seg"), *blobs.large.glob("*.blob")]
    return {path.name for path in found if path.name != blobs.writing_to and path.stat().st_mtime < moment}


async def deep_check(store: Store, blobs: SegmentBlobs) -> list[LedgerFinding]:
    """Read every file that rows name, from the disk, and compare: content that is missing, or damaged in its place.

    A damaged stretch that no row names is the torn end of a group that was never acknowledged. Ids and segments grow
    together, so that each file is read about once though only a few are remembered.
    """
    findings: list[LedgerFinding] = []
    contents: OrderedDict[str, dict[int, Scanned] | str] = OrderedDict()
    after = BlobId(0)
    while page := await store.read(partial(_page, after)):
        for blob, place, _ in page:
            if place.segment not in contents:
                contents[place.segment] = await asyncio.to_thread(_records, blobs.path(place.segment))
                if len(contents) > _REMEMBERED:
                    contents.popitem(last=False)
            findings += _compare(blob, place, contents[place.segment])
        after = page[-1][0]
    return findings


def _records(path: Path) -> dict[int, Scanned] | str:
    """The whole records of a file by their offset; or why it cannot be read."""
    try:
        return {record.offset: record for record in scan(path) if not record.damaged}
    except OSError as error:
        return str(error)


def _compare(blob: BlobId, place: BlobPlace, found: dict[int, Scanned] | str) -> list[LedgerFinding]:
    if isinstance(found, str):
        problem = found
    else:
        record = found.get(place.offset)
        if record and record.blob == blob and record.length == place.length:
            return []
        problem = "no whole record lies in its place"
    return [LedgerFinding(None, None, f"content {id_text(blob)} in {place.segment}: {problem}")]


def quarantined(blobs: SegmentBlobs) -> dict[str, str]:
    """Segments that a write or sync failed in, with the error: worth a deep check."""
    found = sorted(blobs.segments.glob(f"*{QUARANTINE}"))
    return {path.name.removesuffix(QUARANTINE): path.read_text().strip() for path in found}
