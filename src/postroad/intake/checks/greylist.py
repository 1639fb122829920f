"""Greylisting (RFC 6647): a stranger's first try is put off, and its second one is let in.

Who is asked to come again is a triplet: the client's network, the sender's domain, the recipient. Mail servers come
again by themselves; programs that send to millions seldom do. A network that has come again a few times is let in at
once from then on. Rows outlive a restart and serve all nodes; what is under way is judged in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from math import ceil

from postroad.intake.verdicts import Verdict, deferred, passed
from postroad.mail.status import status
from postroad.observe import log
from postroad.ports.clock import Clock
from postroad.ports.greylist import GreyRecord
from postroad.ports.store import Lane, Store, StoreUnavailable, Tx
from postroad.routing.directory import RecentCache

STEP = "greylist"
FLUSH_SECONDS = 2.0
MAX_UNWRITTEN = 10_000  # rows; beyond that a crowd of strangers is asked to come again without being remembered
SLICE = 500
DAY = 86400.0  # how exactly it is remembered when somebody's mail came last

Key = tuple[str, str, str]  # network, sender's domain, recipient
_log = log.get("front-door")


class _Row:
    """A triplet or a network, in seconds since 1970. `first` is 0 where nothing is known of it."""

    __slots__ = ("first", "last", "passes")

    def __init__(self, first: float = 0.0, last: float = 0.0, passes: int = 0) -> None:
        self.first = first
        self.last = last
        self.passes = passes


class Greylist:
    """One for a process. `load` before `judge`, which waits for nothing."""

    def __init__(
        self, store: Store, clock: Clock, *, delay: float, window: float, keep: float, learn: int, size: int
    ) -> None:
        """`delay`, `window` and `keep` in seconds; `learn`: messages that came again until a network is known."""
        self._store = store
        self._clock = clock
        self._delay = delay
        self._window = window
        self._keep = keep
        self._learn = learn
        self._rows: RecentCache[_Row] = RecentCache(size)
        self._unwritten: dict[Key, _Row] = {}
        self._task: asyncio.Task[None] | None = None

    def has(self, key: Key) -> bool:
        """Whether `judge` can say something about this triplet without asking the store."""
        network = self._rows.get(key[0])
        if network is None:
            return False
        return self._is_known(network, self._now()) or self._rows.get(_text(key)) is not None

    async def load(self, key: Key) -> None:
        """Read what is on record. Raises StoreUnavailable."""
        of_network = (key[0], "", "")
        keys = [each for each in (of_network, key) if self._rows.get(_text(each)) is None]
        found = await self._store.read(lambda tx: {record.key: record for record in tx.greylist.get(keys)})
        for each in keys:
            record = found.get(each)
            if self._rows.get(_text(each)) is None:  # another connection may have been quicker
                self._rows.put(_text(each), self._unwritten.get(each) or _row(record))

    def judge(self, key: Key) -> tuple[Verdict, bool]:
        """Let it in, or have it come again; and whether it has come again just now, which `came_again` wants to know
        when the message is ours."""
        now = self._now()
        network = self._rows.get(key[0])
        if network is not None and self._is_known(network, now):
            self._touch((key[0], "", ""), network, now)
            return passed(STEP, f"{key[0]} has come again {network.passes} times"), False
        row = self._rows.get(_text(key)) or _Row()
        if row.passes and now - row.last <= self._keep:
            self._touch(key, row, now)
            return passed(STEP, "it has come again before"), False
        waited = now - row.first
        if not row.passes and self._delay <= waited <= self._window:
            row.passes, row.last = 1, now
            self._put(key, row)
            return passed(STEP, f"it came again after {_span(waited)}"), True
        if row.passes or waited > self._window:
            row.first, row.passes, waited = now, 0, 0.0
        row.last = now
        self._put(key, row)
        return self._put_off(max(0.0, self._delay - waited), is_new=waited == 0.0), False

    def _put_off(self, left: float, *, is_new: bool) -> Verdict:
        seconds = max(1, ceil(left))
        reason = "a stranger's first try" if is_new else f"it came again {seconds} s too soon"
        answer = status(450, "4.7.1", f"greylisted: please try again in {seconds} seconds")
        return deferred(STEP, reason, answer)

    def came_again(self, network: str) -> None:
        """A message that had been put off was taken."""
        row = self._rows.get(network) or _Row()
        now = self._now()
        if row.passes and now - row.last > self._keep:
            row.passes = 0
        row.first = row.first or now
        row.last = now
        row.passes += 1
        self._put((network, "", ""), row)

    def _is_known(self, network: _Row, now: float) -> bool:
        return network.passes >= self._learn and now - network.last <= self._keep

    def _touch(self, key: Key, row: _Row, now: float) -> None:
        """Its mail still comes. Not written each time: a day is exact enough for what is kept for weeks."""
        if now - row.last > DAY:
            row.last = now
            self._put(key, row)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    # --- writing, behind all mail -------------------------------------------------------------------------------------

    def _put(self, key: Key, row: _Row) -> None:
        self._rows.put(_text(key), row)
        if key not in self._unwritten and len(self._unwritten) >= MAX_UNWRITTEN:
            return
        self._unwritten[key] = row
        if self._task is None:
            self._task = asyncio.create_task(self._write_later())

    async def _write_later(self) -> None:
        while self._unwritten:
            await self._clock.sleep(FLUSH_SECONDS)
            await self._write()
        self._task = None

    async def _write(self) -> None:
        while self._unwritten:
            some = list(self._unwritten)[:SLICE]
            records = self._records((key, self._unwritten.pop(key)) for key in some)
            try:
                await self._store.write(partial(_put, records), lane=Lane.LOW)
            except StoreUnavailable as error:  # those who were put off are put off once more after a restart
                _log.warning("the greylist was not written", count=len(records), cause=str(error))
                return
            except Exception as error:  # a bug of ours must not end the writing of all that follow
                _log.exception("the greylist was not written", error, count=len(records))

    def _records(self, rows: Iterable[tuple[Key, _Row]]) -> list[GreyRecord]:
        return [
            GreyRecord(*key, _moment(row.first), _moment(row.last), row.passes, _moment(self._end(row)))
            for key, row in rows
        ]

    def _end(self, row: _Row) -> float:
        return row.last + self._keep if row.passes else row.first + self._window

    async def close(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        await self._write()


def _put(records: list[GreyRecord], tx: Tx) -> None:
    tx.greylist.put(records)


def _row(record: GreyRecord | None) -> _Row:
    return _Row() if record is None else _Row(record.first.timestamp(), record.last.timestamp(), record.passes)


def _text(key: Key) -> str:
    network, sender, recipient = key
    return f"{network}\n{sender}\n{recipient}" if sender else network


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"
