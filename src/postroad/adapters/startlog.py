"""Start records of attempts in a memory-mapped file: 32 bytes each, never synced, alive after SIGKILL.

The kernel owns the pages of a shared mapping, so what was stored is in the file when the process is killed; a store
costs no system call. Slots are reused; a slot whose checksum does not fit is one torn by the kill and is skipped.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from postroad.ports.attempts import OpenAttempt, Ticket
from postroad.ports.ids import DeliveryId

MAGIC = 0x50525332  # "PRS2"
SLOT = 32
FIRST_SLOTS = 4096

_BODY = struct.Struct("<IBxHQQ")  # magic, crashes, zero, delivery, zero
_REST = struct.Struct("<IB3x")  # checksum of the body, state: a single octet is never torn
_STATE = _BODY.size + 4
_EMPTY = bytes(SLOT)

_STARTED, _DOT_OUT, _SUSPECT = _STATES = 1, 2, 3  # suspect: left open by an earlier process, not tried since


class MappedStartLog:
    """Implements ports.attempts.StartLog on one file. The owner calls `close`."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = max(os.fstat(self._file).st_size // SLOT, FIRST_SLOTS) * SLOT
        os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)
        self._free: list[int] = []
        self._open: dict[int, DeliveryId] = {}  # offset -> delivery, of this process
        self._suspects: dict[DeliveryId, tuple[int, int]] = {}  # delivery -> (offset, crashes)
        self._crashed = self._recover()

    def begin(self, delivery: DeliveryId) -> Ticket:
        offset, crashes = self._suspects.pop(delivery, (-1, 0))
        if offset < 0:
            if not self._free:
                self._grow()
            offset = self._free.pop()
        self._write(offset, _STARTED, crashes, delivery)
        self._open[offset] = delivery
        return Ticket(offset)

    def dot_out(self, ticket: Ticket) -> None:
        self._map[ticket + _STATE] = _DOT_OUT

    def end(self, ticket: Ticket) -> None:
        if self._open.pop(ticket, None) is not None:
            self._clear(ticket)

    def crashed(self) -> Sequence[OpenAttempt]:
        return self._crashed

    def settle(self, deliveries: Sequence[DeliveryId]) -> None:
        for delivery in deliveries:
            offset, _ = self._suspects.pop(delivery, (-1, 0))
            if offset >= 0:
                self._clear(offset)

    def close(self) -> None:
        self._map.close()
        os.close(self._file)

    def _write(self, offset: int, state: int, crashes: int, delivery: DeliveryId) -> None:
        body = _BODY.pack(MAGIC, crashes, 0, delivery, 0)
        self._map[offset : offset + SLOT] = body + _REST.pack(zlib.crc32(body), state)

    def _clear(self, offset: int) -> None:
        self._map[offset : offset + SLOT] = _EMPTY
        self._free.append(offset)

    def _recover(self) -> list[OpenAttempt]:
        """Read what was left open; each is kept as a suspect, so that a later death counts on."""
        crashed: list[OpenAttempt] = []
        for offset in range(len(self._map) - SLOT, -1, -SLOT):
            record = self._map[offset : offset + SLOT]
            if record == _EMPTY or not self._recover_slot(offset, record, crashed):
                self._clear(offset)
        return crashed

    def _recover_slot(self, offset: int, record: bytes, crashed: list[OpenAttempt]) -> bool:
        magic, crashes, _, delivery, _ = _BODY.unpack_from(record)
        checksum, state = _REST.unpack_from(record, _BODY.size)
        if magic != MAGIC or zlib.crc32(record[: _BODY.size]) != checksum or state not in _STATES:
            return False
        if state != _SUSPECT:
            crashes = min(crashes + 1, 255)
            crashed.append(OpenAttempt(DeliveryId(delivery), state == _DOT_OUT, crashes))
        self._write(offset, _SUSPECT, crashes, delivery)
        self._suspects[DeliveryId(delivery)] = (offset, crashes)
        return True

    def _grow(self) -> None:
        size = len(self._map)
        os.ftruncate(self._file, size * 2)
        self._map.resize(size * 2)
        self._free.extend(range(size * 2 - SLOT, size - SLOT, -SLOT))
