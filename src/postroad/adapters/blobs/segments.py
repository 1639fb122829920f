"""Content in append-only segment files: one writev and one fdatasync make a whole group durable.

The store's writer appends, nobody else. Whatever fails is fatal to the segment it happened in: that one is never
written again, and a record in the next one voids the ids that were refused. Nothing that was acknowledged is ever cut.
Large content has files of its own (`large.py`); reading is in `reading.py`; `adapters.sql.upkeep` takes space back.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from postroad.adapters.blobs.files import FileSystem, failure, write_fully
from postroad.adapters.blobs.large import LargeWriter
from postroad.adapters.blobs.reading import Reader
from postroad.adapters.blobs.record import FIXED_SIZE, VOID, start, void_body
from postroad.adapters.blobs.scratch import ScratchFile
from postroad.adapters.cores import roam
from postroad.adapters.ids import NodeIds
from postroad.ports.blobs import BlobPlace, BlobRecord, BlobWriteFailed
from postroad.ports.ids import BlobId, id_text

log = logging.getLogger(__name__)

SEGMENT_SIZE = 128 * 1024 * 1024  # then another is begun
FILL_AHEAD = 16 * 1024 * 1024  # zeros written ahead: a sync into them need not touch the file's metadata
_FILL_PIECE = 256 * 1024
_FILL_STRETCH = 2 * 1024 * 1024  # zeros synced at a time, so that a commit's own sync never waits for 16 MiB of them
_VOIDS = 1000  # ids in one void record
QUARANTINE = ".quarantine"  # a marker beside a segment that a write or sync failed in


class OpenSegment:
    """The one segment that is being appended to. Writer and filler take turns by its lock."""

    def __init__(self, files: FileSystem, path: Path, fill_ahead: int) -> None:
        self.path = path
        self.end = 0  # where the next record goes
        self.acknowledged = False  # some group in it was synced
        self._files = files
        self._fill_ahead = fill_ahead
        self._filled = 0
        self._lock = threading.Lock()
        self._fd = files.create(path)
        try:
            files.sync_directory(path.parent)  # the name must be durable before anything inside it counts
            # The filler's own description: the kernel reports a failed write-back once to each, and the writer's sync
            # must not lose its report to the filler's.
            self._fill_fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._fd)
            raise

    def append(self, buffers: list[bytes], size: int) -> None:
        """Write and sync one group at `end`. Raises OSError, after which this segment must not be used."""
        with self._lock:
            write_fully(self._files, self._fd, buffers, self.end)
            self.end += size
            self._filled = max(self._filled, self.end)
        self._files.sync(self._fd)
        self.acknowledged = True

    @property
    def wants_filling(self) -> bool:
        return self._filled - self.end < self._fill_ahead // 2

    def fill(self) -> bool:
        """Write and sync one stretch of zeros; True while more are wanted. A piece never overlaps a record: both hold
        the lock."""
        zeros = bytes(_FILL_PIECE)
        for _ in range(_FILL_STRETCH // _FILL_PIECE):
            with self._lock:
                if self._filled - self.end >= self._fill_ahead:
                    break
                write_fully(self._files, self._fill_fd, [zeros], self._filled)
                self._filled += _FILL_PIECE
        os.fdatasync(self._fill_fd)
        return self._filled - self.end < self._fill_ahead

    def give_back_zeros(self) -> None:
        """At an orderly end: zeros that nothing was written into take no room until the next start."""
        with suppress(OSError):
            os.ftruncate(self._fd, self.end)
            os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._fill_fd)


class SegmentBlobs:
    """The blob store on local files: `segments/` and `large/` under the data directory."""

    def __init__(
        self,
        directory: Path,
        *,
        node: int = 0,
        read_only: bool = False,
        files: FileSystem | None = None,
        segment_size: int = SEGMENT_SIZE,
        fill_ahead: int = FILL_AHEAD,
    ) -> None:
        self.node = node  # stands in the names of new segments
        self.files = files or FileSystem()
        self._read_only = read_only
        self.segments = directory / "segments"
        self.large = directory / "large"
        self._segment_size = segment_size
        self._fill_ahead = fill_ahead
        self._names = NodeIds(0)
        self._open: OpenSegment | None = None
        self._voids: list[BlobId] = []
        self._appending = threading.Lock()  # an engine may have several writers
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="blobs", initializer=roam)
        self._filler: threading.Thread | None = None
        self._fill = threading.Event()
        self._filling = threading.Lock()  # held while the filler uses the open segment
        self._closed = False
        self._reader = Reader(self.path, self._threads)

    def prepare(self) -> None:
        """Make the directories and clear what an unfinished large write left. For the one process that writes here.

        Segments of earlier runs are never appended to: their last group may be torn.
        """
        if self._read_only:
            return
        for directory in (self.segments, self.large):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in self.large.glob("*.part"):
            self.files.remove(part)

    def close(self) -> None:
        """After the store's writer has ended."""
        self._closed = True
        self._fill.set()
        if self._filler:
            self._filler.join()
        if self._voids:
            with suppress(BlobWriteFailed):
                self.append_group(())
        self.seal()
        self._threads.shutdown()
        self._reader.close()

    # --- writing: the writer thread ---

    def append_group(self, records: Sequence[BlobRecord]) -> list[BlobPlace]:
        """Append and sync all records as one group. Raises BlobWriteFailed."""
        with self._appending:
            return self._append_group(records)

    def void(self, blobs: Sequence[BlobId]) -> None:
        """Remember that these ids were refused after they had been written, so that no rebuild resurrects them.

        Written at once where that works, else with the next group.
        """
        with self._appending:
            self._voids += blobs
            with suppress(BlobWriteFailed):
                self._append_group(())

    def _append_group(self, records: Sequence[BlobRecord]) -> list[BlobPlace]:
        voids, buffers, size = self._void_buffers()
        lengths = [(FIXED_SIZE + len(record.envelope), len(record.content)) for record in records]
        size += sum(head + body for head, body in lengths)
        try:
            segment = self._segment_for(size)
        except OSError as error:
            raise failure(error) from error
        name, offset = segment.path.name, segment.end + len(voids)
        places = []
        for record, (head, body) in zip(records, lengths, strict=True):
            buffers += (start(record.blob, record.envelope, record.content), record.envelope, record.content)
            places.append(BlobPlace(name, offset + head, body))
            offset += head + body
        self._append(segment, buffers, size, records)
        return places

    def _void_buffers(self) -> tuple[bytes, list[bytes], int]:
        """The void records that are still to be written, as one buffer."""
        pieces = []
        for at in range(0, len(self._voids), _VOIDS):
            body = void_body(self._voids[at : at + _VOIDS])
            pieces += [start(BlobId(0), b"", body, VOID), body]
        voids = b"".join(pieces)
        return voids, [voids] if voids else [], len(voids)

    def _append(self, segment: OpenSegment, buffers: list[bytes], size: int, records: Sequence[BlobRecord]) -> None:
        try:
            segment.append(buffers, size)
        except OSError as error:
            self._abandon(segment, error)
            self._voids += [record.blob for record in records]
            raise failure(error) from error
        self._voids.clear()
        if segment.wants_filling:
            self._fill.set()

    def _segment_for(self, size: int) -> OpenSegment:
        if self._open and self._open.end and self._open.end + size > self._segment_size:
            self.seal()
        if self._open is None:
            self.segments.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open = OpenSegment(self.files, self._free_path(), self._fill_ahead)
            self._start_filler()
        return self._open

    def _free_path(self) -> Path:
        """Names tell the time; a clock that was set back, or a start in the same millisecond, may meet an older one."""
        while True:
            path = self.segments / f"{self.node:03d}-{id_text(self._names.new())}.seg"
            if not path.exists():
                return path

    def seal(self) -> None:
        """End the open segment; the next group begins another."""
        with self._filling:
            segment, self._open = self._open, None
        if segment:
            segment.give_back_zeros()
            segment.close()

    def _abandon(self, segment: OpenSegment, error: OSError) -> None:
        """A failed write or sync is fatal to its segment: the kernel may have dropped pages that it calls clean."""
        log.error("segment %s failed and is put aside: %s", segment.path.name, error)
        with self._filling:
            self._open = None
        segment.close()
        with suppress(OSError):
            if segment.acknowledged:
                marker = segment.path.with_name(segment.path.name + QUARANTINE)
                marker.write_text(f"{error}\n")
            else:  # no row can name anything in it
                self.files.remove(segment.path)

    # --- zeros ahead: the filler thread ---

    def _start_filler(self) -> None:
        if self._filler is None and self._fill_ahead:
            self._filler = threading.Thread(target=self._fill_loop, name="segment-filler", daemon=True)
            self._filler.start()
        self._fill.set()

    def _fill_loop(self) -> None:
        roam()
        while not self._closed:
            self._fill.wait()
            self._fill.clear()
            while self._fill_some() and not self._closed:
                pass

    def _fill_some(self) -> bool:
        with self._filling:
            if self._open is None:
                return False
            try:
                return self._open.fill()
            except OSError:  # the writer's own sync has its own report; a full disk shows there too
                return False

    # --- large content, reading ---

    def create(self, blob: BlobId, envelope: bytes) -> LargeWriter:
        return LargeWriter(self.files, self.large, blob, envelope, self._threads)

    def scratch(self) -> ScratchFile:
        return ScratchFile(self.files, self.large / f"{id_text(self._names.new())}-scratch.part", self._threads)

    def path(self, segment: str) -> Path:
        """Where a segment or large file of this name lies."""
        return (self.segments if segment.endswith(".seg") else self.large) / segment

    async def read(self, place: BlobPlace, start: int = 0, length: int | None = None) -> bytes:
        return await self._reader.read(place, start, length)

    async def read_many(self, ranges: Sequence[tuple[BlobPlace, int, int | None]]) -> list[bytes]:
        return await self._reader.read_many(ranges)

    def stream(self, place: BlobPlace, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        return self._reader.stream(place, start, length)

    def remove(self, segment: str) -> None:
        """Take away a file in which nothing lives any more. Who is reading it still can."""
        path = self.path(segment)
        self._reader.forget(segment)
        self.files.remove(path)
        self.files.remove(path.with_name(segment + QUARANTINE))

    @property
    def writing_to(self) -> str:
        """The name of the segment that is being appended to, or ""."""
        segment = self._open
        return segment.path.name if segment else ""
