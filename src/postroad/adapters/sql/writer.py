"""The one who writes: takes groups from the queue, makes content durable, commits rows, and only then tells anybody.

`take -> segments (one sync) -> one transaction -> completions (one call into the loop)`. SQLite has one of these
threads, PostgreSQL a few. What goes wrong with the disk is handled here: a group that is lost is run unit by unit; a
commit of unknown outcome is refused, and after reopening compared and taken back; outcomes are never refused but kept
and retried.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from postroad.adapters.sql.births import withdraw
from postroad.adapters.sql.connection import Fault
from postroad.adapters.sql.engine import Engine
from postroad.adapters.sql.reserve import Reserve
from postroad.adapters.sql.results import written_already
from postroad.adapters.sql.transaction import CommitUnknown, Done, GroupLost, Transactions, unavailable
from postroad.adapters.sql.units import AcceptUnit, ContentUnit, GroupQueue, OutcomeUnit, Unit
from postroad.ports.blobs import BlobRecord, BlobStore, BlobWriteFailed
from postroad.ports.ids import MessageId
from postroad.ports.store import Accepted, StoreUnavailable

log = logging.getLogger(__name__)

RECOVER_EVERY = 1.0  # seconds between two tries to get going again
_RERUNS = 5  # of a group that a deadlock or serialization failure threw out


class Writer:
    """One writer thread with its own session."""

    def __init__(
        self,
        queue: GroupQueue,
        *,
        engine: Engine,
        blobs: BlobStore,
        reserve: Reserve,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], datetime],
        recover_every: float = RECOVER_EVERY,
    ) -> None:
        self._queue = queue
        self._engine = engine
        self._blobs = blobs
        self._reserve = reserve
        self._loop = loop
        self._now = now
        self._recover_every = recover_every
        self._transactions = Transactions(engine, engine.open_session(), now)
        self._trouble: Fault | None = None  # why nothing is taken at present
        self._tried = float("-inf")
        self._kept: list[OutcomeUnit] = []  # outcomes that could not be committed yet
        self._uncertain: list[MessageId] = []  # refused after a commit of unknown outcome: to be taken back
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """After the queue has been closed: what waits is still written."""
        self._thread.join()

    @property
    def thread(self) -> int:
        """The thread that `start` started, as the system numbers it."""
        return self._thread.native_id or 0

    @property
    def in_trouble(self) -> bool:
        """Outcomes are waiting for the disk, or a commit's outcome is unknown."""
        return self._trouble is not None or bool(self._kept)

    def _run(self) -> None:
        while True:
            group = self._queue.take(self._recover_every if self.in_trouble else None)
            if group is None:
                break
            try:
                self._handle(group)
            except Exception as error:
                log.exception("the store's writer failed")
                self._complete([Done(unit, error=StoreUnavailable(str(error))) for unit in group])
            self._queue.done(len(group))
        if self.in_trouble:
            self._recover(at_once=True)
        self._complete([Done(unit, error=StoreUnavailable("the store is closed")) for unit in self._kept])
        with suppress(Exception):
            self._transactions.session.close()

    def _handle(self, group: list[Unit]) -> None:
        if self.in_trouble and not self._recover():
            self._refuse(group, self._trouble or Fault.NO_SPACE, "the store is not writable at present")
            return
        units = self._with_content(self._present(group))
        if units:
            self._commit(units)
        self._reserve.keep_ballast()

    # --- content ---

    def _present(self, units: Sequence[Unit]) -> list[Unit]:
        """Without what its sender no longer waits for; content that is written already is voided."""
        gone = [unit for unit in units if isinstance(unit, ContentUnit) and unit.abandoned]
        if not gone:
            return list(units)
        self._void(gone)
        self._complete([Done(unit, Accepted(dropped=True)) for unit in gone])
        return [unit for unit in units if unit not in gone]

    def _with_content(self, units: list[Unit]) -> list[Unit]:
        """Those whose content is durable; the others are refused."""
        writing: list[ContentUnit] = []
        records: list[BlobRecord] = []
        for unit in units:
            if isinstance(unit, ContentUnit):
                record = unit.record
                if record:
                    writing.append(unit)
                    records.append(record)
        if not writing:
            return units
        try:
            places = self._blobs.append_group(records)
        except BlobWriteFailed as error:
            self._reserve.forget()
            refusal = StoreUnavailable(str(error), no_space=error.no_space)
            self._complete([Done(unit, error=refusal) for unit in writing])
            return [unit for unit in units if unit not in writing]
        for unit, place in zip(writing, places, strict=True):
            unit.place = place
        return self._present(units)

    def _void(self, units: Sequence[Unit]) -> None:
        """Content in a file of its own needs no voiding: whoever wrote it takes it away, or the sweep does."""
        written = [unit.blob for unit in units if isinstance(unit, ContentUnit) and unit.place]
        if written:
            self._blobs.void(written)

    # --- rows ---

    def _commit(self, units: list[Unit]) -> None:
        reopened = False
        for _ in range(_RERUNS):
            try:
                done = self._transactions.run(units)
            except CommitUnknown as unknown:
                self._unknown(units, unknown)
                return
            except GroupLost as lost:
                if lost.fault is Fault.RETRY:
                    continue
                if lost.fault is Fault.BROKEN and not reopened:
                    reopened = True
                    self._enter_trouble(lost.fault, lost.error)
                    if self._recover(at_once=True):  # a lost connection, mostly: nothing was committed, go on with all
                        continue
                self._divide(units, lost)
                return
            self._transactions.session.committed()
            self._finish(done)
            return
        self._refuse(units, Fault.RETRY, "the database is too busy")

    def _divide(self, units: list[Unit], lost: GroupLost) -> None:
        """What cannot be committed together is tried one by one, so that only the guilty suffer."""
        if self._trouble:
            self._refuse(units, self._trouble, str(lost.error))
        elif len(units) == 1:
            self._lost_alone(units[0], lost)
        else:
            self._one_by_one(units)

    def _one_by_one(self, units: list[Unit]) -> None:
        for position, unit in enumerate(units):
            if self._trouble:
                self._refuse(units[position:], self._trouble, "the store is not writable at present")
                return
            self._commit([unit])

    def _lost_alone(self, unit: Unit, lost: GroupLost) -> None:
        """New mail never touches the hard reserve; everything else may."""
        self._reserve.forget()
        is_new_mail = isinstance(unit, ContentUnit)
        if lost.fault is Fault.NO_SPACE and not is_new_mail and self._reserve.use_ballast():
            self._commit([unit])
            return
        if lost.fault is Fault.BROKEN:
            self._enter_trouble(lost.fault, lost.error)
            self._recover(at_once=True)
        self._refuse([unit], lost.fault, str(lost.error))

    def _finish(self, done: list[Done]) -> None:
        refused = [each.unit for each in done if each.error]
        self._void(refused)
        self._complete(done)

    def _refuse(self, units: Sequence[Unit], fault: Fault, cause: str) -> None:
        """Acceptances and functions are refused; outcomes, which are facts, are kept until they can be written."""
        self._kept += [unit for unit in units if isinstance(unit, OutcomeUnit)]
        refused = [unit for unit in units if not isinstance(unit, OutcomeUnit)]
        self._void(refused)
        error = unavailable(fault, StoreUnavailable(cause))
        self._complete([Done(unit, error=error) for unit in refused])

    # --- trouble ---

    def _enter_trouble(self, fault: Fault, error: Exception) -> None:
        if self._trouble is None:
            log.error("the store stops taking mail: %s", error)
        self._trouble = fault
        self._reserve.forget()

    def _unknown(self, units: list[Unit], unknown: CommitUnknown) -> None:
        self._uncertain += [unit.acceptance.message.id for unit in units if isinstance(unit, AcceptUnit)]
        self._enter_trouble(unknown.fault, unknown.error)
        self._refuse(units, unknown.fault, str(unknown.error))

    def _recover(self, *, at_once: bool = False) -> bool:
        """Reopen, compare, take back what was refused, write what was kept. True when all is well again."""
        if not at_once and time.monotonic() - self._tried < self._recover_every:
            return False
        self._tried = time.monotonic()
        for _ in range(2):
            try:
                self._reopen()
                self._settle()
                self._write_kept()
            except (GroupLost, CommitUnknown) as error:
                self._trouble = error.fault
                if error.fault is Fault.NO_SPACE and self._reserve.use_ballast():
                    continue
                return False
            except Exception as error:
                log.warning("the store is still not writable: %s", error)
                self._trouble = self._trouble or Fault.BROKEN
                return False
            log.warning("the store takes mail again")
            return True
        return False

    def _reopen(self) -> None:
        if self._trouble is None:
            return
        with suppress(Exception):
            self._transactions.session.close()
        self._transactions = Transactions(self._engine, self._engine.open_session(), self._now)

    def _settle(self) -> None:
        """Compare: rows of refused mail that the lost commit did write are taken back. Even with nothing to compare a
        transaction is written, so that frames of the failed one are overwritten rather than found after a crash."""
        if self._trouble is None:
            return

        def compare() -> list[MessageId]:
            # Never twice the same: SQLite leaves a page alone that would not change, and then there is nothing to sync.
            self._transactions.tx.meta.put("settled", f"{self._now().isoformat()} {time.monotonic_ns()}")
            return withdraw(self._transactions.session, self._uncertain)

        found = self._transactions.work(compare)
        if found:
            log.warning("%d messages were refused though their commit took place; they are taken back", len(found))
        self._uncertain.clear()
        self._trouble = None

    def _write_kept(self) -> None:
        if not self._kept:
            return
        kept = list(self._kept)
        session = self._transactions.session
        before = self._transactions.work(lambda: [written_already(session, unit.outcomes) for unit in kept])
        done = [Done(unit, len(unit.outcomes.results)) for unit, known in zip(kept, before, strict=True) if known]
        done += self._transactions.run([unit for unit, known in zip(kept, before, strict=True) if not known])
        self._kept.clear()
        self._complete(done)

    def _complete(self, done: list[Done]) -> None:
        if done:
            self._queue.answered()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_resolve, done)


def _resolve(done: list[Done]) -> None:
    for each in done:
        future = each.unit.future
        if not future.done():
            if each.error:
                future.set_exception(each.error)
            else:
                future.set_result(each.value)
