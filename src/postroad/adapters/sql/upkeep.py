"""What has to be done now and then: the sweep of content, in slices of the low lane, and the deep check.

`[retention]` is carried out by the janitor through `tx.retention`.
"""

from __future__ import annotations

import asyncio
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

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep took away."""

    blobs: int
    files: int


async def sweep(store: Store, blobs: SegmentBlobs, before: datetime) -> Swept:
    """Forget content older than `before` that no row names, then remove files in which nothing lives any more.

    A thin segment, most of it dead, stays until the last of it is.
    """
    forgotten = await _forget_unnamed(store, BlobId(first_id_at(before)))
    files = await asyncio.to_thread(_old_files, blobs, before)
    removed = 0
    for some in slices([path.name for path in files], 100):
        for name in await store.write(partial(_forget_empty, some), lane=Lane.LOW):
            blobs.remove(name)
            removed += 1
    return Swept(forgotten, removed)


async def _forget_unnamed(store: Store, last: BlobId) -> int:
    forgotten = 0
    after: BlobId | None = BlobId(0)
    while after is not None:
        after, taken = await store.write(partial(_forget_slice, after, last), lane=Lane.LOW)
        forgotten += taken
    return forgotten


def _forget_slice(after: BlobId, last: BlobId, tx: Tx) -> tuple[BlobId | None, int]:
    return tx.places.forget_unnamed(after, last)


def _forget_empty(names: Sequence[str], tx: Tx) -> list[str]:
    return tx.places.forget_empty(names)


def _expected(name: str, after: int, tx: Tx) -> list[tuple[BlobId, BlobPlace]]:
    return tx.places.in_segment(name, after=after, limit=_PAGE)


def _old_files(blobs: SegmentBlobs, before: datetime) -> list[Path]:
    """Files that nothing was written to since `before`."""
    moment = before.timestamp()
    found = [*blobs.segments.glob("*.seg"), *blobs.large.glob("*.blob")]
    return sorted(path for path in found if path.name != blobs.writing_to and path.stat().st_mtime < moment)


async def deep_check(store: Store, blobs: SegmentBlobs) -> list[LedgerFinding]:
    """Read every file that rows name, from the disk, and compare: content that is missing, or damaged in its place.

    A damaged stretch that no row names is the torn end of a group that was never acknowledged.
    """
    findings: list[LedgerFinding] = []
    for name in await store.read(lambda tx: tx.places.segments()):
        expected: dict[int, tuple[BlobId, BlobPlace]] = {}
        after = -1
        while page := await store.read(partial(_expected, name, after)):
            expected |= {place.offset: (blob, place) for blob, place in page}
            after = page[-1][1].offset
        findings += await asyncio.to_thread(_compare, blobs.path(name), expected)
    return findings


def _compare(path: Path, expected: dict[int, tuple[BlobId, BlobPlace]]) -> list[LedgerFinding]:
    try:
        records = {record.offset: record for record in scan(path) if not record.damaged}
    except OSError as error:
        return [_finding(blob, path, str(error)) for blob, _ in expected.values()]
    return [
        _finding(blob, path, "no whole record lies in its place")
        for offset, (blob, place) in expected.items()
        if not _fits(records.get(offset), blob, place)
    ]


def _fits(record: Scanned | None, blob: BlobId, place: BlobPlace) -> bool:
    return record is not None and record.blob == blob and record.length == place.length


def _finding(blob: BlobId, path: Path, problem: str) -> LedgerFinding:
    return LedgerFinding(None, None, f"content {id_text(blob)} in {path.name}: {problem}")


def quarantined(blobs: SegmentBlobs) -> dict[str, str]:
    """Segments that a write or sync failed in, with the error: worth a deep check."""
    found = sorted(blobs.segments.glob(f"*{QUARANTINE}"))
    return {path.name.removesuffix(QUARANTINE): path.read_text().strip() for path in found}
