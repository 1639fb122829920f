"""Where new ids come from: 42 bits of milliseconds, 9 of node, 12 of sequence (see ports/ids.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
MAX_NODE = (1 << 9) - 1
_LAST_SEQUENCE = (1 << 12) - 1
_NODE_SHIFT = 12
_TIME_SHIFT = 21
_EPOCH_MS = int(EPOCH.timestamp() * 1000)


class NodeIds:
    """Ids of one node. When the clock steps back, or gives 4,096 ids in a millisecond, they borrow from the future."""

    __slots__ = ("_last", "_lock", "_nanoseconds", "_node_bits")

    def __init__(self, node: int, milliseconds: Callable[[], int] | None = None) -> None:
        if not 0 <= node <= MAX_NODE:
            raise ValueError(f"a node number is 0 to {MAX_NODE}")
        self._node_bits = node << _NODE_SHIFT
        self._nanoseconds = _scaled(milliseconds) if milliseconds else time.time_ns  # the usual one is one call of C
        self._last = 0  # the newest id
        self._lock = threading.Lock()

    def new(self) -> int:
        first = (self._nanoseconds() // 1_000_000 - _EPOCH_MS) << _TIME_SHIFT | self._node_bits  # of this millisecond
        with self._lock:
            last = self._last
            if first > last:
                last = first
            elif last & _LAST_SEQUENCE != _LAST_SEQUENCE:
                last += 1
            else:
                last = ((last >> _TIME_SHIFT) + 1) << _TIME_SHIFT | self._node_bits
            self._last = last
        return last


def _scaled(milliseconds: Callable[[], int]) -> Callable[[], int]:
    return lambda: milliseconds() * 1_000_000


def first_id_at(moment: datetime) -> int:
    """The smallest id that any node could have made at `moment`: what was made before is below it."""
    return max(0, int(moment.timestamp() * 1000) - _EPOCH_MS) << _TIME_SHIFT


def made_at(number: int) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp(((number >> _TIME_SHIFT) + _EPOCH_MS) / 1000, UTC)


def ids_in(span: timedelta) -> int:
    """How far apart two ids are that were made so long after one another."""
    return span // timedelta(milliseconds=1) << _TIME_SHIFT
